"""Puts synthetic records into an empty registry by COPY, past the triggers, in one transaction.

What the triggers make (levels, versions, the change log with its documents and numbers, name keys) is made here for all
rows at once: the triggers take a millisecond a record, this a seventh of that.
"""

import time
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
AT_ONCE = 5_000
"""Records whose changes are logged by one statement."""

Told = Callable[[str], object]

LEVELLED = "SELECT table_name FROM information_schema.columns WHERE column_name = 'effective_level'"
LEAVES = "SELECT relid::regclass::text FROM unnest($1::text[]) t, pg_partition_tree(t::regclass) WHERE isleaf"
UNUSED = "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = ANY ($1::text[]::regclass[])"
"""Has PostgreSQL pass over the indexes of tables, those of keys too, until they are made anew.

It is what an index is like that is being made concurrently; REINDEX makes it a whole one.
"""


async def fill(url: str, persons: int, events: int, seed: int, told: Told) -> int:
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
                await connection.execute(UNUSED, [])
            except asyncpg.InsufficientPrivilegeError:
                msg = "synthetic records are loaded past the triggers, which the owner must be a superuser for"
                raise synth.SynthError(msg) from None
            await connection.execute("SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL statement_timeout = 0")
            count = await _load(connection, batches, Progress(told, synth.expected(persons, events)))
        told("cleaning up")
        await connection.execute("VACUUM")
    finally:
        await connection.close()
    return count


class Progress:
    """Tells how far one step over all records has come, how fast, and when it will be through."""

    def __init__(self, told: Told, total: int) -> None:
        """Take whom to tell, and how many records there will be, about."""
        self.told, self.total = told, total

    def begin(self, doing: str) -> None:
        """Begin a step."""
        self._doing, self._done, self._began = doing, 0, time.monotonic()
        self.told(doing)

    def add(self, records: int) -> None:
        """Tell of so many records more."""
        self._done += records
        rate = self._done / max(time.monotonic() - self._began, 1e-3)
        left = max(self.total - self._done, 0) / max(rate, 1e-3)
        time_left = f"{left // 60:.0f}:{left % 60:02.0f} left"
        self.told(f"{self._doing}: {self._done:,} of about {self.total:,}, {rate:,.0f}/s, {time_left}")


async def _load(connection: Any, batches: Any, progress: Progress) -> int:
    levelled = [r[0] for r in await connection.fetch(LEVELLED)]
    keys = [f"{kind}_keys" for kind in NAMED.values()]
    await connection.execute(f"LOCK TABLE {', '.join([*levelled, *keys, 'changes'])} IN ACCESS EXCLUSIVE MODE")
    if await connection.fetchval("SELECT EXISTS (SELECT FROM places) OR EXISTS (SELECT FROM persons)"):
        msg = "the registry holds records already: synthetic ones are only put into an empty one"
        raise synth.SynthError(msg)
    async with _without_indexes(connection, levelled, progress.told):
        stored = await _store(connection, batches, progress)
    async with _without_indexes(connection, keys, progress.told):
        for table, kind in NAMED.items():
            progress.told(f"keys of the names of {table}")
            await connection.execute(NAME_KEYS.format(kind=kind))
    progress.total = stored
    async with _without_indexes(connection, ["changes"], progress.told):
        await _log(connection, progress)
    return stored


@asynccontextmanager
async def _without_indexes(connection: Any, tables: list[str], told: Told) -> AsyncIterator[None]:
    """Leave the indexes of tables alone and make them at the end, far faster than kept up to date row by row.

    Then the planner is told what the tables hold.
    """
    leaves = [r[0] for r in await connection.fetch(LEAVES, tables)]
    await connection.execute(UNUSED, leaves)
    yield
    for table in leaves:
        told(f"indexes of {table}")
        await connection.execute(f"REINDEX TABLE {table}")
    await connection.execute(f"ANALYZE {', '.join(tables)}")


async def _store(connection: Any, batches: Any, progress: Progress) -> int:
    """Store all records; return how many."""
    stored = 0
    progress.begin("storing records")
    for batch in batches:
        for table, rows in batch.items():
            await _copy(connection, table, rows)
        records = sum(len(rows) for table, rows in batch.items() if table in TYPES)
        stored += records
        progress.add(records)
    return stored


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
NUMBERS = ", ".join(f"CASE WHEN level <= {top} THEN nextval('numbers{f}') END" for f, top in FEEDS.items())
CHANGES = (
    """
INSERT INTO changes (record_type, record_id, op, version, version_partner, version_public, level_after, had_partner,
                     had_public, origin, actor, data, closed, seq, seq_partner, seq_public)
SELECT '{kind}', d.id, 'insert', 1, (level <= 1)::integer, (level <= 0)::integer, level,
       CASE WHEN level <= 1 THEN false END, CASE WHEN level <= 0 THEN false END,
       d.document ->> 'origin', 'synth', d.document, true, """
    + NUMBERS
    + """
  FROM {kind}_documents($1) AS d CROSS JOIN LATERAL (SELECT (d.document ->> 'effective_level')::smallint AS level) l
"""
)


async def _log(connection: Any, progress: Progress) -> None:
    """Log the making of every record, with the document that the triggers would log."""
    for feed in FEEDS:
        last = await connection.fetchval(f"SELECT max(seq{feed}) FROM changes")  # noqa: S608
        await connection.execute(f"CREATE TEMP SEQUENCE numbers{feed} START {(last or 0) + 1}")
    progress.begin("logging their changes")
    for table, kind in TYPES.items():
        ids = await connection.cursor(f"SELECT id FROM {table}")  # noqa: S608
        while some := await ids.fetch(AT_ONCE):
            await connection.execute(CHANGES.format(kind=kind), [r[0] for r in some])
            progress.add(len(some))
    await connection.execute("".join(f"DROP SEQUENCE numbers{feed};" for feed in FEEDS))
