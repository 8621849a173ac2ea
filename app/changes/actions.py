"""What the feed does: check a cursor, read a page, wait for one, note a confirmation."""

import asyncio
import json
from datetime import date, datetime
from functools import partial
from typing import Any

from fastapi import Request, Response

from app.changes import cursors
from app.changes.cursors import NOWHERE, Place
from app.changes.models import CEILINGS, TYPES, ChangesQuery, Selection, UnconfirmedQuery
from app.changes.pages import Page, read_page
from app.changes.queries import CONFIRM, LAG, UNCONFIRMED, check_sql, head_sql
from app.changes.sequencer import LOGIN, Head, Sequencer
from app.core.access import Caller
from app.core.errors import CursorExpired, CursorRequired, FeedDiverged, ScopeChanged, Unauthorised

NO_STORE = {"Cache-Control": "no-store"}
"""No page of the feed is answered from any cache: an old one would look like the end."""


def sequencer_of(request: Request) -> Sequencer:
    """Return this process's sequencer."""
    found: Sequencer = request.app.state.sequencer
    return found


def place_at(caller: Caller, selection: Selection, feed: Any, at: Head, horizon: Head) -> Place:
    """Return a place in the caller's feed."""
    level, types, excluded = CEILINGS[caller.audience], cursors.types_of(selection), cursors.excluded_by(selection)
    return Place(feed, level, types, excluded, at.seq, at.uid or NOWHERE, horizon.seq, horizon.uid or NOWHERE)


def check_scope(place: Place, caller: Caller, selection: Selection) -> None:
    """Raise `ScopeChanged` unless the cursor was given for this level and this selection."""
    ours = (CEILINGS[caller.audience], cursors.types_of(selection), cursors.excluded_by(selection))
    if (place.level, place.types, place.excluded) != ours:
        detail = "The cursor was given for another role, other types or another exclude_origin; begin again there."
        raise ScopeChanged(detail, snapshot=cursors.snapshot_url(selection))


def check_place(place: Place, row: Any, selection: Selection) -> None:
    """Raise `FeedDiverged` or `CursorExpired` unless the rows at the cursor's numbers are those that it saw.

    `row` has the feed's id, `here` and `there`, the uids at place and horizon, and `oldest`, the first number kept.
    """
    again = cursors.snapshot_url(selection)
    if row["feed"] == place.feed:
        reached = row["here"] == place.uid or (place.seq == 0 and (row["oldest"] or 1) == 1)
        if reached and (row["there"] == place.horizon_uid or place.horizon == 0):
            return
        if row["here"] is None and row["oldest"] is not None and place.seq < row["oldest"]:
            detail = "The feed no longer holds what came after this cursor; begin again from the snapshot."
            raise CursorExpired(detail, snapshot=again)
    detail = "This server does not have what the cursor has seen; begin again from the snapshot."
    raise FeedDiverged(detail, snapshot=again)


async def read_changes(query: ChangesQuery, caller: Caller) -> Response:
    """Answer one page of the feed; with `wait`, an empty one only after that time. Holds no connection meanwhile."""
    if query.cursor is None:
        detail = "Begin with the snapshot: its first line is a cursor, and the feed goes on from there."
        raise CursorRequired(detail, snapshot=cursors.snapshot_url(query))
    place = cursors.read(query.cursor, caller.database.secret)
    check_scope(place, caller, query)
    sequencer = sequencer_of(caller.request)
    loop = asyncio.get_running_loop()
    until = loop.time() + query.wait
    # A page is never older than the cursor that asks for it, nor a record than its entry: only the primary is so new.
    fetch = partial(caller.database.primary.fetch, caller.audience)
    while True:
        behind = await sequencer.behind(CEILINGS[caller.audience])
        page = await read_page(
            fetch,
            caller.audience,
            place.seq,
            limit=query.limit,
            types=query.names(),
            excluded=query.exclude_origin,
            horizon=place.horizon,
        )
        check_place(place, page.checked, query)
        horizon = Head(place.horizon, place.horizon_uid) if place.horizon > page.end.seq else page.end
        if page.items:
            horizon = await sequencer.horizon(caller.audience)
        place = place_at(caller, query, place.feed, page.end, horizon)
        if page.items or page.lag is not None or behind or loop.time() >= until:
            return _answer(page, place, caller, behind=behind)
        # Nothing for this selection: the place has moved on all the same, and the wait goes on from there.
        if not await sequencer.moved(caller.audience, place.seq, until) or await caller.request.is_disconnected():
            return _answer(page, place, caller)


def _answer(page: Page, place: Place, caller: Caller, *, behind: bool = False) -> Response:
    rest = {
        "cursor": cursors.write(place, caller.database.secret),
        "has_more": page.lag is not None or behind,
        "as_of": page.as_of.isoformat().replace("+00:00", "Z"),
        "lag_s": round(max(page.lag or 0.0, 0.0), 3),
    }
    body = b'{"items":[%b],%b' % (b",".join(page.items), json.dumps(rest)[1:].encode())
    return Response(body, 200, NO_STORE, media_type="application/json")


async def feed_position(caller: Caller) -> tuple[int, float, datetime | date | None]:
    """Return the last number of the caller's feed, its lag in seconds, and when its last change was made.

    Only editors are told the instant; others the day, since instants of taking in tell of who was spoken to when.
    """
    head = await caller.database.row(caller.audience, head_sql(caller.audience))
    lag = await caller.database.row(LOGIN, LAG, CEILINGS[caller.audience])
    at: datetime | None = head["at"]
    shown = at if at is None or caller.audience.sees_everything else at.date()
    return head["seq"], round(max(lag[0], 0.0), 3), shown


async def confirm(cursor: str, caller: Caller) -> Response:
    """Note how far the holder of the key has stored the feed; 204."""
    if caller.key is None:
        detail = "Only the holder of a key can confirm: `Authorization: Bearer chr_…`."
        raise Unauthorised(detail)
    place = cursors.read(cursor, caller.database.secret)
    selection = cursors.selection_of(place, caller.key.origin)
    if place.level != CEILINGS[caller.audience]:
        detail = "The cursor was given for another role; begin again from the snapshot."
        raise ScopeChanged(detail, snapshot=cursors.snapshot_url(selection))
    row = await caller.database.row(caller.audience, check_sql(caller.audience), place.seq, place.horizon)
    check_place(place, row, selection)
    arguments = (caller.key.id, place.types, place.level, place.seq, place.uid)
    await caller.database.row(LOGIN, CONFIRM, *arguments)
    return Response(status_code=204, headers=NO_STORE)


async def list_unconfirmed(query: UnconfirmedQuery, caller: Caller) -> Response:
    """Answer the withdrawals that some partner has not confirmed, for editors."""
    await sequencer_of(caller.request).try_number()
    before = query.before or 2**63 - 1
    here = caller.request.app.state.settings.origin
    asked = (list(TYPES), before, query.limit + 1, here)
    rows = await caller.database.primary.fetch(caller.audience, UNCONFIRMED, *asked)
    items = [
        {
            "seq": r["seq"],
            "type": r["record_type"],
            "id": str(r["record_id"]),
            "reason": "deleted" if r["deleted"] else "withdrawn",
            "withdrawn_at": r["at"].isoformat(),
            "partners": json.loads(r["partners"]),
        }
        for r in rows[: query.limit]
    ]
    following = items[-1]["seq"] if len(rows) > query.limit else None
    body = json.dumps({"items": items, "next": following}, ensure_ascii=False)
    return Response(body, 200, NO_STORE, media_type="application/json")
