"""Routes of exports: for each list, everything that its filters select, in one stream.

They stand here and not with their features because this room sees all of them; included before the features' own
routes, `/export` is not taken for an id.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.cases.queries import CASES, CHARGES, SENTENCES
from app.core.access import CallerDep
from app.core.http import Route
from app.core.openapi import problems
from app.events.queries import EVENTS
from app.exchange.export import RECORDS, export_records
from app.exchange.queries import (
    CaseExport,
    ChargeExport,
    EventExport,
    FigureExport,
    OrganisationExport,
    PersonExport,
    PlaceExport,
    SentenceExport,
    SourceExport,
    StatusExport,
    StatuteExport,
)
from app.figures.queries import FIGURES
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.places.queries import PLACES
from app.sources.queries import SOURCES
from app.statuses.queries import STATUSES
from app.statutes.queries import STATUTES

router = APIRouter(prefix="/v1", tags=["exports"], route_class=Route)

EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All of it in one snapshot, as a file.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
        "headers": {
            "Content-Disposition": {"description": "What to call the file.", "schema": {"type": "string"}},
            RECORDS: {
                "description": "Of csv and ftm: how many records the whole export holds; with fewer it was cut short.",
                "schema": {"type": "integer"},
            },
        },
    },
    **problems(),
}


@router.get("/persons/export", responses=EXPORT, response_class=Response)
async def export_persons(query: Annotated[PersonExport, Query()], caller: CallerDep) -> Response:
    """Export persons."""
    return await export_records(PERSONS, query, caller)


@router.get("/cases/export", responses=EXPORT, response_class=Response)
async def export_cases(query: Annotated[CaseExport, Query()], caller: CallerDep) -> Response:
    """Export cases with their charges and sentences."""
    return await export_records(CASES, query, caller)


@router.get("/statutes/export", responses=EXPORT, response_class=Response)
async def export_statutes(query: Annotated[StatuteExport, Query()], caller: CallerDep) -> Response:
    """Export statutes."""
    return await export_records(STATUTES, query, caller)


@router.get("/events/export", responses=EXPORT, response_class=Response)
async def export_events(query: Annotated[EventExport, Query()], caller: CallerDep) -> Response:
    """Export events with their participants."""
    return await export_records(EVENTS, query, caller)


@router.get("/organisations/export", responses=EXPORT, response_class=Response)
async def export_organisations(query: Annotated[OrganisationExport, Query()], caller: CallerDep) -> Response:
    """Export organisations."""
    return await export_records(ORGANISATIONS, query, caller)


@router.get("/places/export", responses=EXPORT, response_class=Response)
async def export_places(query: Annotated[PlaceExport, Query()], caller: CallerDep) -> Response:
    """Export places."""
    return await export_records(PLACES, query, caller)


@router.get("/statuses/export", responses=EXPORT, response_class=Response)
async def export_statuses(query: Annotated[StatusExport, Query()], caller: CallerDep) -> Response:
    """Export statuses."""
    return await export_records(STATUSES, query, caller)


@router.get("/sources/export", responses=EXPORT, response_class=Response)
async def export_sources(query: Annotated[SourceExport, Query()], caller: CallerDep) -> Response:
    """Export sources."""
    return await export_records(SOURCES, query, caller)


@router.get("/figures/export", responses=EXPORT, response_class=Response)
async def export_figures(query: Annotated[FigureExport, Query()], caller: CallerDep) -> Response:
    """Export published figures."""
    return await export_records(FIGURES, query, caller)


@router.get("/charges/export", responses=EXPORT, response_class=Response)
async def export_charges(query: Annotated[ChargeExport, Query()], caller: CallerDep) -> Response:
    """Export charges, a row for each."""
    return await export_records(CHARGES, query, caller)


@router.get("/sentences/export", responses=EXPORT, response_class=Response)
async def export_sentences(query: Annotated[SentenceExport, Query()], caller: CallerDep) -> Response:
    """Export sentences, a row for each, with their components."""
    return await export_records(SENTENCES, query, caller)
