"""The writing verbs: a validated input is written; triggers make the level, the version and the change."""

import json
from typing import Any, NoReturn
from uuid import UUID, uuid4

from fastapi import Request, Response
from pydantic import ValidationError

from app.core import pages, reads
from app.core.access import Caller, Writer
from app.core.database import Transaction
from app.core.errors import BadRequest, ChangedMeanwhile, FieldProblem, Invalid
from app.core.http import etag_of, field_problems, match_version
from app.core.reads import GRAVE
from app.core.records import RecordIn, Resource
from app.core.rows import Found, check, insert, replace_parts, rows_of, tables_of, to_json, update_sql


async def answer(resource: Resource, record_id: UUID, writer: Writer, status: int) -> Response:
    """Answer with the record as it now is, read in the same transaction."""
    await writer.transaction.settle()
    statement = pages.one_statement(resource, writer.caller.audience, frozenset(), None)
    row = await writer.transaction.run(statement, {"id": record_id})
    body = row[0].encode()
    headers = {"ETag": etag_of(body, row[1]), "Cache-Control": "no-store"}
    if status == 201:  # noqa: PLR2004
        headers["Location"] = f"/v1/{resource.name}/{record_id}"
    return Response(body, status, headers, media_type="application/json")


def _own(given: RecordIn, record_id: UUID, caller: Caller) -> None:
    """Fill in whose record it is, where the client leaves it to us."""
    if given.origin is None:
        given.origin = caller.key.origin if caller.key else caller.request.app.state.settings.origin
    if given.origin_id is None:
        given.origin_id = str(record_id)


async def _insert_record(resource: Resource, given: RecordIn, record_id: UUID, writer: Writer) -> Response:
    _own(given, record_id, writer.caller)
    await insert_new(writer.transaction, resource, record_id, given)
    return await answer(resource, record_id, writer, 201)


async def insert_new(transaction: Transaction, resource: Resource, record_id: UUID, given: RecordIn) -> None:
    """Find what the record refers to and insert it with its parts."""
    refs = await check(transaction, given)
    tables = {resource.table.name: resource.table} | {n: t for n, (t, _) in tables_of(resource).items()}
    await insert(transaction, rows_of(resource, record_id, given, refs), tables)


async def overwrite(
    transaction: Transaction, resource: Resource, record_id: UUID, given: RecordIn, refs: Found | None = None
) -> None:
    """Bring a record that is there to what is given; what is equal is not touched, and then nothing is logged."""
    refs = refs or await check(transaction, given)
    rows = rows_of(resource, record_id, given, refs)
    await transaction.fetch(update_sql(resource.table), to_json(rows.pop(resource.table.name)))
    await replace_parts(transaction, resource, [record_id], rows)


async def create_record(resource: Resource, given: RecordIn, writer: Writer) -> Response:
    """Make a record under a new id: 201 with `Location` and `ETag`; with an Idempotency-Key, once."""
    key = writer.caller.request.headers.get("idempotency-key")
    if key is None:
        return await _insert_record(resource, given, uuid4(), writer)
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):  # noqa: PLR2004
        detail = "Idempotency-Key has 1 to 255 printable ASCII characters."
        raise BadRequest(detail)
    return await _once(resource, given, writer, key)


