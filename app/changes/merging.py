"""Two changes of one record: merged where they touch different fields, kept as a conflict where they do not."""

import json
from dataclasses import dataclass, field
from uuid import UUID

from app.changes.fields import changed_by, differing, hashes, plain, with_ids
from app.changes.proposals import as_given, edited_since, read_whole
from app.core import crud
from app.core.database import Transaction
from app.core.errors import Invalid
from app.core.records import LEVELS, RecordIn, Resource
from app.core.rows import Found, check, rows_of

KEEP = """
INSERT INTO proposals AS p (kind, record_type, record_id, source, origin, base_version, fields, data)
VALUES ('conflict', $1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (record_id, source) WHERE state = 'open' DO UPDATE
   SET kind = excluded.kind, base_version = excluded.base_version, fields = excluded.fields,
       data = excluded.data, at = now()
"""


@dataclass(frozen=True)
class Sender:
    """Whose change it is: the key's name or the registry's address, and the origin."""

    name: str
    origin: str


@dataclass(frozen=True)
class Base:
    """What is known of the last time that a record came from the same sender.

    `version` is the record's version here then, None if that is unknown; `fields` are the hashes of what came, and
    `edited` the fields in which the record here has been another since.
    """

    version: int | None = None
    fields: dict[str, str] | None = None
    edited: frozenset[str] = field(default_factory=frozenset)


async def bring(  # noqa: PLR0913, PLR0917 -- a record, what it is to be, and what is known of both
    transaction: Transaction,
    resource: Resource,
    record_id: UUID,
    given: RecordIn,
    refs: Found,
    base: Base,
    sender: Sender,
) -> frozenset[str]:
    """Bring a sender's newer version into a record that was edited here; return the fields in which ours stays.

    What only they changed is taken, what only we changed stays. Where both did, ours stays and theirs is kept beside
    it, for editors; of two levels the stricter one holds.
    """
    ours = await read_whole(transaction, resource, record_id)
    kept, theirs = plain(as_given(resource, ours)), plain(given, refs)
    edited = base.edited | await edited_since(transaction, resource, record_id, base.version)
    changed = changed_by(base.fields, hashes(given))
    before = await transaction.row(
        "SELECT fields FROM proposals WHERE record_id = $1 AND source = $2 AND state = 'open'", record_id, sender.name
    )
    both = (changed & edited) | set(before["fields"] if before else ())
    if LEVELS.index(given.level) > LEVELS.index(ours["level"]):
        changed, both, edited = changed | {"level"}, both - {"level"}, edited - {"level"}
    conflicts = {f for f in both if kept.get(f) != theirs.get(f)}
    sent = with_ids(given, refs)
    try:
        merged = as_given(resource, ours | {f: sent.get(f) for f in changed - edited})
    except Invalid:  # each is sound, the two together are not
        conflicts |= {f for f in changed if kept.get(f) != theirs.get(f)} - {"level"}
        stricter = max(ours["level"], given.level, key=LEVELS.index)
        merged = as_given(resource, ours | {"level": stricter})
        edited |= conflicts
    await crud.overwrite(transaction, resource, record_id, merged)
    if conflicts:
        about = (resource.type, record_id, sender.name, sender.origin, base.version)
        await transaction.fetch(KEEP, *about, sorted(conflicts), json.dumps(sent, ensure_ascii=False))
    elif before:
        forget = "DELETE FROM proposals WHERE record_id = $1 AND source = $2 AND state = 'open'"
        await transaction.fetch(forget, record_id, sender.name)
    return frozenset(f for f in edited if kept.get(f) != theirs.get(f))


async def rebase(  # noqa: PLR0913, PLR0917 -- as above
    transaction: Transaction,
    resource: Resource,
    record_id: UUID,
    given: RecordIn,
    version: int,
    sender: Sender,
) -> list[str]:
    """Bring a change that was made on an earlier version onto the record as it is now.

    Where both changed a field, nothing is written, the change is kept as a proposal, and those fields are returned.
    """
    row = await transaction.row(
        "SELECT data FROM changes WHERE record_id = $1 AND version = $2 AND closed", record_id, version
    )
    refs = await check(transaction, given)
    document = json.loads(row["data"]) if row and row["data"] else {}
    changed = differing(resource, document, rows_of(resource, record_id, given, refs))
    ours = await read_whole(transaction, resource, record_id)
    kept, theirs = plain(as_given(resource, ours)), plain(given, refs)
    since = await edited_since(transaction, resource, record_id, version) if document else changed
    conflicts = sorted(f for f in changed & since if kept.get(f) != theirs.get(f))
    sent = with_ids(given, refs)
    if not conflicts:
        await crud.overwrite(
            transaction, resource, record_id, as_given(resource, ours | {f: sent.get(f) for f in changed})
        )
        return []
    about = (resource.type, record_id, sender.name, sender.origin, version)
    await transaction.fetch(KEEP, *about, sorted(changed), json.dumps(sent, ensure_ascii=False))
    return conflicts
