"""Exports: all records that a filter selects, streamed from PostgreSQL as NDJSON or CSV out of one snapshot.

PostgreSQL writes the bytes and this process passes them on, so memory does not grow with the number of records.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Text, cast, select
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.core.access import Caller
from app.core.database import Database
from app.core.errors import Unavailable
from app.core.filters import Filter
from app.core.pages import Statement, prepare
from app.core.records import Audience, Resource
from app.core.shapes import shape
from app.exchange import ftm, tables

LONGEST_S = 3600
"""The longest that one export may take. The login's own limit is meant for answers of one page, so an export lifts it
within its own transaction, up to this bound."""

STALL_S = 60
"""How long an export waits for a client that does not take its bytes, before it lets the connection go."""

Sink = Callable[[bytes], Awaitable[None]]


class Asked(Protocol):
    """An export as asked for: a resource's filter together with a format."""

    @property
    def format(self) -> str:
        """Return ndjson, csv or ftm."""
        ...

    def used(self) -> frozenset[str]:
        """Name the filters in use."""
        ...

    def values(self) -> dict[str, Any]:
        """Return the value of each filter in use."""
        ...


@lru_cache(maxsize=512)
def _statement(resource: Resource, filters: type[Filter], audience: Audience, used: frozenset[str]) -> Statement:
    """Select each record as the JSON that lists answer, on a line of its own."""
    row = resource.table
    line = tables.one_line(cast(shape(resource, row, audience), Text))
    return prepare(select(line).where(*filters.conditions(used)).order_by(row.c.id))


@lru_cache(maxsize=512)
def _table_statement(resource: Resource, filters: type[Filter], audience: Audience, used: frozenset[str]) -> Statement:
    columns = [column.label(name) for name, column in tables.columns(resource, resource.table, audience)]
    return prepare(select(*columns).where(*filters.conditions(used)).order_by(resource.table.c.id))


PLAIN: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01", "escape": "\x01"}
"""COPY's CSV with a delimiter and a quote that JSON never holds: its bytes are the JSON texts, nothing is escaped."""


@asynccontextmanager
async def snapshot(database: Database, audience: Audience) -> AsyncIterator[Any]:
    """Yield a connection inside a reading transaction that may take as long as an export does."""
    async with (
        database.connection(audience) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(f"SET LOCAL statement_timeout = '{LONGEST_S}s'")
        yield connection


async def write(connection: Any, resource: Resource, query: Asked, audience: Audience, sink: Sink) -> int:
    """Write an export to `sink`, which may wait as long as it likes, and return how many records it held."""
    if query.format == "csv":
        return await _write_table(connection, resource, query, audience, sink)
    statement = _statement(resource, type(query), audience, query.used())
    arguments = statement.arguments(query.values())
    digest = hashlib.sha256()

    async def pass_on(data: bytes) -> None:
        digest.update(data)
        await sink(data)

    if query.format == "ftm":
        translate = ftm.Lines(resource.name)

        async def pass_on_entities(data: bytes) -> None:
            if found := translate(data):
                await pass_on(found)

        await connection.copy_from_query(statement.sql, *arguments, output=pass_on_entities, **PLAIN)
        return translate.count
    done = await connection.copy_from_query(statement.sql, *arguments, output=pass_on, **PLAIN)
    count = int(done.split()[-1])
    await sink(json.dumps({"end": True, "count": count, "sha256": digest.hexdigest()}).encode() + b"\n")
    return count


async def _write_table(connection: Any, resource: Resource, query: Asked, audience: Audience, sink: Sink) -> int:
    """Write CSV as RFC 4180 has it, with CRLF between the records and line breaks inside a cell as they are."""
    statement = _table_statement(resource, type(query), audience, query.used())

    async def pass_on(data: bytes) -> None:
        await sink(data.replace(b"\n", b"\r\n").replace(tables.BREAK.encode(), b"\n"))

    done = await connection.copy_from_query(
        statement.sql,
        *statement.arguments(query.values()),
        output=pass_on,
        format="csv",
        header=True,
        force_quote=tables.quoted(resource),
    )
    return int(done.split()[-1])


KINDS = {
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8; header=present",
    "ftm": "application/x-ndjson",
}
NAMES = {"ndjson": "{}.ndjson", "csv": "{}.csv", "ftm": "{}.ftm.ndjson"}


class Exports:
    """Counts the exports that run, so that they never take all of an audience's connections from its lists."""

    def __init__(self) -> None:
        """Begin with none."""
        self.running: dict[Audience, int] = {}

    def start(self, audience: Audience, most: int) -> None:
        """Count one more; raises `Unavailable` where there are `most` already."""
        if self.running.get(audience, 0) >= most:
            detail = "As many exports as this service runs at once are running; come back in a while."
            raise Unavailable(detail)
        self.running[audience] = self.running.get(audience, 0) + 1

    def end(self, audience: Audience) -> None:
        """Count one less."""
        self.running[audience] -= 1


EXPORTS = Exports()


class ExportResponse(Response):
    """Streams an export to the client at the client's pace; a client that goes away ends it in the database too."""

    def __init__(self, resource: Resource, query: Asked, caller: Caller) -> None:
        """Remember what to stream; nothing is asked of the database yet."""
        self.resource, self.query, self.caller = resource, query, caller
        self.background = None
        self.status_code = 200
        self.init_headers(
            {
                "Content-Type": KINDS[query.format],
                "Content-Disposition": f'attachment; filename="{NAMES[query.format].format(resource.name)}"',
                "Cache-Control": "no-store",
            }
        )

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream; an error before the first byte is a problem, one after it cuts the answer short of its trailer."""
        audience = self.caller.audience
        EXPORTS.start(audience, max(1, self.caller.request.app.state.settings.pool_size // 2))
        try:
            streaming = asyncio.ensure_future(self._stream(send))
            leaving = asyncio.ensure_future(_disconnected(receive))
            try:
                await asyncio.wait({streaming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if streaming.done():
                    streaming.result()
            finally:
                streaming.cancel()
                leaving.cancel()
                await asyncio.gather(streaming, leaving, return_exceptions=True)
        finally:
            EXPORTS.end(audience)

    async def _stream(self, send: Send) -> None:
        started = False

        async def sink(data: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.timeout(STALL_S):
                await send({"type": "http.response.body", "body": data, "more_body": True})

        async with snapshot(self.caller.database, self.caller.audience) as connection:
            await write(connection, self.resource, self.query, self.caller.audience, sink)
            if not started:  # an empty set of entities
                await sink(b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def export_records(resource: Resource, query: Asked, caller: Caller) -> Response:
    """Answer everything that a filter selects, in one snapshot."""
    return ExportResponse(resource, query, caller)
