"""The application: this list of routers is the table of contents."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import __version__
from app.cases.routes import parts as case_parts
from app.cases.routes import router as cases
from app.changes.routes import long_bodies as bulk
from app.changes.routes import router as changes
from app.changes.sequencer import Sequencer
from app.core import openapi
from app.core.cache import Cache
from app.core.database import Database
from app.core.direct import Direct, Readings
from app.core.http import Compressed, Problems, add_problem_handlers
from app.core.limits import Limits
from app.core.lookups import Lookups
from app.core.metrics import Metrics
from app.core.replicas import POSITION
from app.core.settings import Settings, get_settings, secret_bytes
from app.events.routes import router as events
from app.events.routes import timelines
from app.exchange.routes import router as exports
from app.explorer.routes import router as explorer
from app.figures.routes import router as figures
from app.organisations.routes import router as organisations
from app.persons.routes import router as persons
from app.places.routes import router as places
from app.sources.routes import router as sources
from app.statistics.routes import router as statistics
from app.statuses.routes import router as statuses
from app.statutes.routes import router as statutes
from app.system.routes import router as system
from app.vocabularies.routes import router as vocabularies

DESCRIPTION = """
Politically motivated persecution, recorded by human-rights monitors: persons, cases, statutes and events,
with their sources.

Reading what is public needs no key. Every error is an `application/problem+json` (RFC 9457).
""".strip()


GARBAGE = 20_000
"""How many more objects made than freed before the youngest are looked through; Python's own 700 are one request's."""

ROUTERS = (
    exports,  # before the others, or `export` would be taken for an id
    persons,
    timelines,
    cases,
    case_parts,
    statutes,
    events,
    organisations,
    places,
    statuses,
    sources,
    figures,
    statistics,
    vocabularies,
    changes,
    bulk,
    system,
    explorer,
)


def when_told_to_stop(do: Callable[[], None]) -> None:
    """Do something as soon as a signal asks the server to stop, which lets requests finish however long they wait."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread has signals; a server in another is stopped in another way
    for number in (signal.SIGTERM, signal.SIGINT):
        asked: Any = signal.getsignal(number)

        def handle(number: int, frame: Any, asked: Any = asked) -> None:
            do()
            asked(number, frame)

        if callable(asked):
            signal.signal(number, handle)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; `CHRONIKA_DATABASE_URL` must be set, the command `chronika serve` sees to it."""
    settings = settings or get_settings()
    if settings.database_url is None:
        msg = "start the service with `chronika serve`, which brings the embedded PostgreSQL up first"
        raise RuntimeError(msg)
    database = Database(settings.database_url, secret_bytes(settings), settings.pool_size, settings.read_database_url)

    sequencer = Sequencer(database)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        when_told_to_stop(sequencer.close)
        numbering = asyncio.create_task(sequencer.run())
        # What is there now stays: looked through for garbage at every turn, it makes some requests wait for long.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE, 50, 100)
        yield
        numbering.cancel()
        await database.close()

    app = FastAPI(
        title="Chronika",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # the operationId is the function's name
        separate_input_output_schemas=False,
        # Whatever the environment says: nothing about readers leaves this process.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = settings
    app.state.database = database
    app.state.lookups = Lookups(database)
    app.state.limits = Limits(settings.requests_per_minute)
    app.state.sequencer = sequencer
    for router in ROUTERS:
        app.include_router(router)
    add_problem_handlers(app)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    # Pure ASGI, the outermost last. A problem is made inside CORS, so that a browser can read it.
    readings = Readings(ROUTERS)
    app.add_middleware(Direct, readings=readings)
    app.add_middleware(Compressed, minimum_size=1000, compresslevel=5)
    if settings.cache_mb:
        app.add_middleware(Cache, readings=readings, room=settings.cache_mb * 1_000_000)
    app.add_middleware(Problems)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", POSITION],
        expose_headers=[
            POSITION,
            "ETag",
            "Link",
            "Location",
            "Record-Count",
            "RateLimit",
            "RateLimit-Policy",
            "Retry-After",
            "X-Request-Id",
        ],
    )
    if settings.metrics:
        app.add_middleware(Metrics)
    return app
