"""Paging through everything, in every declared order, gives each record exactly once, whatever others do meanwhile."""

from typing import Any

import httpx
import pytest

from tests.conftest import Api
from tests.contract.document import LISTS, RESOURCES, Operation, named
from tests.contract.test_lists import distinct, known_values
from tests.factories import make

pytestmark = pytest.mark.anyio

RECORDED = [o for o in LISTS if named(o) in RESOURCES]
DATES = {
    "statutes": "valid_from", "persons": "born", "cases": "decided", "events": "date", "statuses": "start",
    "sources": "published", "organisations": "founded",
}  # fmt: skip
"""Resource → a date of it, given to some records only, so that orders have ties and gaps."""


async def seed(client: httpx.AsyncClient, operation: Operation, first: int, count: int) -> list[str]:
    """Make records of which every third has no date, and the others share few."""
    resource, made = named(operation), []
    for n in range(first, first + count):
        fields: dict[str, Any] = distinct(resource, n)
        if resource in DATES and n % 3:
            fields[DATES[resource]] = f"202{n % 2}"
        made.append((await make(client, resource, **fields))["id"])
    return made


async def walk(client: httpx.AsyncClient, path: str, query: dict[str, str]) -> list[str]:
    """Return the ids on all pages, in order."""
    following: str | None = str(httpx.URL(path, params=query))
    seen: list[str] = []
    while following:
        page = (await client.get(following)).json()
        seen += [r["id"] for r in page["items"]]
        following = page["next"]
        assert len(seen) < 1000, "it never ends"
    return seen


def orders(operation: Operation) -> list[str]:
    """Return every sort key in both directions, and every pair in mixed directions."""
    known = known_values(operation, "sort")
    single = [s + k for k in known for s in ("", "-")]
    return single + [f"{a},-{b}" for a in known for b in known if a != b]


@pytest.mark.parametrize("operation", RECORDED, ids=str)
async def test_each_record_comes_once_in_every_order(api: Api, operation: Operation) -> None:
    made = await seed(api.editor, operation, 0, 8)
    for sort in orders(operation):
        for limit in ("3",) if "," in sort else ("1", "3"):
            seen = await walk(api.public, operation.path, {"limit": limit, "sort": sort})
            assert sorted(seen) == sorted(made), (sort, limit)
        assert seen == await walk(api.public, operation.path, {"limit": "200", "sort": sort}), sort
        if "," not in sort:
            other = sort[1:] if sort.startswith("-") else f"-{sort}"
            assert seen == (await walk(api.public, operation.path, {"limit": "3", "sort": other}))[::-1], sort


@pytest.mark.parametrize("operation", RECORDED, ids=str)
async def test_what_was_there_throughout_comes_once_while_others_come_and_go(api: Api, operation: Operation) -> None:
    kept = set(await seed(api.editor, operation, 0, 6))
    fresh = 100
    for sort in (s + k for k in known_values(operation, "sort") for s in ("", "-")):
        passing = await seed(api.editor, operation, fresh, 4)
        fresh += 4
        following: str | None = str(httpx.URL(operation.path, params={"limit": "2", "sort": sort}))
        seen: list[str] = []
        while following:
            page = (await api.public.get(following)).json()
            seen += [r["id"] for r in page["items"]]
            following = page["next"]
            if passing:  # one goes, another comes, wherever in the order that may be
                gone = await api.editor.delete(f"{operation.path}/{passing.pop()}", headers={"If-Match": "*"})
                assert gone.status_code == 204
                await seed(api.editor, operation, fresh, 1)
                fresh += 1
        assert len(seen) == len(set(seen)), sort
        assert kept <= set(seen), sort
