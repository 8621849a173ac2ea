"""Writing in bulk: rows that are made, changed or left alone by their identity, all of them or each by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.changes.actions import NO_STORE
from app.changes.bodies import read_rows
from app.changes.intake import Intake
from app.changes.merging import Sender, rebase
from app.changes.models import RESOURCES, Type
from app.core.access import Writer
from app.core.batches import Item, store
from app.core.database import Transaction, problem_of
from app.core.errors import ChangedMeanwhile, Conflict, FieldProblem, Gone, Invalid, Problem, TooLarge, Unauthorised
from app.core.http import field_problems, parse_json
from app.core.records import Audience
from app.core.text import Line

MAX_ROWS = 10_000

BATCH = 500
"""Rows that are stored together: enough to make the cost of a statement small, few enough to keep memory flat."""

Identity = tuple[str, str, str]
"""Table, origin and id there: which record a row is."""

TURN = 20
"""Rows that are read before other requests, and the statements under way, have their turn: some milliseconds."""


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
    id: UUID | None = Field(
        description="Id of the record; null if there is none, or none is made since nothing is kept."
    )
    status: int = Field(description="HTTP status that the row would have had by itself.")
    result: Literal["created", "updated", "unchanged", "conflict", "invalid"] = Field(description="What became of it.")
    version: int | None = Field(
        description="Version that the record now has; null where nothing is kept and the request would have changed it."
    )
    errors: list[FieldProblem] = Field(description="What is wrong; pointers begin at the row.")


class BulkAnswer(BaseModel):
    """What a request in bulk did."""

    committed: int = Field(description="How many rows were written and are kept: created or updated.")
    results: list[BulkResult] = Field(description="One for each row, in their order.")


async def write_in_bulk(query: BulkQuery, request: Request, writer: Writer) -> Response:
    """Write the rows of the body as they arrive, batch by batch, in one transaction; say what was committed."""
    transaction = writer.transaction
    results: list[BulkResult] = []
    identities: list[Identity | None] = []
    caller = writer.caller
    intake = Intake(transaction, caller.key) if caller.key and caller.audience is Audience.PARTNER else None
    origin = caller.key.origin if caller.key else request.app.state.settings.origin
    sender = Sender(caller.key.name if caller.key else origin, origin)
    count, writing = 0, None
    try:
        async for batch in _batches(read_rows(request), BATCH):
            if (count := count + len(batch)) > MAX_ROWS:
                detail = f"A request has at most {MAX_ROWS:,} rows; nothing of it was written."
                raise TooLarge(detail)
            # While the database stores one batch, the next is read.
            rows = [row async for row in _read_all(batch, origin)]
            if writing is not None:
                results += await writing
            else:
                # The body may come slowly; a minute between two batches is enough for any that does come.
                await transaction.fetch("SELECT set_config('idle_in_transaction_session_timeout', '60s', true)")
            start = len(results)
            identities += [row.identity if isinstance(row, Item) else None for row in rows]
            store_or_take = (
                _take_all(start, rows, transaction, intake) if intake else _write(start, rows, sender, transaction)
            )
            writing = asyncio.create_task(store_or_take)
        results += await writing if writing is not None else []
    finally:
        if writing is not None and not writing.done():  # the transaction cannot be ended meanwhile
            writing.cancel()
            await asyncio.wait([writing])
    failed = any(r.result in {"conflict", "invalid"} for r in results)
    kept = not query.dry_run and not (query.mode == "atomic" and failed)
    if not kept:
        _forget(results, identities)
    caller.request.state.transaction = None
    await transaction.end(commit=kept)
    committed = sum(r.result in {"created", "updated"} for r in results) if kept else 0
    answer = BulkAnswer.model_construct(committed=committed, results=results)
    return Response(answer.model_dump_json(), 200, NO_STORE, media_type="application/json")


def _forget(results: list[BulkResult], identities: list[Identity | None]) -> None:
    """Take out the ids and versions that nobody will find, since what was written is taken back.

    That is so of rows that wrote, and of later ones, whatever became of them, about a record that an earlier row wrote.
    """
    written: dict[Identity | None, bool] = {}
    for result, identity in zip(results, identities, strict=True):
        if result.result in {"created", "updated"}:
            written.setdefault(identity, result.result == "created")
        if identity in written:
            result.version = None
            if written[identity]:
                result.id = None


async def _batches(rows: AsyncIterator[bytes], size: int) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def _read_all(batch: list[bytes], origin: str) -> AsyncIterator[Item | Problem]:
    """Read rows, letting others have their turn in between."""
    for n, text in enumerate(batch):
        if n % TURN == 0:
            await asyncio.sleep(0)
        yield _read(text, origin)


async def _write(start: int, rows: list[Item | Problem], sender: Sender, transaction: Transaction) -> list[BulkResult]:
    """Store rows in their order and say what became of each."""
    done: dict[Item, Problem | None] = {}
    for some in _without_repeats([r for r in rows if isinstance(r, Item)]):
        done |= zip(some, await store(transaction, [[item] for item in some]), strict=True)
        for item in some:
            if isinstance(done[item], ChangedMeanwhile) and (item.version or 0) > (item.base or 0):
                done[item] = await _merge(item, sender, transaction)
    results = []
    for n, row in enumerate(rows, start):
        if isinstance(row, Problem):
            results.append(_refused(n, row, ""))
        elif (problem := done[row]) is not None:
            results.append(_refused(n, problem, "/data"))
        else:
            assert row.result is not None  # noqa: S101 -- it was stored
            results.append(_stored(n, row.result, row.id, row.version))
    return results


async def _merge(item: Item, sender: Sender, transaction: Transaction) -> Problem | None:
    """Merge a row that was made on an earlier version, or keep it for editors; return what is wrong with it."""
    assert item.id is not None  # noqa: S101 -- it was found
    assert item.base is not None  # noqa: S101 -- the one that is earlier
    try:
        async with transaction.savepoint():
            # Nobody may change it between the reading of what is here and the writing of both.
            lock = f"SELECT version FROM {item.resource.name} WHERE id = $1 FOR UPDATE"  # noqa: S608 -- our own names
            if (now := await transaction.row(lock, item.id)) is None:
                return ChangedMeanwhile(None)
            item.version = now["version"]
            conflicts = await rebase(transaction, item.resource, item.id, item.given, item.base, sender)
            await transaction.settle()
    except Problem as problem:
        return problem
    except asyncpg.PostgresError as error:
        known = problem_of(error)
        if not isinstance(known, (Conflict, Gone, Invalid)):
            raise
        return known
    if conflicts:
        detail = (
            "it was changed here too since that version; with mode=per_item the row waits as a proposal for editors"
        )
        wrong = [FieldProblem(pointer=f"/{f}", code="changed_meanwhile", detail=detail) for f in conflicts]
        return ChangedMeanwhile(None, errors=wrong, version=item.version)
    sql = f"SELECT version FROM {item.resource.name} WHERE id = $1"  # noqa: S608 -- our own names
    before, item.version = item.version, (await transaction.row(sql, item.id))["version"]
    item.result = "unchanged" if before == item.version else "updated"
    return None


async def _take_all(
    start: int, rows: list[Item | Problem], transaction: Transaction, intake: Intake
) -> list[BulkResult]:
    """Take in a partner's rows one by one: each is answered by what this partner has sent before it."""
    return [await _take(n, row, transaction, intake) for n, row in enumerate(rows, start)]


