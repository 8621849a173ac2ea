"""How the feed is read: one statement, one snapshot, under the caller's own login."""

from functools import cache

from sqlalchemy import ColumnElement, Text, cast, literal_column, select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from app.changes.models import ORDER
from app.core.records import Audience, Resource
from app.core.shapes import json_object, shape

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]


def seq_of(audience: Audience) -> str:
    """Name the column of `changes` that numbers this audience's feed."""
    return "seq" if audience.sees_everything else f"seq_{audience.value}"


def had_of(audience: Audience) -> str:
    """Return the SQL that tells whether the audience could see the record before the change."""
    return "level_before IS NOT NULL" if audience.sees_everything else f"had_{audience.value}"


def item_sql(resource: Resource, audience: Audience, first: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the SQL of a record `r` as an item of the feed, `first` being what stands before its members."""
    row = resource.table.alias("r")
    item = json_object(
        (
            *((name, literal_column(sql)) for name, sql in first),
            ("op", literal_column("'upsert'")),
            ("type", literal_column(f"'{resource.type}'")),
            ("id", row.c.id),
            ("origin", row.c.origin),
            ("version", row.c[audience.version_column]),
            ("data", shape(resource, row, audience)),
        )
    )
    return render(cast(item, Text))


def render(sql: ColumnElement[str]) -> str:
    """Return the text of an expression with its few constants in place, to stand inside a longer statement."""
    whole = str(select(sql).compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
    return whole.removeprefix("SELECT ").rpartition("\nFROM")[0]


@cache
def changes_sql(audience: Audience) -> str:
    """Return the statement of one page: $1 place reached, $2 limit, $3 types, $4 excluded origin or null.

    It answers one row: what the cursor is checked against, the head of the feed, where the page ends, and its items.
    A page that is not full ends at the head, so that a selection which matches little is not read over and over.
    An entry is shown as the record is now. Where the caller cannot see it now, it is a removal if before any change on
    the page they could; looking at the first or the last change alone leaves records behind.
    """
    seq, had = seq_of(audience), had_of(audience)
    upserts = "\n".join(
        f"WHEN '{r.type}' THEN (SELECT {item_sql(r, audience, (('seq', 'e.seq'),))} "  # noqa: S608 -- our own names
        f"FROM {r.name} AS r WHERE r.id = e.record_id)"
        for r in ORDER
    )
    targets = " ".join(
        f"WHEN '{r.type}' THEN (SELECT m.id FROM {r.name} m WHERE m.id = t.merged_into)"  # noqa: S608
        for r in ORDER
    )
    return f"""
WITH read AS (
    SELECT {seq} AS seq, uid, record_type, record_id, origin, {had} AS had, at FROM changes
     WHERE {seq} > $1::bigint AND record_type = ANY($3::varchar[])
       AND ($4::varchar IS NULL OR origin IS DISTINCT FROM $4::varchar)
     ORDER BY {seq} LIMIT $2::integer + 1
), page AS (
    SELECT *, row_number() OVER (ORDER BY seq) AS n FROM read
), entries AS (
    SELECT DISTINCT ON (record_id) seq, record_type, record_id, origin,
           bool_or(had) OVER (PARTITION BY record_id) AS had
      FROM page WHERE n <= $2::integer ORDER BY record_id, seq DESC
), now_seen AS (
    SELECT e.*, CASE e.record_type
{upserts}
    END AS upsert, t.id IS NOT NULL AS buried, CASE e.record_type {targets} END AS target
      FROM entries e LEFT JOIN tombstones t ON t.id = e.record_id
), items AS (
    SELECT seq, CASE
        WHEN upsert IS NOT NULL THEN upsert
        WHEN NOT had THEN NULL
        WHEN target IS NOT NULL THEN json_build_object('seq', seq, 'op', 'merge', 'type', record_type,
            'id', record_id, 'origin', origin, 'into', target)::text
        ELSE json_build_object('seq', seq, 'op', 'remove', 'type', record_type, 'id', record_id,
            'origin', origin, 'reason', CASE WHEN buried THEN 'deleted' ELSE 'withdrawn' END)::text
    END AS item FROM now_seen
), head AS (
    SELECT {seq} AS seq, uid FROM changes WHERE {seq} IS NOT NULL ORDER BY {seq} DESC LIMIT 1
)
SELECT (SELECT id FROM feed) AS feed,
       (SELECT uid FROM changes WHERE {seq} = $1::bigint) AS here,
       (SELECT min({seq}) FROM changes) AS oldest,
       (SELECT seq FROM head) AS head_seq, (SELECT uid FROM head) AS head_uid,
       (SELECT seq FROM page WHERE n = $2::integer) AS last_seq,
       (SELECT uid FROM page WHERE n = $2::integer) AS last_uid,
       (SELECT extract(epoch FROM clock_timestamp() - at)::float8 FROM page WHERE n = $2::integer + 1) AS lag,
       statement_timestamp() AS as_of,
       (SELECT coalesce(string_agg(item, ',' ORDER BY seq), '') FROM items WHERE item IS NOT NULL) AS items
"""  # noqa: S608 -- made of our own names only


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
    """Return the statement that a cursor is checked against: $1 its seq."""
    seq = seq_of(audience)
    return (
        f"SELECT (SELECT id FROM feed) AS feed, (SELECT uid FROM changes WHERE {seq} = $1::bigint) AS here, "  # noqa: S608
        f"(SELECT min({seq}) FROM changes) AS oldest"
    )


UNCONFIRMED = "SELECT * FROM unconfirmed_withdrawals($1, $2, $3)"
CONFIRM = "SELECT confirm_feed($1, $2, $3, $4, $5)"
NUMBER = "SELECT * FROM number_changes()"
LAG = "SELECT feed_lag($1)"
"""Age in seconds of the oldest change of a level's feed that has no number yet; 0 if there is none."""
