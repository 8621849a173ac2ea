"""Routes of figures: numbers that others published."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep, EditorDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.http import KeptRoute
from app.core.openapi import CHANGED, CREATED, DELETED, HISTORY, LIST, ONE, WRITTEN, patch_of
from app.core.pages import OneQuery
from app.core.reads import get_history, get_record, list_records
from app.figures.models import FigureComputed, FigureIn, FigureRead
from app.figures.queries import FIGURES, FigureQuery, answer_figures

router = APIRouter(prefix="/v1/figures", tags=["figures"], route_class=KeptRoute)


@router.get("", responses=LIST(FigureComputed), response_class=Response)
async def list_figures(query: Annotated[FigureQuery, Query()], caller: CallerDep) -> Response:
    """List published figures; `include=computed` puts beside each what the service itself counts."""
    return await answer_figures(lambda plain: list_records(FIGURES, plain, caller), query, caller)


@router.post("", responses=CREATED(FigureRead), response_class=Response, status_code=201)
async def create_figure(body: FigureIn, writer: WriterDep) -> Response:
    """Record a published figure."""
    return await create_record(FIGURES, body, writer)


@router.get("/{record_id}", responses=ONE(FigureComputed), response_class=Response)
async def get_figure(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one figure; `include=computed` puts beside it what the service itself counts."""
    return await answer_figures(lambda plain: get_record(FIGURES, record_id, plain, caller), query, caller)


@router.put("/{record_id}", responses=WRITTEN(FigureRead), response_class=Response)
async def replace_figure(record_id: UUID, body: FigureIn, writer: WriterDep) -> Response:
    """Make the figure of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(FIGURES, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(FigureRead), response_class=Response, openapi_extra=patch_of(FigureIn))
async def update_figure(record_id: UUID, writer: WriterDep) -> Response:
    """Change a figure by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(FIGURES, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_figure(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a figure; its tombstone answers 410 to whoever could see it."""
    return await delete_record(FIGURES, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_figure_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(FIGURES, record_id, caller)
