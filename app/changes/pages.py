"""One page of the feed: what changed, and the records as they are now."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.changes.models import RESOURCES
from app.changes.queries import TOMBSTONES, entries_sql, items_sql, seen_sql
from app.changes.sequencer import Head
from app.core.records import Audience

Fetch = Callable[..., Awaitable[list[Any]]]
"""Runs a statement under the caller's login: SQL and its arguments → rows."""


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
    entries: Callable[[Audience], str] = entries_sql,
) -> Page:
    """Read the page that comes after a number.

    The entries are read first and the records after them, so a record may be newer than its entry, never older. What
    changed in between has an entry of its own, which comes later and brings or removes the record again; so nothing
    depends on the two being of one moment, and a poll that finds nothing is one small statement.
    A page that is not full ends at the head, so that a selection which matches little is not read over and over.
    """
    (row,) = await fetch(entries(audience), after, limit, types, excluded, horizon)
    changed = list(zip(*(row[c] or () for c in ("seqs", "types", "ids", "origins", "had")), strict=True))
    shown: dict[UUID, bytes] = {}
    for name in {e[1] for e in changed}:
        ids = [e[2] for e in changed if e[1] == name]
        shown |= dict(await fetch(items_sql(RESOURCES[name], audience), ids))
    lost = [e for e in changed if e[2] not in shown and e[4]]
    removals = await _removals(fetch, lost) if lost else {}
    items = []
    for seq, _, record_id, _, _ in changed:
        if record_id in shown:
            items.append(b'{"seq":%d,%b' % (seq, shown[record_id][1:]))
        elif record_id in removals:
            items.append(removals[record_id])
    full = row["last_seq"] is not None
    end = Head(row["last_seq"], row["last_uid"]) if full else Head(row["head_seq"] or 0, row["head_uid"])
    return Page(items, end, row, row["lag"], row["as_of"])


async def _removals(fetch: Fetch, lost: list[Any]) -> dict[UUID, bytes]:
    """Return what tells of records that are no longer seen: merged into one that is, deleted, or withdrawn."""
    buried = {r["id"]: r for r in await fetch(TOMBSTONES, [e[2] for e in lost])}
    remaining: set[UUID] = set()
    for name in {r["record_type"] for r in buried.values() if r["merged_into"]}:
        targets = [into for r in buried.values() if r["record_type"] == name for into in r["merged_into"] or ()]
        remaining |= {r["id"] for r in await fetch(seen_sql(RESOURCES[name]), targets)}
    found = {}
    for seq, name, record_id, origin, _ in lost:
        item = {"seq": seq, "op": "remove", "type": name, "id": str(record_id), "origin": origin}
        grave = buried.get(record_id)
        into = remaining.intersection(grave["merged_into"] or ()) if grave else None
        if into:  # one at most: of a line of merges only the last is there
            item |= {"op": "merge", "into": str(into.pop())}
        else:
            item["reason"] = "withdrawn" if grave is None else "deleted"
        found[record_id] = json.dumps(item, ensure_ascii=False).encode()
    return found
