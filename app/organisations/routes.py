"""Routes of organisations: courts, prisons, agencies, NGOs, media, lists."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.organisations.models import OrganisationIn, OrganisationRead
from app.organisations.queries import ORGANISATIONS, OrganisationQuery

router = APIRouter(prefix="/v1/organisations", tags=["organisations"], route_class=KeptRoute)


@router.get("", responses=LIST(OrganisationRead), response_class=Response)
async def list_organisations(query: Annotated[OrganisationQuery, Query()], caller: CallerDep) -> Response:
    """List organisations."""
    return await list_records(ORGANISATIONS, query, caller)


@router.post("", responses=CREATED(OrganisationRead), response_class=Response, status_code=201)
async def create_organisation(body: OrganisationIn, writer: WriterDep) -> Response:
    """Record an organisation."""
    return await create_record(ORGANISATIONS, body, writer)


@router.get("/{record_id}", responses=ONE(OrganisationRead), response_class=Response)
async def get_organisation(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one organisation."""
    return await get_record(ORGANISATIONS, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(OrganisationRead), response_class=Response)
async def replace_organisation(record_id: UUID, body: OrganisationIn, writer: WriterDep) -> Response:
    """Make the organisation of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(ORGANISATIONS, record_id, body, writer)


@router.patch(
    "/{record_id}", responses=CHANGED(OrganisationRead), response_class=Response, openapi_extra=patch_of(OrganisationIn)
)
async def update_organisation(record_id: UUID, writer: WriterDep) -> Response:
    """Change an organisation by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(ORGANISATIONS, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_organisation(record_id: UUID, writer: WriterDep) -> Response:
    """Delete an organisation; its tombstone answers 410 to whoever could see it."""
    return await delete_record(ORGANISATIONS, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_organisation_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(ORGANISATIONS, record_id, caller)