FORGET_OLD_KEYS = """
DELETE FROM idempotency_keys WHERE (holder, key) IN (
    SELECT holder, key FROM idempotency_keys WHERE created_at < now() - interval '72 hours'
     ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


async def _once(resource: Resource, given: RecordIn, writer: Writer, key: str) -> Response:
    """Run a POST once for a key: the row is taken first, so that concurrent repeats wait for it and then replay it."""
    transaction, request = writer.transaction, writer.caller.request
    holder = writer.caller.key.id if writer.caller.key else ""
    body = await request.body()
    await transaction.fetch(FORGET_OLD_KEYS)
    taken = await transaction.row(
        "INSERT INTO idempotency_keys (holder, key, request) "
        "VALUES ($1, $2, sha256(convert_to($3, 'UTF8') || $4)) ON CONFLICT DO NOTHING RETURNING holder",
        holder,
        key,
        request.url.path,
        body,
    )
    if taken is None:
        kept = await transaction.row(
            "SELECT location, etag, answer, request = sha256(convert_to($3, 'UTF8') || $4) AS same "
            "FROM idempotency_keys WHERE holder = $1 AND key = $2",
            holder,
            key,
            request.url.path,
            body,
        )
        if kept is None or not kept["same"]:
            detail = "This Idempotency-Key was used with another request; take a new one."
            raise Invalid(detail)
        headers = {"Location": kept["location"], "ETag": kept["etag"], "Idempotency-Replayed": "true"}
        return Response(kept["answer"], 201, {**headers, "Cache-Control": "no-store"}, media_type="application/json")
    response = await _insert_record(resource, given, uuid4(), writer)
    await transaction.fetch(
        "UPDATE idempotency_keys SET location = $3, etag = $4, answer = $5 WHERE holder = $1 AND key = $2",
        holder,
        key,
        response.headers["location"],
        response.headers["etag"],
        bytes(response.body),
    )
    return response


async def locked(resource: Resource, record_id: UUID, transaction: Transaction) -> int | None:
    """Lock the record against other writers and return its version; None if it is not there."""
    sql = f"SELECT version FROM {resource.table.name} WHERE id = $1 FOR UPDATE"  # noqa: S608
    row = await transaction.row(sql, record_id)
    return row["version"] if row else None


async def missing(resource: Resource, record_id: UUID, writer: Writer) -> NoReturn:
    """Raise 308 for a merged record, 410 for a deleted one, 404 for one that never was."""
    grave = await writer.transaction.row(GRAVE, record_id, resource.type)
    raise reads.missing(resource, record_id, writer.caller.request, grave)


def expect(current: int, expected: int | None) -> None:
    """Raise 412 where the client expects another version than the current one."""
    if expected is not None and expected != current:
        detail = "Read the record again and repeat your change on what it is now."
        raise ChangedMeanwhile(detail, version=current)


async def _update(resource: Resource, record_id: UUID, given: RecordIn, writer: Writer) -> Response:
    transaction = writer.transaction
    if given.origin is not None or given.origin_id is not None:
        sql = f"SELECT origin, origin_id FROM {resource.table.name} WHERE id = $1"  # noqa: S608
        kept = await transaction.row(sql, record_id)
        if (given.origin or kept["origin"], given.origin_id or kept["origin_id"]) != (
            kept["origin"],
            kept["origin_id"],
        ):
            detail = "origin and origin_id say where the record was made and never change"
            raise Invalid(detail, errors=[FieldProblem(pointer="/origin", code="fixed", detail=detail)])
    await overwrite(transaction, resource, record_id, given)
    return await answer(resource, record_id, writer, 200)


async def replace_record(resource: Resource, record_id: UUID, given: RecordIn, writer: Writer) -> Response:
    """Make or replace the record of that id: 201 or 200. `If-None-Match: *` only makes; replacing needs If-Match."""
    request = writer.caller.request
    current = await locked(resource, record_id, writer.transaction)
    if current is None:
        grave = await writer.transaction.row(GRAVE, record_id, resource.type)
        if grave is not None and grave["merged_into"] is not None:
            raise reads.missing(resource, record_id, request, grave)
        if request.headers.get("if-match") is not None:
            detail = "There is no record of that id to match."
            raise ChangedMeanwhile(detail)
        return await _insert_record(resource, given, record_id, writer)
    if request.headers.get("if-none-match", "").strip() == "*":
        detail = "A record of that id exists already."
        raise ChangedMeanwhile(detail, version=current)
    expect(current, match_version(request))
    return await _update(resource, record_id, given, writer)


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


async def patch_body(request: Request) -> dict[str, Any]:
    """Return the merge patch in a request, which must be an object; unknown names are found in the resulting record."""
    body = await request.body()
    patch = await request.json() if body else None
    if not isinstance(patch, dict):
        detail = "A merge patch of a record is a JSON object."
        raise Invalid(detail, errors=[FieldProblem(pointer="", code="dict_type", detail=detail)])
    return patch


async def update_record(resource: Resource, record_id: UUID, writer: Writer) -> Response:
    """Apply the request's merge patch to the record; the result is validated, not the patch."""
    assert resource.create is not None  # noqa: S101 -- only resources that can be written have this route
    patch = await patch_body(writer.caller.request)
    current = await locked(resource, record_id, writer.transaction)
    if current is None:
        await missing(resource, record_id, writer)
    expect(current, match_version(writer.caller.request))
    statement = pages.one_statement(resource, writer.caller.audience, frozenset(), None)
    row = await writer.transaction.run(statement, {"id": record_id})
    before = {k: v for k, v in json.loads(row[0]).items() if v is not None}
    known = {i.alias or n for n, i in resource.create.model_fields.items()}
    result = merge({k: v for k, v in before.items() if k in known}, patch)
    try:
        given = resource.create.model_validate_json(json.dumps(result))
    except ValidationError as error:
        found = [
            {**e, "loc": ("body", *e["loc"])}
            for e in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        detail = "The record that this patch would make is not valid."
        raise Invalid(detail, errors=field_problems(found)) from None
    return await _update(resource, record_id, given, writer)


async def delete_record(resource: Resource, record_id: UUID, writer: Writer) -> Response:
    """Delete the record and leave a tombstone; 409 while others refer to it."""
    current = await locked(resource, record_id, writer.transaction)
    if current is None:
        await missing(resource, record_id, writer)
    expect(current, match_version(writer.caller.request))
    await writer.transaction.fetch(f"DELETE FROM {resource.table.name} WHERE id = $1", record_id)  # noqa: S608
    return Response(status_code=204)
