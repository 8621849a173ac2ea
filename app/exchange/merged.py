"""What another registry says of a person who was merged: taken apart where that person must go, and kept for editors.

A merge moves all that a person had to the one who stays. So whoever is withdrawn or deleted by their owner would stay
here under the other's name, if nothing but the person's own row were looked at.
"""

from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from itertools import pairwise
from uuid import UUID

import asyncpg

from app.changes.models import RESOURCES
from app.changes.proposals import edited_since
from app.core.database import Transaction, problem_of
from app.core.errors import Conflict, Gone, Invalid

LINE = """
WITH RECURSIVE line (id, n) AS (
    SELECT $1::uuid, 0
    UNION ALL SELECT t.merged_into, n + 1 FROM tombstones t JOIN line ON t.id = line.id
     WHERE t.merged_into IS NOT NULL AND n < 1000
) SELECT id FROM line ORDER BY n
"""
"""A person, the one into whom they were merged, and so on to the one who stayed."""

MERGED_HERE = """
SELECT t.id FROM tombstones t WHERE t.merged_into = $1 AND NOT coalesce((
    SELECT c.actor LIKE 'pull %' FROM changes c WHERE c.record_id = t.id AND c.closed ORDER BY c.id DESC LIMIT 1
), false)
"""
"""Who was merged into a person by an editor here."""

RETURNED = """
SELECT t.id FROM unnest($1::text[], $2::text[]) AS i (origin, origin_id)
  JOIN tombstones t ON t.origin = i.origin AND t.origin_id = i.origin_id
 WHERE t.record_type = 'person' AND t.merged_into IS NOT NULL AND (
    SELECT c.actor LIKE 'pull %' FROM changes c WHERE c.record_id = t.id AND c.closed ORDER BY c.id DESC LIMIT 1)
"""
"""Who of these was merged as the owner had merged them."""

AROUND = """
SELECT k.* FROM pulled k JOIN (
    SELECT unnest(ARRAY[$1::uuid, $2]) AS id
    UNION SELECT event_id FROM participants WHERE person_id IN ($1, $2)
    UNION SELECT case_id FROM charges WHERE person_id IN ($1, $2)
    UNION SELECT case_id FROM sentences WHERE person_id IN ($1, $2)
    UNION SELECT case_id FROM case_judges WHERE person_id IN ($1, $2)
    UNION SELECT id FROM statuses WHERE person_id IN ($1, $2)
) AS r ON r.id = k.local_id
"""
"""What was pulled of two persons and of what names them."""

EDITED = """
UPDATE pulled SET edited = ARRAY(SELECT DISTINCT unnest(edited || $2::varchar[]) ORDER BY 1) WHERE local_id = $1
"""

LISTS = {"names": "person_names", "affiliations": "affiliations", "citations": "citations"}

HIDDEN = """
INSERT INTO proposals AS p (kind, record_type, record_id, source, origin, fields, data)
SELECT 'conflict', 'person', $1, $2, t.origin, '{level}', '{"level": "restricted"}' FROM tombstones t WHERE t.id = $3
ON CONFLICT (record_id, source) WHERE state = 'open' DO UPDATE
   SET fields = ARRAY(SELECT DISTINCT unnest(p.fields || excluded.fields) ORDER BY 1), data = p.data || excluded.data,
       at = now()
"""


class RefusedError(Exception):
    """Something cannot be: more people than now would see it, the other is gone, or others here name who would go."""


@asynccontextmanager
async def refusable(transaction: Transaction) -> AsyncIterator[None]:
    """Do what is inside whole or not at all; raises `RefusedError` where PostgreSQL refuses it."""
    try:
        async with transaction.savepoint():
            yield
    except asyncpg.PostgresError as error:
        if not isinstance(problem_of(error), (Conflict, Gone, Invalid)):
            raise
        raise RefusedError from None


async def take_apart(transaction: Transaction, person: UUID, peer: str) -> bool:
    """Undo the merge of a person whom `peer` takes back, so that what is theirs can go.

    Merges of the one who stayed into others are made again. Where it cannot be undone, the one who stayed is hidden
    with all that moved, and an open proposal tells editors by whose word; True in that case.
    """
    line = [row["id"] for row in await transaction.fetch(LINE, person)]
    stayed = line[-1]
    if len(line) == 1 or await transaction.row("SELECT FROM persons WHERE id = $1", stayed) is None:
        return False
    if await _undone(transaction, line):
        return False
    await transaction.fetch("UPDATE persons SET level = 2 WHERE id = $1", stayed)
    await transaction.fetch(HIDDEN, stayed, peer, person)
    return True


