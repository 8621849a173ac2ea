"""Routes of the statistics: the catalogue, and one route for each measure."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.core.access import CallerDep
from app.core.http import KeptRoute
from app.core.openapi import ETAG, NOT_MODIFIED, problems
from app.statistics import figures as _figures  # noqa: F401 -- puts what is counted beside published figures
from app.statistics.catalogue import Catalogue, catalogue
from app.statistics.formats import StatisticsRead, answer_as
from app.statistics.questions import (
    CasesAsked,
    ChargesAsked,
    EventsAsked,
    FinesAsked,
    SentencesAsked,
    StatusesAsked,
)

router = APIRouter(prefix="/v1/statistics", tags=["statistics"], route_class=KeptRoute)

ANSWER = {
    200: {
        "model": StatisticsRead,
        "headers": ETAG,
        "content": {"text/csv": {}, "application/vnd.vegalite.v6+json": {}, "image/svg+xml": {}},
    },
    **NOT_MODIFIED,
    **problems(),
}


@router.get("", responses={200: {"model": Catalogue, "headers": ETAG}, **NOT_MODIFIED, **problems()})
async def list_measures(caller: CallerDep) -> Response:
    """List what can be counted: each measure's unit, kind, definition, dimensions and parameters."""
    return catalogue(caller)


@router.get("/events", responses=ANSWER, response_class=Response)
async def count_events(asked: Annotated[EventsAsked, Query()], caller: CallerDep) -> Response:
    """Count events."""
    return await answer_as("events", asked, caller)


@router.get("/incidents", responses=ANSWER, response_class=Response)
async def count_incidents(asked: Annotated[EventsAsked, Query()], caller: CallerDep) -> Response:
    """Count cases of repression, each once however many events it has."""
    return await answer_as("incidents", asked, caller)


@router.get("/persons", responses=ANSWER, response_class=Response)
async def count_persons(asked: Annotated[EventsAsked, Query()], caller: CallerDep) -> Response:
    """Count distinct people whom events happened to, named ones and those nobody named."""
    return await answer_as("persons", asked, caller)


@router.get("/cases", responses=ANSWER, response_class=Response)
async def count_cases(asked: Annotated[CasesAsked, Query()], caller: CallerDep) -> Response:
    """Count cases decided or opened."""
    return await answer_as("cases", asked, caller)


@router.get("/charges", responses=ANSWER, response_class=Response)
async def count_charges(asked: Annotated[ChargesAsked, Query()], caller: CallerDep) -> Response:
    """Count charges."""
    return await answer_as("charges", asked, caller)


@router.get("/persons_charged", responses=ANSWER, response_class=Response)
async def count_persons_charged(asked: Annotated[ChargesAsked, Query()], caller: CallerDep) -> Response:
    """Count distinct people charged."""
    return await answer_as("persons_charged", asked, caller)


@router.get("/persons_convicted", responses=ANSWER, response_class=Response)
async def count_persons_convicted(asked: Annotated[SentencesAsked, Query()], caller: CallerDep) -> Response:
    """Count distinct people convicted."""
    return await answer_as("persons_convicted", asked, caller)


@router.get("/sentences", responses=ANSWER, response_class=Response)
async def count_sentences(asked: Annotated[SentencesAsked, Query()], caller: CallerDep) -> Response:
    """Count components of sentences."""
    return await answer_as("sentences", asked, caller)


@router.get("/arrest_days", responses=ANSWER, response_class=Response)
async def count_arrest_days(asked: Annotated[SentencesAsked, Query()], caller: CallerDep) -> Response:
    """Sum the days of administrative arrest."""
    return await answer_as("arrest_days", asked, caller)


@router.get("/imprisonment_days", responses=ANSWER, response_class=Response)
async def count_imprisonment_days(asked: Annotated[SentencesAsked, Query()], caller: CallerDep) -> Response:
    """Sum the days of imprisonment."""
    return await answer_as("imprisonment_days", asked, caller)


@router.get("/fines", responses=ANSWER, response_class=Response)
async def count_fines(asked: Annotated[FinesAsked, Query()], caller: CallerDep) -> Response:
    """Sum fines in one unit, in one currency, or split by unit."""
    return await answer_as("fines", asked, caller)


@router.get("/persons_in_status", responses=ANSWER, response_class=Response)
async def count_persons_in_status(asked: Annotated[StatusesAsked, Query()], caller: CallerDep) -> Response:
    """Count people in a status, on a day or over time."""
    return await answer_as("persons_in_status", asked, caller)


@router.get("/organisations_in_status", responses=ANSWER, response_class=Response)
async def count_organisations_in_status(asked: Annotated[StatusesAsked, Query()], caller: CallerDep) -> Response:
    """Count organisations in a status, on a day or over time."""
    return await answer_as("organisations_in_status", asked, caller)


@router.get("/list_entries", responses=ANSWER, response_class=Response)
async def count_list_entries(asked: Annotated[EventsAsked, Query()], caller: CallerDep) -> Response:
    """Count what was added to lists."""
    return await answer_as("list_entries", asked, caller)
