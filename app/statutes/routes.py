"""Routes of statutes: the example that every other resource follows."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.statutes.models import StatuteIn, StatuteRead
from app.statutes.queries import STATUTES, StatuteQuery

router = APIRouter(prefix="/v1/statutes", tags=["statutes"], route_class=KeptRoute)


@router.get("", responses=LIST(StatuteRead), response_class=Response)
async def list_statutes(query: Annotated[StatuteQuery, Query()], caller: CallerDep) -> Response:
    """List statutes; `statute=BY-CC-342` finds the article and its parts."""
    return await list_records(STATUTES, query, caller)


@router.post("", responses=CREATED(StatuteRead), response_class=Response, status_code=201)
async def create_statute(body: StatuteIn, writer: WriterDep) -> Response:
    """Record a statute."""
    return await create_record(STATUTES, body, writer)


@router.get("/{record_id}", responses=ONE(StatuteRead), response_class=Response)
async def get_statute(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one statute."""
    return await get_record(STATUTES, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(StatuteRead), response_class=Response)
async def replace_statute(record_id: UUID, body: StatuteIn, writer: WriterDep) -> Response:
    """Make the statute of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(STATUTES, record_id, body, writer)


@router.patch(
    "/{record_id}", responses=CHANGED(StatuteRead), response_class=Response, openapi_extra=patch_of(StatuteIn)
)
async def update_statute(record_id: UUID, writer: WriterDep) -> Response:
    """Change a statute by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(STATUTES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_statute(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a statute; its tombstone answers 410 to whoever could see it."""
    return await delete_record(STATUTES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_statute_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(STATUTES, record_id, caller)
