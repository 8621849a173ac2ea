"""Routes about the service itself: is it alive, is it ready, what does it hold, and what do its problems mean."""

import json
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from app import __version__
from app.changes.actions import feed_position
from app.core import fold
from app.core.access import CallerDep
from app.core.errors import KINDS, NotFound, Problem, Unavailable
from app.core.http import Route, conditional, etag_of
from app.core.metrics import exposition
from app.core.openapi import NOT_MODIFIED, problems
from app.core.records import Audience
from app.core.schema import head
from app.system.queries import AT_HEAD, COUNTS, FOLDED

router = APIRouter(tags=["system"], route_class=Route)


class Health(BaseModel):
    """Whether the service is well."""

    status: str = Field(description="ok")


class Feed(BaseModel):
    """How far the caller's change feed has come."""

    position: int = Field(description="Number of its last entry; each role's feed is counted apart.")
    lag_s: float = Field(description="Age in seconds of the oldest change that has no number yet; 0 if none.")


class Status(BaseModel):
    """What the service is and holds, as far as the caller may see."""

    name: str = Field(description="chronika")
    version: str = Field(description="Version of the program.")
    records: dict[str, int] = Field(description="Resource → how many records the caller may see.")
    feed: Feed = Field(description="How far the caller's change feed has come.")
    changed_at: datetime | date | None = Field(
        description="When something last changed that the caller may see (UTC): the instant for editors, else the day."
    )


class Explained(BaseModel):
    """What a kind of problem means."""

    type: str = Field(description="Path of this page, as problems give it.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="HTTP status code it is answered with.")
    meaning: str = Field(description="What it means.")


@router.get("/livez", responses={200: {"model": Health}})
async def get_liveness() -> Response:
    """Tell that the process answers; asks no database."""
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@router.get("/readyz", responses={200: {"model": Health}, **problems()})
async def get_readiness(caller: CallerDep) -> Response:
    """Tell whether the database is reachable, and its schema and names are as this version needs them; 503 if not."""
    row = await caller.database.row(Audience.PUBLIC, AT_HEAD, head())
    if row and row[0]:
        row = await caller.database.row(Audience.PUBLIC, FOLDED, fold.VERSION)
    if row is None or not row[0]:
        detail = "The database is not as this version needs it; run `chronika db upgrade`."
        raise Unavailable(detail)
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Read this process's metrics in Prometheus's text format; 404 unless CHRONIKA_METRICS is on."""
    if not request.app.state.settings.metrics:
        raise NotFound
    return Response(exposition(), media_type="text/plain; version=0.0.4", headers={"Cache-Control": "no-store"})


@router.get("/v1/status", responses={200: {"model": Status}, **NOT_MODIFIED, **problems()}, response_class=Response)
async def get_service_status(caller: CallerDep) -> Response:
    """Read what the service is, how many records of each kind the caller may see, and how far the feed has come."""
    counts = await caller.database.row(caller.audience, COUNTS)
    position, lag, changed_at = await feed_position(caller)
    status = Status(
        name="chronika",
        version=__version__,
        records=json.loads(counts[0]),
        feed=Feed(position=position, lag_s=lag),
        changed_at=changed_at,
    )
    body = status.model_dump_json().encode()
    return conditional(caller.request, body, etag_of(body))


@router.get("/problems/{kind}", responses={200: {"model": Explained}, **problems(NotFound)})
async def get_problem(
    kind: Annotated[str, Path(max_length=64, description="Last part of a problem's `type`.")],
) -> Response:
    """Read what a kind of problem means."""
    found: type[Problem] | None = next((k for k in KINDS if k.slug == kind), None)
    if found is None:
        raise NotFound
    meaning = (found.__doc__ or "").strip().splitlines()[0]
    return JSONResponse({"type": f"/problems/{kind}", "title": found.title, "status": found.status, "meaning": meaning})
