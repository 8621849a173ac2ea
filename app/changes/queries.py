"""How the feed is read: its statements, all of them run under the caller's own login."""

from functools import cache

from sqlalchemy import Text, cast, literal_column, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from app.core.records import Audience, Resource
from app.core.rows import standing
from app.core.shapes import json_object, shape

DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]


def seq_of(audience: Audience) -> str:
    """Name the column of `changes` that numbers this audience's feed."""
    return "seq" if audience.sees_everything else f"seq_{audience.value}"


def had_of(audience: Audience) -> str:
    """Return the SQL that tells whether the audience could see the record before the change."""
    return "level_before IS NOT NULL" if audience.sees_everything else f"had_{audience.value}"


@cache
def items_sql(resource: Resource, audience: Audience) -> str:
    """Return the statement of records as items of the feed, $1 their ids: id and JSON of each that is seen.

    The JSON comes as bytes, which go into the answer as they are: decoding them costs as much as all else in Python.
    """
    item = f"convert_to({item_sql(resource, audience)}, 'UTF8')"
    return f"SELECT r.id, {item} FROM {resource.name} AS r WHERE r.id = ANY($1::uuid[])"  # noqa: S608


def item_sql(resource: Resource, audience: Audience) -> str:
    """Return the SQL of a record `r` as an item of the feed: the form in which lists show it, and what it is."""
    row = resource.table.alias("r")
    item = json_object(
        (
            ("op", literal_column("'upsert'")),
            ("type", literal_column(f"'{resource.type}'")),
            ("id", row.c.id),
            ("origin", row.c.origin),
            ("version", row.c[audience.version_column]),
            ("data", shape(resource, row, audience)),
        )
    )
    # With its few constants in place, so that it can stand inside a longer statement.
    whole = str(select(cast(item, Text).label("item")).compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))
    return whole.removeprefix("SELECT ").rpartition("\nFROM")[0].strip().removesuffix(" AS item")


@cache
def entries_sql(audience: Audience) -> str:
    """Return the statement of what changed: $1 place reached, $2 limit, $3 types, $4 excluded, $5 horizon, $6 window.

    It answers one row: what the cursor is checked against, the head of the feed, where the page ends, and its entries,
    of a record the last. `had` tells whether the caller could see the record before any of its changes on the page;
    looking at the first or the last change alone leaves records behind.
    A page looks at so many changes as the window says and no further, whatever is selected of them: else a selection
    that matches little would be looked for in all that was ever written.
    """
    seq, had = seq_of(audience), had_of(audience)
    return f"""
WITH bound AS (
    SELECT {seq} AS seq, uid FROM changes
     WHERE {seq} < (SELECT {seq} FROM changes WHERE {seq} > $1::bigint ORDER BY {seq} LIMIT 1) + $6::bigint
       AND {seq} > $1::bigint ORDER BY {seq} DESC LIMIT 1
), read AS (
    SELECT {seq} AS seq, uid, record_type, record_id, origin, {had} AS had, at FROM changes
     WHERE {seq} > $1::bigint AND {seq} <= (SELECT seq FROM bound) AND record_type = ANY($3::varchar[])
       AND ($4::varchar IS NULL OR origin IS DISTINCT FROM $4::varchar)
     ORDER BY {seq} LIMIT $2::integer + 1
), page AS (
    SELECT *, row_number() OVER (ORDER BY seq) AS n FROM read
), entries AS (
    SELECT DISTINCT ON (record_id) seq, record_type, record_id, origin,
           bool_or(had) OVER (PARTITION BY record_id) AS had
      FROM page WHERE n <= $2::integer ORDER BY record_id, seq DESC
), head AS (
    SELECT {seq} AS seq, uid FROM changes WHERE {seq} IS NOT NULL ORDER BY {seq} DESC LIMIT 1
), reached AS (
    SELECT seq, uid FROM page WHERE n = $2::integer UNION ALL SELECT seq, uid FROM bound ORDER BY seq LIMIT 1
)
SELECT (SELECT id FROM feed) AS feed,
       (SELECT uid FROM changes WHERE {seq} = $1::bigint) AS here,
       (SELECT uid FROM changes WHERE {seq} = $5::bigint) AS there,
       (SELECT min({seq}) FROM changes) AS oldest,
       (SELECT seq FROM head) AS head_seq, (SELECT uid FROM head) AS head_uid,
       (SELECT seq FROM reached) AS last_seq, (SELECT uid FROM reached) AS last_uid,
       extract(epoch FROM clock_timestamp() - coalesce(
           (SELECT at FROM page WHERE n = $2::integer + 1),
           (SELECT at FROM changes WHERE {seq} > (SELECT seq FROM bound) ORDER BY {seq} LIMIT 1)))::float8 AS lag,
       statement_timestamp() AS as_of,
       e.* FROM (SELECT array_agg(seq ORDER BY seq) AS seqs, array_agg(record_type ORDER BY seq) AS types,
                        array_agg(record_id ORDER BY seq) AS ids, array_agg(origin ORDER BY seq) AS origins,
                        array_agg(had ORDER BY seq) AS had FROM entries) e
"""  # noqa: S608 -- made of our own names only


@cache
def buried_sql(resource: Resource) -> str:
    """Return the statement of which of the records $1 were deleted, as far as the caller sees, and into what merged."""
    into = standing(resource.name, "t.id = g.id")
    return f"SELECT g.id, {into} AS merged_into FROM tombstones g WHERE g.id = ANY($1::uuid[])"  # noqa: S608


@cache
def head_sql(audience: Audience) -> str:
    """Return the statement of where an audience's feed ends: feed, the last entry's seq, uid and time, and now."""
    seq = seq_of(audience)
    return (
        "SELECT f.id AS feed, coalesce(h.seq, 0) AS seq, h.uid, h.at, statement_timestamp() AS as_of FROM feed f "  # noqa: S608
        f"LEFT JOIN (SELECT {seq} AS seq, uid, at FROM changes WHERE {seq} IS NOT NULL "
        f"ORDER BY {seq} DESC LIMIT 1) h ON true"
    )


@cache
def check_sql(audience: Audience) -> str:
    """Return the statement that a cursor is checked against: $1 its number, $2 its horizon."""
    seq = seq_of(audience)
    return (
        f"SELECT (SELECT id FROM feed) AS feed, (SELECT uid FROM changes WHERE {seq} = $1::bigint) AS here, "  # noqa: S608
        f"(SELECT uid FROM changes WHERE {seq} = $2::bigint) AS there, "
        f"(SELECT min({seq}) FROM changes) AS oldest"
    )


UNCONFIRMED = "SELECT * FROM unconfirmed_withdrawals($1, $2, $3, $4)"
CONFIRM = "SELECT confirm_feed($1, $2, $3, $4, $5)"
NUMBER = "SELECT * FROM number_changes()"
LAG = "SELECT feed_lag($1)"
"""Age in seconds of the oldest change of a level's feed that has no number yet; 0 if there is none."""
