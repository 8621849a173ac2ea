"""Exports: all records that a filter selects, streamed from PostgreSQL as NDJSON or CSV out of one snapshot.

PostgreSQL writes the bytes and this process passes them on, so memory does not grow with the number of records.
"""

from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Text, cast, select
from starlette.responses import Response

from app.core.access import Caller
from app.core.filters import Filter
from app.core.http import accepted
from app.core.pages import Statement, count_statement, prepare
from app.core.records import Audience, Resource
from app.core.shapes import shape
from app.core.streams import LONGEST_S, Sealed, Sink, StreamedResponse, copy_lines
from app.exchange import ftm, tables


class Asked(Protocol):
    """An export as asked for: a resource's filter."""

    def used(self) -> frozenset[str]:
        """Name the filters in use."""
        ...

    def values(self) -> dict[str, Any]:
        """Return the value of each filter in use."""
        ...


@lru_cache(maxsize=512)
def _statement(resource: Resource, filters: type[Filter], audience: Audience, used: frozenset[str]) -> Statement:
    """Select each record as the JSON that lists answer."""
    row = resource.table
    return prepare(
        select(cast(shape(resource, row, audience), Text)).where(*filters.conditions(used)).order_by(row.c.id)
    )


@lru_cache(maxsize=512)
def _table_statement(resource: Resource, filters: type[Filter], audience: Audience, used: frozenset[str]) -> Statement:
    columns = [column.label(name) for name, column in tables.columns(resource, resource.table, audience)]
    return prepare(select(*columns).where(*filters.conditions(used)).order_by(resource.table.c.id))


async def write(  # noqa: PLR0913, PLR0917 -- what of whom is written how, and where
    connection: Any, resource: Resource, query: Asked, form: str, audience: Audience, sink: Sink
) -> int:
    """Write an export as `ndjson`, `csv` or `ftm` to `sink`, which may wait as long as it likes.

    Returns how many records it held.
    """
    if form == "csv":
        return await _write_table(connection, resource, query, audience, sink)
    statement = _statement(resource, type(query), audience, query.used())
    arguments = statement.arguments(query.values())
    if form == "ftm":
        translate = ftm.Lines(resource.name)

        async def pass_on_entities(data: bytes) -> None:
            if found := translate(data):
                await sink(found)

        await copy_lines(connection, statement.sql, *arguments, sink=pass_on_entities)
        return translate.count
    sealed = Sealed(sink)
    count = await copy_lines(connection, statement.sql, *arguments, sink=sealed)
    await sealed.end(count)
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
ACCEPTED = {"application/x-ndjson": "ndjson", "text/csv": "csv"}
NAMES = {"ndjson": "{}.ndjson", "csv": "{}.csv", "ftm": "{}.ftm.ndjson"}


RECORDS = "Record-Count"
"""Header of the formats that have no last line of their own: how many records the whole export holds."""


async def export_records(resource: Resource, query: Any, caller: Caller) -> Response:
    """Answer everything that a filter selects, in one snapshot, as `format` or else the Accept header asks."""
    form = query.format or accepted(caller.request, ACCEPTED) or "ndjson"

    async def stream(sink: Sink) -> None:
        async with caller.database.stream(caller.audience, LONGEST_S) as connection:
            if form != "ndjson":
                kind: type[Filter] = type(query)
                counting = count_statement(resource, kind, query.used())
                count = await connection.fetchval(counting.sql, *counting.arguments(query.values()))
                response.headers[RECORDS] = str(count)
            await write(connection, resource, query, form, caller.audience, sink)

    name = NAMES[form].format(resource.name)
    headers = {"Content-Type": KINDS[form], "Content-Disposition": f'attachment; filename="{name}"'}
    response = StreamedResponse(stream, headers)
    return response
