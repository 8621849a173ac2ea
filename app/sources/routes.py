"""Routes of sources."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.sources.models import SourceIn, SourceRead
from app.sources.queries import SOURCES, SourceQuery

router = APIRouter(prefix="/v1/sources", tags=["sources"], route_class=KeptRoute)


@router.get("", responses=LIST(SourceRead), response_class=Response)
async def list_sources(query: Annotated[SourceQuery, Query()], caller: CallerDep) -> Response:
    """List sources."""
    return await list_records(SOURCES, query, caller)


@router.post("", responses=CREATED(SourceRead), response_class=Response, status_code=201)
async def create_source(body: SourceIn, writer: WriterDep) -> Response:
    """Record a source; nothing is fetched from its URL."""
    return await create_record(SOURCES, body, writer)


@router.get("/{record_id}", responses=ONE(SourceRead), response_class=Response)
async def get_source(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one source."""
    return await get_record(SOURCES, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(SourceRead), response_class=Response)
async def replace_source(record_id: UUID, body: SourceIn, writer: WriterDep) -> Response:
    """Make the source of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(SOURCES, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(SourceRead), response_class=Response, openapi_extra=patch_of(SourceIn))
async def update_source(record_id: UUID, writer: WriterDep) -> Response:
    """Change a source by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(SOURCES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_source(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a source; its tombstone answers 410 to whoever could see it."""
    return await delete_record(SOURCES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_source_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(SOURCES, record_id, caller)
