"""Proposals: what others sent and an editor is to decide on, field by field, with both values."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.changes.actions import NO_STORE
from app.changes.fields import fields_of
from app.changes.models import RESOURCES, Type
from app.changes.queries import items_sql
from app.core import crud, pages
from app.core.access import Caller, Writer
from app.core.database import Transaction
from app.core.errors import ChangedMeanwhile, Conflict, FieldProblem, Gone, Invalid, NotFound
from app.core.http import field_problems, match_version
from app.core.records import Audience, RecordIn, Resource

Kind = Literal["new", "edit", "conflict"]
State = Literal["open", "accepted", "rejected"]


class ProposalsQuery(BaseModel):
    """Parameters of the list of proposals."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[State, Field(description="open: nobody has decided yet.")] = "open"
    kind: Annotated[Kind | None, Field(description="Only this kind.")] = None
    type: Annotated[Type | None, Field(description="Only for records of this type.")] = None
    record: Annotated[UUID | None, Field(description="Only for this record.")] = None
    after: Annotated[
        UUID | None, Field(description="Only what comes after this proposal: `next` of the last page.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=200, description="Most proposals on one page.")] = 50


class Difference(BaseModel):
    """One field, as it is here and as it is proposed."""

    field: str = Field(description="Name of the field.")
    ours: Any = Field(description="What the record says now.")
    theirs: Any = Field(description="What is proposed.")


class Proposal(BaseModel):
    """Something that was sent and waits, or waited, for an editor."""

    id: UUID = Field(description="Id of the proposal.")
    kind: Kind = Field(
        description="new: a record of a partner that nobody has looked at; edit: a later edit of one, or a record "
        "that could not be made; conflict: the same field was changed here and there."
    )
    state: State = Field(description="open until an editor accepts or rejects it.")
    type: Type = Field(description="Type of the record.")
    record_id: UUID = Field(description="The record; where there is none yet, the id that it will have.")
    version: int | None = Field(description="Version of the record now, for If-Match; null where there is none.")
    source: str = Field(description="Name of the key that sent it, or address of the registry that it was pulled from.")
    origin: str = Field(description="Installation that sent it.")
    base_version: int | None = Field(description="Version of the record here that the proposal was made on, if known.")
    fields: list[Difference] = Field(description="What it would change.")
    at: datetime = Field(description="When it came, or last changed (UTC).")
    decided_by: str | None = Field(description="Name of the key that decided.")
    decided_at: datetime | None = Field(description="When that was (UTC).")


class Proposals(BaseModel):
    """Proposals, the oldest first."""

    items: list[Proposal] = Field(description="The proposals.")
    next: UUID | None = Field(description="Give it as `after` for the next page; null on the last.")


class Acceptance(BaseModel):
    """What of a proposal is accepted."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[
        list[str] | None, Field(max_length=100, description="Only these of its fields; all unless said.")
    ] = None


LIST = """
SELECT p.* FROM proposals p
 WHERE p.state = $1 AND ($2::varchar IS NULL OR p.kind = $2) AND ($3::varchar IS NULL OR p.record_type = $3)
   AND ($4::uuid IS NULL OR p.record_id = $4)
   AND ($5::uuid IS NULL OR (p.at, p.id) > (SELECT l.at, l.id FROM proposals l WHERE l.id = $5))
   AND (p.kind <> 'new' OR p.state <> 'open'
        OR p.base_version = (SELECT max(c.version) FROM changes c WHERE c.record_id = p.record_id AND c.closed))
 ORDER BY p.at, p.id LIMIT $6
"""
"""A new record is off the list as soon as an editor has changed it, by whichever way."""


async def list_proposals(query: ProposalsQuery, caller: Caller) -> Response:
    """Answer what waits for an editor."""
    arguments = (query.state, query.kind, query.type, query.record, query.after, query.limit + 1)
    rows = await caller.database.fetch(caller.audience, LIST, *arguments)
    shown = rows[: query.limit]
    records: dict[UUID, dict[str, Any]] = {}
    for name in {r["record_type"] for r in shown}:
        ids = [r["record_id"] for r in shown if r["record_type"] == name]
        found = await caller.database.fetch(caller.audience, items_sql(RESOURCES[name], caller.audience), ids)
        records |= {r[0]: json.loads(r[1])["data"] for r in found}
    items = [_shown(r, records.get(r["record_id"])) for r in shown]
    body = Proposals(items=items, next=items[-1].id if len(rows) > query.limit else None)
    return Response(body.model_dump_json(), 200, NO_STORE, media_type="application/json")


def _shown(row: Any, record: dict[str, Any] | None) -> Proposal:
    theirs = json.loads(row["data"] or "{}")
    fields = [Difference(field=f, ours=(record or {}).get(f), theirs=theirs.get(f)) for f in row["fields"]]
    same = {n: row[n] for n in Proposal.model_fields if n not in {"type", "version", "fields"}}
    return Proposal(type=row["record_type"], version=record["version"] if record else None, fields=fields, **same)


# --- deciding -----------------------------------------------------------------------------------------


async def _open(proposal_id: UUID, transaction: Transaction) -> Any:
    row = await transaction.row("SELECT * FROM proposals WHERE id = $1 FOR UPDATE", proposal_id)
    if row is None:
        raise NotFound
    if row["state"] != "open":
        detail = "It has been decided already."
        raise Conflict(detail)
    return row


async def _decide(row: Any, state: State, writer: Writer) -> Response:
    transaction = writer.transaction
    await transaction.settle()
    sql = "UPDATE proposals SET state = $2, decided_by = $3, decided_at = now() WHERE id = $1 RETURNING *"
    decided = await transaction.row(sql, row["id"], state, transaction.actor)
    items = items_sql(RESOURCES[row["record_type"]], writer.caller.audience)
    found = await transaction.row(items, [row["record_id"]])
    record = json.loads(found[1])["data"] if found else None
    if record is not None:  # see `_agree`
        agreed = "UPDATE pulled SET local_version = $3 WHERE peer = $1 AND local_id = $2 AND local_version IS NULL"
        await transaction.fetch(agreed, row["source"], row["record_id"], record["version"])
    shown = _shown(decided, record)
    return Response(shown.model_dump_json(), 200, NO_STORE, media_type="application/json")


async def _version(row: Any, resource: Resource, writer: Writer) -> int | None:
    """Lock the record and return its version, checked against If-Match; None where there is none yet."""
    sql = f"SELECT version FROM {resource.name} WHERE id = $1 FOR UPDATE"  # noqa: S608 -- our own names
    kept = await writer.transaction.row(sql, row["record_id"])
    if kept is None:
        return None
    expected = match_version(writer.caller.request)
    if expected is not None and expected != kept["version"]:
        detail = "The record has changed since; look at the proposal again."
        raise ChangedMeanwhile(detail, version=kept["version"])
    version: int = kept["version"]
    return version


async def accept(proposal_id: UUID, body: Acceptance, writer: Writer) -> Response:
    """Put the proposed values into the record, or make it; answers the proposal as it then is."""
    transaction = writer.transaction
    row = await _open(proposal_id, transaction)
    resource, record_id = RESOURCES[row["record_type"]], row["record_id"]
    if unknown := set(body.fields or ()) - set(row["fields"]):
        detail = "the proposal does not change this field"
        wrong = [
            FieldProblem(pointer=f"/fields/{body.fields.index(f)}", code="unknown_field", detail=detail)
            for f in unknown
            if body.fields
        ]
        raise Invalid("See `errors` for each part that is wrong.", errors=wrong)
    version = await _version(row, resource, writer)
    proposed = json.loads(row["data"] or "{}")
    if version is None:
        if await transaction.row("SELECT FROM tombstones WHERE id = $1", record_id):
            raise Gone
        await crud.insert_new(transaction, resource, record_id, as_given(resource, {**proposed, "level": "restricted"}))
    elif row["kind"] != "new":
        fields = row["fields"] if body.fields is None else body.fields
        kept = await read_whole(transaction, resource, record_id)
        given = as_given(resource, kept | {f: proposed.get(f) for f in fields})
        await _agree(transaction, resource, row, fields)
        await crud.overwrite(transaction, resource, record_id, given)
    return await _decide(row, "accepted", writer)


async def _agree(transaction: Transaction, resource: Resource, row: Any, fields: list[str]) -> None:
    """Have the accepted fields follow their owner again, where the proposal was pulled."""
    sql = "SELECT local_version, edited FROM pulled WHERE peer = $1 AND local_id = $2"
    if (known := await transaction.row(sql, row["source"], row["record_id"])) is not None:
        edited = {
            *known["edited"],
            *await edited_since(transaction, resource, row["record_id"], known["local_version"]),
        }
        sql = "UPDATE pulled SET edited = $3, local_version = NULL WHERE peer = $1 AND local_id = $2"
        await transaction.fetch(sql, row["source"], row["record_id"], sorted(edited - set(fields)))


async def read_whole(transaction: Transaction, resource: Resource, record_id: UUID) -> dict[str, Any]:
    """Return a record as editors read it."""
    statement = pages.one_statement(resource, Audience.EDITOR, frozenset(), None)
    found: dict[str, Any] = json.loads((await transaction.run(statement, {"id": record_id}))[0])
    return found


async def edited_since(transaction: Transaction, resource: Resource, record_id: UUID, version: int | None) -> set[str]:
    """Return the fields that were changed here since a version."""
    if version is None:
        return set()
    row = await transaction.row("SELECT changed_since($1, $2, $3)", resource.type, record_id, version)
    return fields_of(resource, row[0] or [])


def as_given(resource: Resource, values: dict[str, Any]) -> RecordIn:
    """Return what was read, perhaps with some fields replaced, as it is given; raises `Invalid` if it is not sound."""
    assert resource.create is not None  # noqa: S101 -- every resource of the feed can be written
    known = {i.alias or n for n, i in resource.create.model_fields.items()}
    plain = {n: v for n, v in values.items() if n in known and v is not None}
    try:
        return resource.create.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        listed = field_problems([{**e, "loc": ("body", *e["loc"])} for e in found])
        detail = "What is proposed does not go together with what is here; change the record yourself."
        raise Invalid(detail, errors=listed) from None


async def reject(proposal_id: UUID, writer: Writer) -> Response:
    """Leave the record as it is; a new one is deleted, and does not come back. The proposal is kept."""
    row = await _open(proposal_id, writer.transaction)
    resource = RESOURCES[row["record_type"]]
    if await _version(row, resource, writer) is not None and row["kind"] == "new":
        await writer.transaction.fetch(f"DELETE FROM {resource.name} WHERE id = $1", row["record_id"])  # noqa: S608
    return await _decide(row, "rejected", writer)
