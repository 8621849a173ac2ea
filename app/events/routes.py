"""Routes of events, and of the timeline that they make of a person's life."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.errors import Gone, NotFound
from app.core.http import KeptRoute
from app.core.openapi import (
    CHANGED,
    CREATED,
    DELETED,
    HISTORY,
    LIST,
    MERGED,
    NOT_MODIFIED,
    ONE,
    WRITTEN,
    patch_of,
    problems,
)
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.events.models import EventIn, EventRead
from app.events.queries import EVENTS, EventQuery
from app.events.timeline import Timeline, get_timeline

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=KeptRoute)
timelines = APIRouter(prefix="/v1/persons", tags=["persons"], route_class=KeptRoute)


@router.get("", responses=LIST(EventRead), response_class=Response)
async def list_events(query: Annotated[EventQuery, Query()], caller: CallerDep) -> Response:
    """List events, the latest first."""
    return await list_records(EVENTS, query, caller)


@router.post("", responses=CREATED(EventRead), response_class=Response, status_code=201)
async def create_event(body: EventIn, writer: WriterDep) -> Response:
    """Record an event with everybody who took part."""
    return await create_record(EVENTS, body, writer)


@router.get("/{record_id}", responses=ONE(EventRead), response_class=Response)
async def get_event(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one event."""
    return await get_record(EVENTS, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(EventRead), response_class=Response)
async def replace_event(record_id: UUID, body: EventIn, writer: WriterDep) -> Response:
    """Make the event of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(EVENTS, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(EventRead), response_class=Response, openapi_extra=patch_of(EventIn))
async def update_event(record_id: UUID, writer: WriterDep) -> Response:
    """Change an event by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(EVENTS, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_event(record_id: UUID, writer: WriterDep) -> Response:
    """Delete an event; its tombstone answers 410 to whoever could see it."""
    return await delete_record(EVENTS, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_event_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(EVENTS, record_id, caller)


@timelines.get(
    "/{record_id}/timeline",
    responses={200: {"model": Timeline}, **NOT_MODIFIED, **MERGED, **problems(NotFound, Gone)},
    response_class=Response,
)
async def get_person_timeline(record_id: UUID, caller: CallerDep) -> Response:
    """Read a person's events, cases and statuses in the order of their dates."""
    return await get_timeline(record_id, caller)
