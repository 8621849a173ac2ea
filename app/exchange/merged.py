"""What another registry says of a person who was merged: taken apart where that person must go, and kept for editors.

A merge moves all that a person had to the one who stays. So whoever is withdrawn or deleted by their owner would stay
here under the other's name, if nothing but the person's own row were looked at.
"""

from itertools import pairwise
from uuid import UUID

import asyncpg

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

HIDDEN = """
INSERT INTO proposals AS p (kind, record_type, record_id, source, origin, fields, data)
SELECT 'conflict', 'person', $1, $2, t.origin, '{level}', '{"level": "restricted"}' FROM tombstones t WHERE t.id = $3
ON CONFLICT (record_id, source) WHERE state = 'open' DO UPDATE
   SET fields = ARRAY(SELECT DISTINCT unnest(p.fields || excluded.fields) ORDER BY 1), data = p.data || excluded.data,
       at = now()
"""


async def take_apart(transaction: Transaction, person: UUID, peer: str) -> bool:
    """Undo the merge of a person whom `peer` takes back, so that what is theirs can go.

    Merges of the one who stayed into others are made again. Where it cannot be undone, the one who stayed is hidden
    with all that moved, and an open proposal tells editors by whose word; True in that case.
    """
    line = [row["id"] for row in await transaction.fetch(LINE, person)]
    stayed = line[-1]
    if len(line) == 1 or await transaction.row("SELECT FROM persons WHERE id = $1", stayed) is None:
        return False
    try:
        async with transaction.savepoint():
            for old in reversed(line[:-1]):
                await _step(transaction, "unmerge_persons($1)", old)
            for old, into in pairwise(line[1:]):
                await _step(transaction, "merge_persons($1, $2)", old, into)
            await transaction.settle()
    except RefusedError:
        pass
    except asyncpg.PostgresError as error:
        if not isinstance(problem_of(error), (Conflict, Gone, Invalid)):
            raise
    else:
        return False
    await transaction.fetch("UPDATE persons SET level = 2 WHERE id = $1", stayed)
    await transaction.fetch(HIDDEN, stayed, peer, person)
    return True


async def let_go(transaction: Transaction, person: UUID) -> None:
    """Give back whom editors here merged into a person who is to be deleted; raises `RefusedError` if one must stay."""
    for row in await transaction.fetch(MERGED_HERE, person):
        await _step(transaction, "unmerge_persons($1)", row["id"])


async def _step(transaction: Transaction, call: str, *persons: UUID) -> None:
    """Make a merge or undo it; raises `RefusedError`, and the caller must roll back, where that shows something."""
    if not (await transaction.row(f"SELECT {call}", *persons))[0]:
        raise RefusedError


class RefusedError(Exception):
    """A merge cannot be made or undone: something would be seen by more people than now, or the other is gone."""
