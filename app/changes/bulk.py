"""Writing in bulk: rows that are made, changed or left alone by their identity, all of them or each by itself."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import asyncpg
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.changes.actions import NO_STORE
from app.changes.bodies import read_rows
from app.changes.intake import Intake
from app.changes.models import RESOURCES, Type
from app.core import crud
from app.core.access import Writer
from app.core.database import Transaction, problem_of
from app.core.errors import ChangedMeanwhile, Conflict, FieldProblem, Gone, Invalid, Problem, TooLarge, Unauthorised
from app.core.http import field_problems, parse_json
from app.core.records import Audience, RecordIn, Resource
from app.core.text import Line

MAX_ROWS = 10_000


class BulkQuery(BaseModel):
    """Parameters of writing in bulk."""

    model_config = ConfigDict(extra="forbid")

    mode: Annotated[
        Literal["atomic", "per_item"],
        Field(description="atomic: all rows or none; per_item: every row that can be written."),
    ] = "atomic"
    dry_run: Annotated[bool, Field(description="Tell what would happen, and write nothing.")] = False


class BulkRow(BaseModel):
    """One row: which record it is, and what it is to be."""

    model_config = ConfigDict(extra="forbid")

    type: Type = Field(description="Type of the record.")
    origin: Line | None = Field(
        default=None, description="Installation that made the record; the key's own if left out."
    )
    origin_id: Line = Field(description="Its id there; with the origin it says which record this is.")
    base_version: Annotated[
        int | None, Field(ge=1, description="Version that the change was made on; another one is a conflict.")
    ] = None
    data: dict[str, Any] = Field(description="The whole record, as it is posted by itself or as it was read.")


class BulkResult(BaseModel):
    """What became of one row."""

    index: int = Field(description="Place of the row in the request, from 0.")
    id: UUID | None = Field(description="Id of the record; null if there is none.")
    status: int = Field(description="HTTP status that the row would have had by itself.")
    result: Literal["created", "updated", "unchanged", "conflict", "invalid"] = Field(description="What became of it.")
    version: int | None = Field(description="Version that the record now has.")
    errors: list[FieldProblem] = Field(description="What is wrong; pointers begin at the row.")


class BulkAnswer(BaseModel):
    """What a request in bulk did."""

    committed: int = Field(description="How many rows were written and are kept: created or updated.")
    results: list[BulkResult] = Field(description="One for each row, in their order.")


async def write_in_bulk(query: BulkQuery, request: Request, writer: Writer) -> Response:
    """Write the rows of the body as they arrive, each in a savepoint, in one transaction; say what was committed."""
    transaction = writer.transaction
    results: list[BulkResult] = []
    caller = writer.caller
    intake = Intake(transaction, caller.key) if caller.key and caller.audience is Audience.PARTNER else None
    origin = writer.caller.key.origin if writer.caller.key else request.app.state.settings.origin
    async for batch in _batches(read_rows(request)):
        if not results:
            # The body may come slowly; a minute between two batches is enough for any that does come.
            await transaction.fetch("SELECT set_config('idle_in_transaction_session_timeout', '60s', true)")
        for row in batch:
            if len(results) == MAX_ROWS:
                detail = f"A request has at most {MAX_ROWS:,} rows; nothing of it was written."
                raise TooLarge(detail)
            results.append(await _write(len(results), row, origin, transaction, intake))
    failed = any(r.result in {"conflict", "invalid"} for r in results)
    kept = not query.dry_run and not (query.mode == "atomic" and failed)
    if not kept:
        for result in results:
            if result.result == "created":
                result.id = result.version = None
    writer.caller.request.state.transaction = None
    await transaction.end(commit=kept)
    committed = sum(r.result in {"created", "updated"} for r in results) if kept else 0
    body = '{"committed":' + str(committed) + ',"results":[' + ",".join(r.model_dump_json() for r in results) + "]}"
    return Response(body, 200, NO_STORE, media_type="application/json")


async def _batches(rows: AsyncIterator[bytes], size: int = 100) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _write(index: int, text: bytes, origin: str, transaction: Transaction, intake: Intake | None) -> BulkResult:
    """Write one row and say what became of it; what is no fault of the row is raised."""
    record_id: UUID | None = None
    try:
        row, given = _read(text, origin)
        async with transaction.savepoint():
            if intake is not None:
                taken = await intake.take(row.type, given, row.base_version)
                status = 201 if taken.result == "created" else 200
                return BulkResult(index=index, status=status, errors=[], **taken._asdict())
            return await apply(transaction, RESOURCES[row.type], given, row.base_version, index)
    except Unauthorised:
        raise
    except Problem as error:
        problem = error
    except asyncpg.PostgresError as error:
        known = problem_of(error)
        if known is None or not isinstance(known, (Conflict, Gone, Invalid)):
            raise
        problem = known
    wrong = problem.errors or [FieldProblem(pointer="", code=problem.slug, detail=problem.detail or problem.title)]
    clash = isinstance(problem, (Conflict, Gone, ChangedMeanwhile))
    return BulkResult(
        index=index,
        id=record_id,
        status=problem.status,
        result="conflict" if clash else "invalid",
        version=problem.extra.get("version"),
        errors=wrong,
    )


def _read(text: bytes, origin: str) -> tuple[BulkRow, RecordIn]:
    """Read one row; raises `Invalid` with pointers into it."""
    try:
        row = BulkRow.model_validate(parse_json(text))
    except ValidationError as error:
        raise _invalid(error, ()) from None
    row.origin = row.origin or origin
    for name in ("origin", "origin_id"):
        if row.data.get(name) not in (None, getattr(row, name)):
            detail = f"{name} in data is another than the row's"
            raise Invalid(detail, errors=[FieldProblem(pointer=f"/data/{name}", code="differs", detail=detail)])
    create = RESOURCES[row.type].create
    assert create is not None  # noqa: S101 -- every resource of the feed can be written
    data = {k: v for k, v in row.data.items() if v is not None} | {"origin": row.origin, "origin_id": row.origin_id}
    try:
        return row, create.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise _invalid(error, ("data",)) from None


def _invalid(error: ValidationError, under: tuple[str, ...]) -> Invalid:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    listed = [{**e, "loc": ("body", *under, *e["loc"])} for e in found]
    return Invalid("The row is not valid.", errors=field_problems(listed))


async def apply(
    transaction: Transaction, resource: Resource, given: RecordIn, base: int | None, index: int
) -> BulkResult:
    """Make the record of that identity or bring it to what is given; raises `ChangedMeanwhile` for another version."""
    table = resource.table.name
    find = f"SELECT id, version FROM {table} WHERE origin = $1 AND origin_id = $2 FOR UPDATE"  # noqa: S608 -- ours
    kept = await transaction.row(find, given.origin, given.origin_id)
    if base is not None and (kept is None or kept["version"] != base):
        detail = "The record is not at that version; read it again and repeat your change on what it is now."
        raise ChangedMeanwhile(detail, version=kept["version"] if kept else None)
    if kept is None:
        record_id = uuid4()
        await crud.insert_new(transaction, resource, record_id, given)
    else:
        record_id = kept["id"]
        await crud.overwrite(transaction, resource, record_id, given)
    await transaction.settle()
    now = await transaction.row(f"SELECT version FROM {table} WHERE id = $1", record_id)  # noqa: S608
    same = kept is not None and kept["version"] == now["version"]
    return BulkResult(
        index=index,
        id=record_id,
        status=200 if kept else 201,
        result="unchanged" if same else "updated" if kept else "created",
        version=now["version"],
        errors=[],
    )
