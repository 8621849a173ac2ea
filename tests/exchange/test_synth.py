"""Synthetic records are counted as the reports print them."""

from typing import Any

import asyncpg
import pytest

from app.exchange.synth import CONVICTED, LEAST_EVENTS, LEAST_PERSONS, SynthError, fill, make
from app.sample.load import read
from app.statistics.figures import parameters
from tests.conftest import Api

pytestmark = pytest.mark.anyio

SMALL = (
    "0.04 1.02 1.04 1.07 1.08 1.09 3.01 3.02 3.04 3.06 3.07 3.08 3.09 3.10 3.11 3.17 3.18 3.19 3.21 3.22 3.38 3.56 "
    "3.57 3.58 3.59 3.60 3.61 3.62 3.63 3.64 3.65"
)
"""Figures that even the smallest set counts as they were published."""


def figures() -> dict[str, dict[str, Any]]:
    blank: dict[str, Any] = {"at": None, "from": None, "to": None, "filters": {}}
    return {f["origin_id"].removeprefix("figure/"): {**blank, **f} for f in read("figures")}


async def ask(api: Api, url: str, *params: tuple[str, str]) -> dict[str, Any]:
    answer = await api.public.get(f"/v1/statistics/{url}", params=list(params))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def differing(api: Api, names: str) -> dict[str, tuple[Any, float]]:
    """Return the figures of which the service counts something else: name → (counted, published)."""
    published, wrong = figures(), {}
    for name in names.split():
        figure = published[name]
        pairs = parameters(figure, {})
        assert pairs is not None, name
        counted = (await ask(api, figure["measure"], *pairs))["total"]["value"]
        if counted != float(figure["value"]):
            wrong[name] = (counted, float(figure["value"]))
    return wrong


async def test_the_published_numbers_are_counted(api: Api, owner: asyncpg.Connection) -> None:
    await fill(api.app.state.database, LEAST_PERSONS, LEAST_EVENTS, 1, lambda _n: None)
    assert await differing(api, SMALL) == {}
    january = (("from", "2024-01-01"), ("to", "2024-02-01"))
    quarter = (("from", "2024-01-01"), ("to", "2024-04-01"), ("type", "detention"))
    outcomes = await ask(api, "sentences", *january, ("kind", "administrative"), ("by", "outcome"))
    assert {r["outcome"]: r["value"] for r in outcomes["rows"]} == {"convicted": 77 + 46, "unknown": 226}
    women = await ask(api, "events", *quarter, ("sex", "female"))
    assert women["total"]["value"] == 329  # a third of 987
    held = await ask(
        api, "persons_in_status", ("at", "2024-01-31"), ("status", "political_prisoner"), ("by", "facility")
    )
    assert 106 in [r["value"] for r in held["rows"]]
    # Of the 406 detentions of January, 310 were known on 6 February.
    late = (
        "SELECT id FROM changes WHERE record_id IN (SELECT id FROM events WHERE type = 'detention' "
        "AND date_earliest < '2024-02-01' ORDER BY id LIMIT 96)"
    )
    await owner.execute("UPDATE changes SET at = '2024-02-05T00:00Z'")
    await owner.execute(f"UPDATE changes SET at = '2024-04-20T00:00Z' WHERE id IN ({late})")
    for day, number in (("2024-02-06", 310), ("2024-04-26", 406)):
        found = await ask(api, "events", *january, ("type", "detention"), ("known_at", day))
        assert found["total"]["value"] == number


@pytest.mark.full
async def test_the_published_convictions_are_counted(api: Api) -> None:
    await fill(api.app.state.database, CONVICTED + 500, LEAST_EVENTS + 500, 7, lambda _n: None)
    assert await differing(api, SMALL + " 2.01 2.02 2.03 2.04 4.04") == {}


async def test_the_same_seed_makes_the_same_and_a_full_registry_is_left_alone(api: Api) -> None:
    one, same, other = (make(LEAST_PERSONS, LEAST_EVENTS, seed) for seed in (1, 1, 2))
    assert [rows for _, rows in one] == [rows for _, rows in same] != [rows for _, rows in other]
    with pytest.raises(SynthError, match="at least"):
        make(10, 10, 1)
    await api.editor.post("/v1/persons", json={"names": [{"text": "Vera Example"}]})
    with pytest.raises(SynthError, match="empty"):
        await fill(api.app.state.database, LEAST_PERSONS, LEAST_EVENTS, 1, lambda _n: None)
