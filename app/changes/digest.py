"""Digests: checksums over content alone, so that two registries that hold the same records have the same digests."""

import json
from functools import cache, reduce
from typing import Any
from uuid import UUID

from fastapi import Response
from sqlalchemy import ColumnElement, FromClause, Table, Text, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.changes import cursors
from app.changes.actions import NO_STORE, place_at, sequencer_of
from app.changes.models import CEILINGS, RESOURCES, DigestQuery, Selection
from app.changes.queries import DIALECT, head_sql
from app.changes.sequencer import Head
from app.core.access import Caller
from app.core.records import LEVELS, Links, Part, Record, Resource
from app.core.refs import TARGETS

SQL = ColumnElement[Any]

LOCAL = frozenset({*Record.model_fields, "position", "within", "folded"}) - {
    "level",
    "publication_ground",
    "confidence",
}
"""Columns that differ between registries which hold the same: ids, counters, search keys; identity is hashed beside."""


def _identity(table: str, column: SQL) -> SQL:
    """Return what a reference stands for everywhere: origin and origin id, instead of an id that is local."""
    row = TARGETS[table].table.alias()
    return select(func.jsonb_build_array(row.c.origin, row.c.origin_id)).where(row.c.id == column).scalar_subquery()


def _content(table: Table, source: FromClause, lists: dict[str, SQL]) -> SQL:
    """Return a row's content as jsonb, whose text is canonical: columns, references and nested lists, nothing local."""
    values = dict(lists)
    for column in table.c:
        key = next(iter(column.foreign_keys), None)
        if column.name in LOCAL or column.computed is not None or (key and key.ondelete == "CASCADE"):
            continue  # a foreign key that cascades names the record which the row is part of
        values[column.name] = _identity(key.column.table.name, source.c[column.name]) if key else source.c[column.name]
    pairs = [part for name, value in values.items() for part in (literal_column(f"'{name}'"), value)]
    # A function takes a hundred arguments at most.
    objects: list[SQL] = [func.jsonb_build_object(*pairs[n : n + 80]) for n in range(0, len(pairs), 80)]
    return func.jsonb_strip_nulls(reduce(lambda whole, more: whole.op("||")(more), objects))


def _list(item: SQL, row: FromClause, on: SQL) -> SQL:
    return select(func.jsonb_agg(aggregate_order_by(item, row.c.position, row.c.id))).where(on).scalar_subquery()


def _part(part: Part, holder: FromClause) -> SQL:
    row = part.table.alias()
    return _list(
        _content(part.table, row, {p.name: _part(p, row) for p in part.parts}), row, row.c[part.owner] == holder.c.id
    )


def _links(links: Links, holder: FromClause) -> SQL:
    row = links.table.alias()
    return _list(_identity(links.to, row.c[links.column]), row, row.c[links.owner] == holder.c.id)


@cache
def digest_sql(resource: Resource) -> str:
    """Return the statement of a digest: $1 an origin to leave out or null, $2 the ids to take or null for all."""
    row = resource.table.alias("r")
    lists = {p.name: _part(p, row) for p in resource.parts} | {x.name: _links(x, row) for x in resource.links}
    text = select(cast(_content(resource.table, row, lists), Text).label("content"), row.c.origin, row.c.origin_id)
    whole = str(text.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
    return f"""
SELECT encode(substring(key FROM 1 FOR 1), 'hex') AS bucket, count(*) AS count,
       encode(sha256(string_agg(key || sha256(convert_to(content, 'UTF8')), ''::bytea ORDER BY key)), 'hex') AS checksum
  FROM (SELECT content, sha256(convert_to(origin || E'\\n' || origin_id, 'UTF8')) AS key FROM (
        {whole} WHERE ($1::varchar IS NULL OR r.origin IS DISTINCT FROM $1::varchar)
                  AND ($2::uuid[] IS NULL OR r.id = ANY($2::uuid[]))
       ) c) k
 GROUP BY 1 ORDER BY 1
"""  # noqa: S608 -- our own names


async def read_buckets(
    connection: Any, resource: Resource, excluded: str | None, ids: list[UUID] | None = None
) -> list[dict[str, Any]]:
    """Return the buckets of a resource as the connection's login sees it; with `ids`, of these records alone."""
    return [dict(r) for r in await connection.fetch(digest_sql(resource), excluded, ids)]


async def get_digest(query: DigestQuery, caller: Caller) -> Response:
    """Answer the digest of one type, and the place in the feed that it is of."""
    await sequencer_of(caller.request).try_number()
    selection = Selection(types=[query.type], exclude_origin=query.exclude_origin)
    async with caller.database.stream(caller.audience) as connection:
        head = await connection.fetchrow(head_sql(caller.audience))
        horizon = await sequencer_of(caller.request).horizon(caller.audience)
        buckets = await read_buckets(connection, RESOURCES[query.type], query.exclude_origin)
    place = place_at(caller, selection, head["feed"], Head(head["seq"], head["uid"]), horizon)
    body = {
        "type": query.type,
        "level": LEVELS[CEILINGS[caller.audience]],
        "cursor": cursors.write(place, caller.database.secret),
        "buckets": buckets,
    }
    return Response(json.dumps(body), 200, NO_STORE, media_type="application/json")
