"""Routes of cases, and of the charges and sentences in them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.cases.models import CaseIn, CaseRead, ChargeRead, SentenceRead
from app.cases.parts import ChargeQuery, SentenceQuery
from app.cases.queries import CASES, CHARGES, SENTENCES, CaseQuery
from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records

router = APIRouter(prefix="/v1/cases", tags=["cases"], route_class=KeptRoute)
parts = APIRouter(prefix="/v1", tags=["cases"], route_class=KeptRoute)


@router.get("", responses=LIST(CaseRead), response_class=Response)
async def list_cases(query: Annotated[CaseQuery, Query()], caller: CallerDep) -> Response:
    """List cases."""
    return await list_records(CASES, query, caller)


@router.post("", responses=CREATED(CaseRead), response_class=Response, status_code=201)
async def create_case(body: CaseIn, writer: WriterDep) -> Response:
    """Record a case with its charges and sentences in one request."""
    return await create_record(CASES, body, writer)


@router.get("/{record_id}", responses=ONE(CaseRead), response_class=Response)
async def get_case(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one case."""
    return await get_record(CASES, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(CaseRead), response_class=Response)
async def replace_case(record_id: UUID, body: CaseIn, writer: WriterDep) -> Response:
    """Make the case of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(CASES, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(CaseRead), response_class=Response, openapi_extra=patch_of(CaseIn))
async def update_case(record_id: UUID, writer: WriterDep) -> Response:
    """Change a case by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(CASES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_case(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a case; its tombstone answers 410 to whoever could see it."""
    return await delete_record(CASES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_case_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(CASES, record_id, caller)


@parts.get("/charges", responses=LIST(ChargeRead), response_class=Response)
async def list_charges(query: Annotated[ChargeQuery, Query()], caller: CallerDep) -> Response:
    """List charges by themselves: who was charged under what, and how far it came."""
    return await list_records(CHARGES, query, caller)


@parts.get("/sentences", responses=LIST(SentenceRead), response_class=Response)
async def list_sentences(query: Annotated[SentenceQuery, Query()], caller: CallerDep) -> Response:
    """List sentences by themselves, with their components."""
    return await list_records(SENTENCES, query, caller)
