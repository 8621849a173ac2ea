"""The snapshot: everything a caller may see, as of one moment, one line a record, with an end that can be verified."""

import json
from functools import cache
from typing import Any

from fastapi import Response

from app.changes import cursors
from app.changes.actions import place_at, sequencer_of
from app.changes.models import RESOURCES, Selection
from app.changes.queries import head_sql, item_sql
from app.changes.sequencer import Head
from app.core.access import Caller
from app.core.records import Audience, Resource
from app.core.streams import LONGEST_S, Sealed, Sink, StreamedResponse, copy_lines


@cache
def _statement(resource: Resource, audience: Audience) -> str:
    return (
        f"SELECT {item_sql(resource, audience)} FROM {resource.name} AS r "  # noqa: S608 -- our own names
        "WHERE $1::varchar IS NULL OR r.origin IS DISTINCT FROM $1::varchar ORDER BY r.id"
    )


async def stream_snapshot(selection: Selection, caller: Caller) -> Response:
    """Answer the snapshot; what goes wrong before its first line is a problem, later it is an end that is missing."""
    await sequencer_of(caller.request).try_number()

    async def stream(sink: Sink) -> None:
        async with caller.database.stream(caller.audience, LONGEST_S) as connection:
            await _write(connection, selection, caller, sink)

    return StreamedResponse(stream, {"Content-Type": "application/x-ndjson"})


async def _write(connection: Any, selection: Selection, caller: Caller, sink: Sink) -> None:
    """Write all lines, read in one transaction; the cursor's place is of the same moment."""
    head = await connection.fetchrow(head_sql(caller.audience))
    # The moment is fixed by now; what is numbered after it covers all that can be seen in it.
    horizon = await sequencer_of(caller.request).horizon(caller.audience)
    place = place_at(caller, selection, head["feed"], Head(head["seq"], head["uid"]), horizon)
    first = {
        "cursor": cursors.write(place, caller.database.secret),
        "as_of": head["as_of"].isoformat().replace("+00:00", "Z"),
        "types": selection.names(),
    }
    sealed = Sealed(sink)
    await sealed(json.dumps(first).encode() + b"\n")
    count = 0
    for name in selection.names():
        sql = _statement(RESOURCES[name], caller.audience)
        count += await copy_lines(connection, sql, selection.exclude_origin, sink=sealed)
    await sealed.end(count)
