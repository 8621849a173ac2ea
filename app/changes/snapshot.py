"""The snapshot: everything a caller may see, as of one moment, one line a record, with an end that can be verified."""

import hashlib
import json
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from app.changes import cursors
from app.changes.actions import NO_STORE, place_at, sequencer_of
from app.changes.models import RESOURCES, Selection
from app.changes.queries import head_sql, item_sql
from app.changes.sequencer import Head
from app.core.access import Caller
from app.core.records import Audience, Resource

CHUNK = 64_000
"""Bytes sent at a time: the memory that a snapshot takes does not grow with the registry."""

AT_ONCE = 200
"""Rows fetched from PostgreSQL at a time."""


@cache
def _statement(resource: Resource, audience: Audience) -> str:
    return (
        f"SELECT {item_sql(resource, audience)} FROM {resource.name} AS r "  # noqa: S608 -- our own names
        "WHERE $1::varchar IS NULL OR r.origin IS DISTINCT FROM $1::varchar ORDER BY r.id"
    )


async def stream_snapshot(selection: Selection, caller: Caller) -> Response:
    """Answer the snapshot; what goes wrong before its first line is a problem, later it is an end that is missing."""
    await sequencer_of(caller.request).try_number()
    chunks = _chunks(selection, caller)
    first = await anext(chunks)
    return StreamingResponse(_from(first, chunks), 200, NO_STORE, media_type="application/x-ndjson")


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _chunks(selection: Selection, caller: Caller) -> AsyncIterator[bytes]:
    """Yield the lines in chunks, all read in one transaction; the cursor's place is of the same moment."""
    checksum, count = hashlib.sha256(), 0
    async with caller.database.stream(caller.audience) as connection:
        head = await connection.fetchrow(head_sql(caller.audience))
        # The moment is fixed by now; what is numbered after it covers all that can be seen in it.
        horizon = await sequencer_of(caller.request).horizon(caller.audience)
        place = place_at(caller, selection, head["feed"], Head(head["seq"], head["uid"]), horizon)
        first = {
            "cursor": cursors.write(place, caller.database.secret),
            "as_of": head["as_of"].isoformat().replace("+00:00", "Z"),
            "types": selection.names(),
        }
        pending = [json.dumps(first) + "\n"]
        size = CHUNK  # the cursor leaves at once, so that a failing start is seen before the answer begins
        for name in selection.names():
            sql = _statement(RESOURCES[name], caller.audience)
            rows: Any = connection.cursor(sql, selection.exclude_origin, prefetch=AT_ONCE)
            async for row in rows:
                if size >= CHUNK:
                    yield _take(pending, checksum)
                    size = 0
                pending.append(row[0] + "\n")
                size += len(row[0])
                count += 1
    yield _take(pending, checksum)
    yield json.dumps({"end": True, "count": count, "sha256": checksum.hexdigest()}).encode() + b"\n"


def _take(pending: list[str], checksum: Any) -> bytes:
    chunk = "".join(pending).encode()
    pending.clear()
    checksum.update(chunk)
    return chunk
