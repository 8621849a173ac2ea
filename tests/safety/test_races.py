"""Hiding a record while others are tied to it: no row is more visible than what it names, and nobody gets a 500."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Api
from tests.factories import PUBLIC, make

pytestmark = pytest.mark.anyio

FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text AS child, a.attname AS column, c.confrelid::regclass::text AS parent
  FROM pg_constraint c
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
  JOIN pg_attribute e ON e.attrelid = c.conrelid AND e.attname = 'effective_level'
  JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attname = 'effective_level'
 WHERE c.contype = 'f' ORDER BY 1, 2
"""

TIES = {
    "participants": "event",
    "event_statutes": "event",
    "case_judges": "case",
    "charges": "case",
    "sentences": "case",
}


async def too_visible(owner: asyncpg.Connection) -> list[str]:
    """Return the foreign keys, ties included, over which some row is more visible than what it names."""
    wrong = []
    for child, column, parent in await owner.fetch(FOREIGN_KEYS):
        sql = (
            f'SELECT count(*) FROM {child} c JOIN {parent} p ON p.id = c."{column}" '
            "WHERE c.effective_level < p.effective_level"
        )
        if await owner.fetchval(sql):
            wrong.append(f"{child}.{column}")
        if child in TIES and parent not in {"events", "cases"}:
            record = TIES[child]
            sql = (
                f'SELECT count(*) FROM {child} c JOIN {parent} p ON p.id = c."{column}" '
                f"JOIN {record}s r ON r.id = c.{record}_id "
                "WHERE r.effective_level < p.effective_level AND c.level < p.effective_level"
            )
            if await owner.fetchval(sql):
                wrong.append(f"{record} by {child}.{column}")
    return wrong


async def _settled(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    return answer


async def _patch(api: Api, resource: str, record_id: str, /, **fields: Any) -> None:
    await asyncio.sleep(random.random() * 0.01)  # noqa: S311
    await _settled(await api.editor.patch(f"/v1/{resource}/{record_id}", json=fields, headers={"If-Match": "*"}))


async def _add(api: Api, resource: str, /, **fields: Any) -> None:
    await asyncio.sleep(random.random() * 0.01)  # noqa: S311
    await _settled(await api.editor.post(f"/v1/{resource}", json={**PUBLIC, **fields}))


Round = Callable[[Api], Awaitable[list[Awaitable[None]]]]


async def _person(api: Api) -> list[Awaitable[None]]:
    """Hide a person while an event, a case, a status, a source's citation and a group come to name them."""
    person = (await make(api.editor, "persons"))["id"]
    source = (await make(api.editor, "sources"))["id"]
    event = (await make(api.editor, "events"))["id"]
    tie = [{"person": person, "role": "victim"}]
    return [
        _patch(api, "persons", person, level="restricted"),
        _add(api, "events", type="detention", participants=tie),
        _add(api, "cases", kind="criminal", charges=[{"person": person, "status": "charged"}], judges=[person]),
        _add(api, "statuses", kind="in_custody", person=person),
        _patch(api, "events", event, participants=tie, citations=[{"source": source}]),
        _patch(api, "sources", source, level="partner"),
    ]


async def _world(api: Api) -> list[Awaitable[None]]:
    """Hide a place, an organisation, a statute and a case while records come to name them, in crossing orders."""
    place = (await make(api.editor, "places"))["id"]
    organisation = (await make(api.editor, "organisations", place=place))["id"]
    case = (await make(api.editor, "cases", court=organisation))["id"]
    number = str(random.randrange(10**9))  # noqa: S311
    statute = (await make(api.editor, "statutes", article=number))["id"]
    names = {"place": place, "facility": organisation, "case": case, "statutes": [statute]}
    return [
        _patch(api, "places", place, level="partner"),
        _patch(api, "organisations", organisation, level="restricted"),
        _patch(api, "statutes", statute, level="restricted"),
        _patch(api, "cases", case, level="partner"),
        _add(api, "events", type="raid", **names),
        _add(api, "places", kind="city", names=[{"text": "Below"}], parent=place),
    ]


async def _publication(api: Api) -> list[Awaitable[None]]:
    """Publish a person and an event while the one is hidden again and the other comes to name a hidden source."""
    person = (await make(api.editor, "persons", level="restricted"))["id"]
    tie = {"person": person, "role": "victim"}
    event = (await make(api.editor, "events", participants=[tie], level="restricted"))["id"]
    other = (await make(api.editor, "persons"))["id"]
    both = [tie, {"person": other, "role": "victim"}]
    return [
        _patch(api, "persons", person, level="public"),
        _patch(api, "events", event, level="public"),
        _patch(api, "events", event, participants=both),
        _patch(api, "persons", other, level="restricted"),
        _patch(api, "persons", person, level="partner"),
    ]


async def _race(api: Api, owner: asyncpg.Connection, rounds: int, make_round: Round) -> None:
    for _ in range(rounds):
        await asyncio.gather(*await make_round(api))
    assert await too_visible(owner) == []


@pytest.mark.parametrize("make_round", [_person, _world, _publication])
async def test_nothing_is_more_visible_than_what_it_names(
    api: Api, owner: asyncpg.Connection, make_round: Round
) -> None:
    await _race(api, owner, 12, make_round)


@pytest.mark.full
@pytest.mark.parametrize("make_round", [_person, _world, _publication])
async def test_nothing_is_more_visible_in_300_races(api: Api, owner: asyncpg.Connection, make_round: Round) -> None:
    await _race(api, owner, 300, make_round)