async def _undone(transaction: Transaction, line: list[UUID]) -> bool:
    """Undo the merge of the first in a line of merges, whole or not at all; those further on are made again."""
    try:
        async with refusable(transaction), as_it_came(transaction, line[0], line[-1]):
            for old in reversed(line[:-1]):
                await _step(transaction, "unmerge_persons($1)", old)
            for old, into in pairwise(line[1:]):
                await _step(transaction, "merge_persons($1, $2)", old, into)
    except RefusedError:
        return False
    return True


async def give_back(transaction: Transaction, identities: list[tuple[str, str]]) -> None:
    """Undo the merges that came with a pull of those, by origin and origin id, whom their owner sends as persons again.

    What cannot be undone stays as it is.
    """
    origins, ids = [i[0] for i in identities], [i[1] for i in identities]
    for row in await transaction.fetch(RETURNED, origins, ids):
        line = [r["id"] for r in await transaction.fetch(LINE, row["id"])]
        if await transaction.row("SELECT FROM persons WHERE id = $1", line[-1]) is not None:
            await _undone(transaction, line)


async def follow(transaction: Transaction, old: UUID, into: UUID, edited: AbstractSet[str]) -> bool:
    """Merge two pulled persons whom their owner merged; False, and nothing is done, where that may not be here.

    Not if editors here judged them not to be one, or merged somebody into the one who goes, nor where anything would
    be seen by more people. Names, affiliations and citations come with the one who stays; what was `edited` here moves.
    """
    judged = await transaction.row("SELECT judged_not_same($1, $2)", old, into)
    if judged[0] or await transaction.fetch(MERGED_HERE, old):
        return False
    try:
        async with refusable(transaction), as_it_came(transaction, old, into):
            theirs, ours = {}, []
            for field, table in LISTS.items():
                sql = f"SELECT id FROM {table} WHERE person_id = $1"  # noqa: S608 -- our own names
                ids = [row["id"] for row in await transaction.fetch(sql, old)]
                if field not in edited:
                    theirs[table] = ids
                elif ids:
                    ours.append(field)
            await _step(transaction, "merge_persons($1, $2)", old, into)
            for table, ids in theirs.items():
                await transaction.fetch(f"DELETE FROM {table} WHERE id = ANY($1::uuid[])", ids)  # noqa: S608
        await transaction.fetch(EDITED, into, ours)
    except RefusedError:
        return False
    return True


@asynccontextmanager
async def as_it_came(transaction: Transaction, one: UUID, other: UUID) -> AsyncIterator[None]:
    """Have what is done inside to two persons, and to what names them, not count as edited here."""
    known = await transaction.fetch(AROUND, one, other)
    edited = []
    for row in known:
        since = await edited_since(transaction, RESOURCES[row["record_type"]], row["local_id"], row["local_version"])
        edited.append(sorted({*row["edited"], *since}))
    yield
    await transaction.settle()
    for row, fields in zip(known, edited, strict=True):
        table = RESOURCES[row["record_type"]].name
        await transaction.fetch(
            f"UPDATE pulled SET edited = $3, local_version = (SELECT version FROM {table} WHERE id = $4) "  # noqa: S608
            "WHERE peer = $1 AND remote_id = $2",
            row["peer"],
            row["remote_id"],
            fields,
            row["local_id"],
        )


async def let_go(transaction: Transaction, person: UUID) -> None:
    """Give back whom editors here merged into a person who is to be deleted; raises `RefusedError` if one must stay."""
    for row in await transaction.fetch(MERGED_HERE, person):
        await _step(transaction, "unmerge_persons($1)", row["id"])


async def _step(transaction: Transaction, call: str, *persons: UUID) -> None:
    """Make a merge or undo it; raises `RefusedError`, and the caller must roll back, where that shows something."""
    if not (await transaction.row(f"SELECT {call}", *persons))[0]:
        raise RefusedError
