"""Routes of statuses."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.statuses.models import StatusIn, StatusRead
from app.statuses.queries import STATUSES, StatusQuery

router = APIRouter(prefix="/v1/statuses", tags=["statuses"], route_class=KeptRoute)


@router.get("", responses=LIST(StatusRead), response_class=Response)
async def list_statuses(query: Annotated[StatusQuery, Query()], caller: CallerDep) -> Response:
    """List statuses; `on` asks which held on a day."""
    return await list_records(STATUSES, query, caller)


@router.post("", responses=CREATED(StatusRead), response_class=Response, status_code=201)
async def create_status(body: StatusIn, writer: WriterDep) -> Response:
    """Record a status of a person or an organisation."""
    return await create_record(STATUSES, body, writer)


@router.get("/{record_id}", responses=ONE(StatusRead), response_class=Response)
async def get_status(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one status."""
    return await get_record(STATUSES, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(StatusRead), response_class=Response)
async def replace_status(record_id: UUID, body: StatusIn, writer: WriterDep) -> Response:
    """Make the status of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(STATUSES, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(StatusRead), response_class=Response, openapi_extra=patch_of(StatusIn))
async def update_status(record_id: UUID, writer: WriterDep) -> Response:
    """Change a status by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(STATUSES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_status(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a status; its tombstone answers 410 to whoever could see it."""
    return await delete_record(STATUSES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_status_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(STATUSES, record_id, caller)
