"""Routes of places."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.places.models import PlaceIn, PlaceRead
from app.places.queries import PLACES, PlaceQuery

router = APIRouter(prefix="/v1/places", tags=["places"], route_class=KeptRoute)


@router.get("", responses=LIST(PlaceRead), response_class=Response)
async def list_places(query: Annotated[PlaceQuery, Query()], caller: CallerDep) -> Response:
    """List places."""
    return await list_records(PLACES, query, caller)


@router.post("", responses=CREATED(PlaceRead), response_class=Response, status_code=201)
async def create_place(body: PlaceIn, writer: WriterDep) -> Response:
    """Record a place."""
    return await create_record(PLACES, body, writer)


@router.get("/{record_id}", responses=ONE(PlaceRead), response_class=Response)
async def get_place(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one place."""
    return await get_record(PLACES, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(PlaceRead), response_class=Response)
async def replace_place(record_id: UUID, body: PlaceIn, writer: WriterDep) -> Response:
    """Make the place of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(PLACES, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(PlaceRead), response_class=Response, openapi_extra=patch_of(PlaceIn))
async def update_place(record_id: UUID, writer: WriterDep) -> Response:
    """Change a place by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(PLACES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_place(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a place; its tombstone answers 410 to whoever could see it."""
    return await delete_record(PLACES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_place_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(PLACES, record_id, caller)
