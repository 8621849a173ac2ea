"""Puts synthetic records into an empty registry by COPY, past the triggers, in one transaction.

What the triggers make (levels, versions, the change log with its documents and numbers, name keys) is made here for all
rows at once: the triggers take a millisecond a record, this some fifty microseconds.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.core import schema
from app.core.records import RESOURCES
from app.exchange import synth

TYPES = {r.table.name: r.type for r in RESOURCES.values() if "version" in r.table.c}
NAMED = {"persons": "person", "organisations": "organisation", "places": "place"}
FEEDS = {"": 2, "_partner": 1, "_public": 0}
"""Suffix of an audience's numbers in the change log → the strictest level that it sees."""

LEVELLED = "SELECT table_name FROM information_schema.columns WHERE column_name = 'effective_level'"

INDEXES = """
SELECT i.indexrelid::regclass::text AS name, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS made_by
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY ($1::text[]::regclass[]) AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""


async def fill(url: str, persons: int, events: int, seed: int, told: Callable[[str], object]) -> int:
    """Store synthetic records as the owner and superuser; return how many there are.

    `told` is called with what is going on. Raises `SynthError` for a registry that is not empty, for numbers that are
    too small, and for an owner that may not go past the triggers; nothing is stored then.
    """
    batches = synth.make(persons, events, seed)
    connection = await schema.connect_owner(url)
    try:
        async with connection.transaction():
            try:
                await connection.execute("SET LOCAL session_replication_role = replica")
            except asyncpg.InsufficientPrivilegeError:
                msg = "synthetic records are loaded past the triggers, which the owner must be a superuser for"
                raise synth.SynthError(msg) from None
            await connection.execute("SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL statement_timeout = 0")
            count = await _load(connection, batches, told)
        told("cleaning up")
        await connection.execute("VACUUM")
    finally:
        await connection.close()
    return count


async def _load(connection: Any, batches: Any, told: Callable[[str], object]) -> int:
    levelled = [r[0] for r in await connection.fetch(LEVELLED)]
    keys = [f"{kind}_keys" for kind in NAMED.values()]
    await connection.execute(f"LOCK TABLE {', '.join([*levelled, *keys, 'changes'])} IN ACCESS EXCLUSIVE MODE")
    if await connection.fetchval("SELECT EXISTS (SELECT FROM places) OR EXISTS (SELECT FROM persons)"):
        msg = "the registry holds records already: synthetic ones are only put into an empty one"
        raise synth.SynthError(msg)
    stored = 0
    async with _without_indexes(connection, levelled, told):
        for batch in batches:
            for table, rows in batch.items():
                await _copy(connection, table, rows)
                stored += len(rows) if table in TYPES else 0
            told(f"{stored:,} records stored")
    async with _without_indexes(connection, keys, told):
        for table, kind in NAMED.items():
            told(f"keys of the names of {table}")
            await connection.execute(NAME_KEYS.format(kind=kind))
    async with _without_indexes(connection, ["changes"], told):
        for feed in FEEDS:
            last = await connection.fetchval(f"SELECT max(seq{feed}) FROM changes")  # noqa: S608
            await connection.execute(f"CREATE TEMP SEQUENCE numbers{feed} START {(last or 0) + 1}")
        for table, kind in TYPES.items():
            told(f"changes of {table}")
            await connection.execute(await _changes(connection, table, kind))
        await connection.execute("".join(f"DROP SEQUENCE numbers{feed};" for feed in FEEDS))
    return stored


@asynccontextmanager
async def _without_indexes(connection: Any, tables: list[str], told: Callable[[str], object]) -> AsyncIterator[None]:
    """Drop the indexes of tables and make them again at the end, far faster than kept up to date row by row.

    Those of constraints stay. Then the planner is told what the tables hold.
    """
    indexes = await connection.fetch(INDEXES, tables)
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    for index in indexes:
        told(f"index {index['name']}")
        await connection.execute(index["made_by"])
    await connection.execute(f"ANALYZE {', '.join(tables)}")


async def _copy(connection: Any, table: str, rows: list[synth.Row]) -> None:
    """Store rows with the levels and versions that the triggers would give them, those of the same columns together."""
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        kept = {"effective_level": row["level"]}
        if table in TYPES:
            kept |= {"version": 1, "version_partner": int(row["level"] <= 1), "version_public": int(row["level"] <= 0)}
        alike.setdefault((*row, *kept), []).append((*row.values(), *kept.values()))
    for columns, records in alike.items():
        await connection.copy_records_to_table(table, records=records, columns=columns)


NAME_KEYS = """
INSERT INTO {kind}_keys (level, record_id, folded, words)
SELECT effective_level, {kind}_id, first_readings(folded), name_tokens(first_readings(folded), string_agg(folded, ' '))
  FROM {kind}_names WHERE folded <> '' GROUP BY 1, 2, 3
"""

# Numbers as the feed would give them: without gaps, each audience its own.
NUMBERS = ", ".join(f"CASE WHEN d.effective_level <= {top} THEN nextval('numbers{f}') END" for f, top in FEEDS.items())
CHANGES = (
    """
INSERT INTO changes (record_type, record_id, op, version, version_partner, version_public, level_after, had_partner,
                     had_public, origin, actor, data, closed, seq, seq_partner, seq_public)
SELECT '{kind}', d.id, 'insert', d.version, d.version_partner, d.version_public, d.effective_level,
       CASE WHEN d.effective_level <= 1 THEN false END, CASE WHEN d.effective_level <= 0 THEN false END,
       d.origin, 'synth', d.document, true, """
    + NUMBERS
    + """
  FROM ({documents}) AS d
"""
)


async def _changes(connection: Any, table: str, kind: str) -> str:
    """Return the statement that logs the making of every record of a table.

    The document of each is what `document` returns. That function reads one record by id; its own SELECT, over the
    whole table, is four times as fast.
    """
    source = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE oid = 'document(varchar, uuid)'::regprocedure")
    columns = "t.id, t.version, t.version_partner, t.version_public, t.effective_level, t.origin"
    one = re.search(rf"'{kind}' THEN \(SELECT (.*?) FROM {table} t WHERE t\.id = record\)", source, re.DOTALL)  # noqa: S608
    document = one[1] if one else f"document('{kind}', t.id)"
    return CHANGES.format(kind=kind, documents=f"SELECT {columns}, {document} AS document FROM {table} t")  # noqa: S608
