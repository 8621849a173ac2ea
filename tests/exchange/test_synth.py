"""Synthetic records are counted as the reports print them."""

import json
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from app.core.fold import fold
from app.core.records import RESOURCES, Audience
from app.core.rows import insert, tables_of
from app.core.settings import role_password
from app.exchange.synth import CONVICTED, LEAST_EVENTS, LEAST_PERSONS, SynthError, make
from app.exchange.synth_load import LEVELLED, TYPES, fill
from app.sample.load import read
from app.statistics.figures import parameters
from tests.conftest import SECRET, Api

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
    await fill(api.site.url, LEAST_PERSONS, LEAST_EVENTS, 1, lambda _n: None)
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
    await fill(api.site.url, CONVICTED + 500, LEAST_EVENTS + 500, 7, lambda _n: None)
    assert await differing(api, SMALL + " 2.01 2.02 2.03 2.04 4.04") == {}


async def test_the_same_seed_makes_the_same_and_a_full_registry_is_left_alone(api: Api) -> None:
    one, same, other = (list(make(LEAST_PERSONS, LEAST_EVENTS + 10, seed)) for seed in (1, 1, 2))
    assert one == same != other
    with pytest.raises(SynthError, match="at least"):
        make(10, 10, 1)
    await api.editor.post("/v1/persons", json={"names": [{"text": "Vera Example"}]})
    with pytest.raises(SynthError, match="empty"):
        await fill(api.site.url, LEAST_PERSONS, LEAST_EVENTS, 1, lambda _n: None)


@pytest.mark.parametrize("role", [*Audience, "auth", "feed"])
async def test_no_login_of_the_service_goes_past_the_triggers(api: Api, owner: asyncpg.Connection, role: str) -> None:
    name = f"chronika_{role}"
    url = make_url(api.site.url).set(username=name, password=role_password(SECRET.encode(), name))
    with pytest.raises(SynthError, match="superuser"):
        await fill(url.render_as_string(hide_password=False), LEAST_PERSONS, LEAST_EVENTS, 1, lambda _n: None)
    assert not await owner.fetchval("SELECT EXISTS (SELECT FROM places)")


async def test_what_is_broken_off_leaves_nothing_behind(api: Api, owner: asyncpg.Connection) -> None:
    indexes = await owner.fetch(INDEXES)

    def stop(doing: object) -> None:
        if str(doing).startswith("logging their changes:"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await fill(api.site.url, LEAST_PERSONS, LEAST_EVENTS, 1, stop)
    assert await owner.fetch(INDEXES) == indexes
    assert not await owner.fetchval("SELECT EXISTS (SELECT FROM places)")


# --- past the triggers, and through them --------------------------------------------------------------------

OF_THE_MOMENT = ("created_at", "updated_at")
STORED_FIRST = ("places", "organisations", "statutes", "persons", "cases", "events", "statuses", "sentences")
INDEXES = (
    "SELECT pg_get_indexdef(s.indexrelid), indisready, indisvalid FROM pg_stat_user_indexes s "
    "JOIN pg_index USING (indexrelid) ORDER BY 1"
)
LOGGED = "SELECT to_jsonb(c) - '{id,seq,seq_partner,seq_public,uid,at}'::text[] FROM changes c ORDER BY record_id"
NUMBERS = "SELECT array_agg({0} ORDER BY {0}) FROM changes WHERE {0} IS NOT NULL"
SOME = """
WITH e AS (SELECT id, case_id FROM events WHERE origin_id LIKE 'event/more/%' OR place_id IS NULL ORDER BY level DESC, id LIMIT 200),
c AS (SELECT case_id AS id FROM e WHERE case_id IS NOT NULL),
p AS (SELECT person_id AS id FROM participants WHERE event_id IN (SELECT id FROM e) AND person_id IS NOT NULL
      UNION SELECT person_id FROM charges WHERE case_id IN (SELECT id FROM c))
SELECT id FROM e UNION SELECT id FROM c UNION SELECT id FROM p UNION SELECT id FROM organisations UNION SELECT id FROM places
UNION SELECT id FROM statutes UNION SELECT id FROM statuses WHERE person_id IN (SELECT id FROM p)
"""  # noqa: E501
"""Some records with all that they name."""

Rows = list[dict[str, Any]]


async def stored(owner: asyncpg.Connection, some: list[str]) -> dict[str, Rows]:
    """Return these records' rows in all tables with levels, and their name keys."""
    found: dict[str, Rows] = {}
    kept = set(some)
    owners = {name: owner for r in RESOURCES.values() for name, (_, owner) in tables_of(r).items()}
    for table in [r[0] for r in await owner.fetch(LEVELLED)]:
        rows = [json.loads(r[0]) for r in await owner.fetch(f"SELECT to_jsonb(t) FROM {table} t ORDER BY id")]
        column = "id" if table in TYPES else owners.get(table, "id")
        found[table] = [{k: v for k, v in row.items() if k not in OF_THE_MOMENT} for row in rows if row[column] in kept]
        if table == "sentences":
            kept |= {row["id"] for row in found[table]}
    for kind in ("person", "organisation", "place"):
        keys = await owner.fetch(f"SELECT to_jsonb(k) FROM {kind}_keys k ORDER BY level, record_id, folded")
        found[f"{kind}_keys"] = [k for r in keys if (k := json.loads(r[0]))["record_id"] in kept]
    return found


async def logged(owner: asyncpg.Connection, some: list[str]) -> Rows:
    """Return what the change log says of these records, each audience's numbers being 1, 2, 3 and so on."""
    for feed in ("", "_partner", "_public"):
        numbers = await owner.fetchval(NUMBERS.format(f"seq{feed}"))
        assert numbers == list(range(1, len(numbers) + 1))
    return [c for r in await owner.fetch(LOGGED) if (c := json.loads(r[0]))["record_id"] in some]


async def test_what_is_loaded_past_the_triggers_is_what_they_would_have_made(
    api: Api, owner: asyncpg.Connection
) -> None:
    indexes = await owner.fetch(INDEXES)
    await fill(api.site.url, LEAST_PERSONS, LEAST_EVENTS + 300, 1, lambda _n: None)
    assert await owner.fetch(INDEXES) == indexes
    assert all(ready and valid for _, ready, valid in indexes)
    some = [str(r[0]) for r in await owner.fetch(SOME)]
    loaded, log = await stored(owner, some), await logged(owner, some)
    assert {e["effective_level"] for e in loaded["events"]} == {0, 1, 2}
    assert all(n["folded"] == fold(n["text"]) for n in loaded["person_names"])

    await owner.execute(f"TRUNCATE {', '.join([*TYPES, 'changes'])} CASCADE")
    transaction = await api.app.state.database.transaction(Audience.EDITOR)
    transaction.actor = "synth"
    tables = SQLModel.metadata.tables
    for name in [*STORED_FIRST, *(loaded.keys() - {*STORED_FIRST})]:
        if name in tables and loaded[name]:
            await insert(transaction, {name: loaded[name]}, dict(tables))
    await transaction.end(commit=True)
    await owner.execute("SELECT number_changes()")
    assert await logged(owner, some) == log
    again = await stored(owner, some)
    for name, rows in loaded.items():
        assert again[name] == rows, name
