"""One page of the feed: what changed, and the records as they are now."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from app.changes.models import RESOURCES
from app.changes.queries import buried_sql, entries_sql, items_sql
from app.changes.sequencer import Head
from app.core.records import Audience

Fetch = Callable[..., Awaitable[list[Any]]]
"""Runs a statement under the caller's login: SQL and its arguments → rows."""

WINDOW = 50_000
"""Changes that one page looks at, at most: what fits the selection among them is the page."""
AT_ONCE, SIDE_BY_SIDE = 250, 2
"""Records that one statement reads, and statements of a page that run at the same time."""


@dataclass(frozen=True)
class Page:
    """A page as read: its items as JSON, where it ends, and the row that the cursor is checked against."""

    items: list[bytes]
    end: Head
    checked: Any
    lag: float | None
    as_of: datetime


async def read_page(  # noqa: PLR0913 -- what a page depends on
    fetch: Fetch,
    audience: Audience,
    after: int,
    *,
    limit: int,
    types: list[str],
    excluded: str | None,
    horizon: int,
    window: int = WINDOW,
    entries: Callable[[Audience], str] = entries_sql,
) -> Page:
    """Read the page that comes after a number.

    The entries are read first and the records after them, so a record may be newer than its entry, never older. What
    changed in between has an entry of its own, which comes later and brings or removes the record again; so nothing
    depends on the two being of one moment, and a poll that finds nothing is one small statement.
    A page that is not full ends at the head, or where its window ends: what was looked at is not looked at again.
    """
    (row,) = await fetch(entries(audience), after, limit, types, excluded, horizon, window)
    changed = list(zip(*(row[c] or () for c in ("seqs", "types", "ids", "origins", "had")), strict=True))
    shown = await _records(fetch, audience, changed)
    lost = [e for e in changed if e[2] not in shown and e[4]]
    removals = await _removals(fetch, lost) if lost else {}
    items = []
    for seq, _, record_id, _, _ in changed:
        if record_id in shown:
            items.append(b'{"seq":%d,%b' % (seq, shown[record_id][1:]))
        elif record_id in removals:
            items.append(removals[record_id])
    moved = row["last_seq"] is not None
    end = Head(row["last_seq"], row["last_uid"]) if moved else Head(row["head_seq"] or 0, row["head_uid"])
    return Page(items, end, row, row["lag"], row["as_of"])


async def _records(fetch: Fetch, audience: Audience, changed: list[Any]) -> dict[UUID, bytes]:
    """Return the records that are seen, as items: some are made into JSON while others are taken in."""
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def some(name: str, ids: list[UUID]) -> list[Any]:
        async with side_by_side:
            return await fetch(items_sql(RESOURCES[name], audience), ids)

    ids: dict[str, list[UUID]] = {}
    for _, name, record_id, _, _ in changed:
        ids.setdefault(name, []).append(record_id)
    parts = [(name, of[n : n + AT_ONCE]) for name, of in ids.items() for n in range(0, len(of), AT_ONCE)]
    return dict(chain.from_iterable(await asyncio.gather(*(some(*part) for part in parts))))


async def _removals(fetch: Fetch, lost: list[Any]) -> dict[UUID, bytes]:
    """Return what tells of records that are no longer seen: merged into one that is, deleted, or withdrawn."""
    buried: dict[UUID, UUID | None] = {}
    for name in {e[1] for e in lost}:
        buried |= dict(await fetch(buried_sql(RESOURCES[name]), [e[2] for e in lost if e[1] == name]))
    found = {}
    for seq, name, record_id, origin, _ in lost:
        item = {"seq": seq, "op": "remove", "type": name, "id": str(record_id), "origin": origin}
        if into := buried.get(record_id):
            item |= {"op": "merge", "into": str(into)}
        else:
            item["reason"] = "deleted" if record_id in buried else "withdrawn"
        found[record_id] = json.dumps(item, ensure_ascii=False).encode()
    return found
