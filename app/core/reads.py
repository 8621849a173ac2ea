"""The reading verbs: filter in, one prebuilt statement, its bytes out."""

import json
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from fastapi import Request, Response

from app.core import pages
from app.core.access import Caller
from app.core.errors import Gone, Moved, NotFound, Problem
from app.core.filters import Filter
from app.core.http import conditional, etag_of, languages
from app.core.pages import ListQuery, OneQuery
from app.core.records import Resource


async def list_records(resource: Resource, query: Filter, caller: Caller) -> Response:
    """Answer one page of a list; `query` is the resource's filter together with `ListQuery`."""
    assert isinstance(query, ListQuery)  # noqa: S101 -- every query class is both
    include, only = pages.wanted(resource, query, caller.audience)
    used = query.used()
    order = pages.order_of(resource, query.sort, caller.audience, used)
    scope = pages.scope_of(resource, query, order)
    filtered = query.values(used)
    values: dict[str, Any] = {**filtered, "limit": query.limit + 1, "lang": languages(caller.request, query.lang)}
    if query.cursor is not None:
        place = pages.read_cursor(query.cursor, scope, caller.database.secret)
        values |= {f"after_{n}": mark for n, mark in enumerate(place)}
    statement = pages.list_statement(
        resource,
        type(query),
        caller.audience,
        used,
        order,
        resumed=query.cursor is not None,
        include=include,
        only=only,
    )
    rows = await caller.database.fetch(caller.audience, statement.sql, *statement.arguments(values))
    more = len(rows) > query.limit
    following = None
    if more:
        cursor = pages.write_cursor(scope, rows[query.limit - 1][1], caller.database.secret)
        following = next_url(caller, cursor)
    body = '{"items":[' + ",".join(r[0] for r in rows[: query.limit]) + '],"next":' + json.dumps(following)
    if query.count == "exact":
        counting = pages.count_statement(resource, type(query), used)
        row = await caller.database.row(caller.audience, counting.sql, *counting.arguments(filtered))
        body += f',"count":{row[0]}'
    encoded = (body + "}").encode()
    headers = [("Link", f'<{following}>; rel="next"')] if following else []
    return conditional(caller.request, encoded, etag_of(encoded), headers)


def next_url(caller: Caller, cursor: str) -> str:
    """Return the URL of the next page: this one's path and parameters with the new cursor."""
    scope = caller.request.scope
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return f"{quote(scope['path'])}?{urlencode([*((n, v) for n, v in given if n != 'cursor'), ('cursor', cursor)])}"


async def get_record(resource: Resource, record_id: UUID, query: OneQuery, caller: Caller) -> Response:
    """Answer one record; 308 after a merge, 410 after a deletion, 404 for what this caller never could see."""
    include, only = pages.wanted(resource, query, caller.audience)
    statement = pages.one_statement(resource, caller.audience, include, only)
    values = {"id": record_id, "lang": languages(caller.request, query.lang)}
    row = await caller.database.row(caller.audience, statement.sql, *statement.arguments(values))
    if row is None:
        await absent(resource, record_id, caller)
    body = row[0].encode()
    return conditional(caller.request, body, etag_of(body, row[1]))


GRAVE = "SELECT merged_into FROM tombstones WHERE id = $1 AND record_type = $2"


async def absent(resource: Resource, record_id: UUID, caller: Caller) -> NoReturn:
    """Raise what is to be answered for a record that is not there."""
    grave = await caller.database.row(caller.audience, GRAVE, record_id, resource.type)
    raise missing(resource, record_id, caller.request, grave)


def missing(resource: Resource, record_id: UUID, request: Request, grave: Any) -> Problem:
    """Return the problem of a record that is not there, of which the caller sees this tombstone, or none.

    Tombstones have levels too, so the hidden and the absent are one; what was merged into a record that the caller may
    not see is as hidden as that one (PostgreSQL keeps that). After a merge the same path and query lead on.
    """
    if grave is None:
        return NotFound()
    into = grave["merged_into"]
    if into is None:
        return Gone()
    path = request.url.path.replace(str(record_id), str(into), 1)
    if path == request.url.path:  # the id is written in another of its forms
        path = f"/v1/{resource.name}/{into}"
    query = f"?{request.url.query}" if request.url.query else ""
    detail = "Repeat the request at Location."
    return Moved(detail, headers={"Location": path + query})


HISTORY = """
SELECT coalesce(json_agg(json_build_object(
         'version', c.version, 'operation', c.op, 'at', c.at, 'by', c.actor, 'level', level_name(c.level_after),
         'changed', changed_fields(c.data, p.data)
       ) ORDER BY c.id DESC), '[]')::text
  FROM changes c
  LEFT JOIN LATERAL (SELECT data FROM changes b WHERE b.record_id = c.record_id AND b.id < c.id AND b.closed
                      ORDER BY b.id DESC LIMIT 1) p ON true
 WHERE c.record_id = $1 AND c.record_type = $2 AND c.closed
"""


async def get_history(resource: Resource, record_id: UUID, caller: Caller) -> Response:
    """Answer all versions of a record, newest first, also of a deleted one: who, when, and which fields changed."""
    row = await caller.database.row(caller.audience, HISTORY, record_id, resource.type)
    if row[0] == "[]":
        raise NotFound
    body = ('{"items":' + row[0] + "}").encode()
    return conditional(caller.request, body, etag_of(body))