async def _take(index: int, row: Item | Problem, transaction: Transaction, intake: Intake) -> BulkResult:
    """Take in one row of a partner's and say what became of it; what is no fault of the row is raised."""
    if isinstance(row, Problem):
        return _refused(index, row, "")
    try:
        async with transaction.savepoint():
            taken = await intake.take(row.resource.type, row.given, row.base)
    except Unauthorised:
        raise
    except Problem as problem:
        return _refused(index, problem, "")
    except asyncpg.PostgresError as error:
        known = problem_of(error)
        if known is None or not isinstance(known, (Conflict, Gone, Invalid)):
            raise
        return _refused(index, known, "")
    return _stored(index, taken.result, taken.id, taken.version)


def _without_repeats(items: list[Item]) -> Iterator[list[Item]]:
    """Cut the rows where one writes a record that an earlier one has written: it must find what that one made."""
    some: list[Item] = []
    seen: set[tuple[str, str, str]] = set()
    for item in items:
        if item.identity in seen:
            yield some
            some, seen = [], set()
        some.append(item)
        seen.add(item.identity)
    yield some


def _stored(index: int, result: Any, record: UUID | None, version: int | None) -> BulkResult:
    status = 201 if result == "created" else 200
    return BulkResult.model_construct(index=index, id=record, status=status, result=result, version=version, errors=[])


def _refused(index: int, problem: Problem, under: str) -> BulkResult:
    """Say what is wrong; its pointers are into the row, or into what is `under` there."""
    wrong = [p.model_copy(update={"pointer": under + p.pointer}) for p in problem.errors] or [
        FieldProblem(pointer="", code=problem.slug, detail=problem.detail or problem.title)
    ]
    clash = isinstance(problem, (Conflict, Gone, ChangedMeanwhile))
    return BulkResult(
        index=index,
        id=None,
        status=problem.status,
        result="conflict" if clash else "invalid",
        version=problem.extra.get("version"),
        errors=wrong,
    )


def _read(text: bytes, origin: str) -> Item | Problem:
    """Read one row; return what is wrong with it, with pointers into it, where it cannot be read."""
    try:
        row = BulkRow.model_validate(parse_json(text))
        identity = {"origin": row.origin or origin, "origin_id": row.origin_id}
        for name, said in identity.items():
            if row.data.get(name) not in (None, said):
                detail = f"{name} in data is another than the row's"
                return Invalid(detail, errors=[FieldProblem(pointer=f"/data/{name}", code="differs", detail=detail)])
    except ValidationError as error:
        return _invalid(error, ())
    except Problem as problem:
        return problem
    create = RESOURCES[row.type].create
    assert create is not None  # noqa: S101 -- every resource of the feed can be written
    data = {k: v for k, v in row.data.items() if v is not None} | identity
    try:
        return Item(RESOURCES[row.type], create.model_validate(data), row.base_version)
    except ValidationError as error:
        return _invalid(error, ("data",))


def _invalid(error: ValidationError, under: tuple[str, ...]) -> Invalid:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    listed = [{**e, "loc": ("body", *under, *e["loc"])} for e in found]
    return Invalid("The row is not valid.", errors=field_problems(listed))
