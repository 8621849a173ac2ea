"""A new record costs one row in the change log and no second version of its own row.

What a statement makes is noted in one row of `made`, and logged, whole, when the transaction closes. Its counters are
right from the start, but for a record whose ties then hide it, or that comes back.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def _revision(number: str) -> Any:
    path = next(Path(__file__).parent.glob(f"*_{number}_*.py"))
    spec = importlib.util.spec_from_file_location(f"revision_{number}", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- a file beside this one
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REGISTRY, WRITES = _revision("0001"), _revision("0008")
RECORDS, DOCUMENTS, NAMED, KEPT = WRITES.RECORDS, WRITES.DOCUMENTS, WRITES.NAMED, WRITES.KEPT
DEFINER, BY_INDEX = WRITES.DEFINER, WRITES.BY_INDEX


def level_function(table: str) -> str:
    """Return the function that keeps a record's level, as revision 0001 made it, and now begins its counters too."""
    made: str = REGISTRY.level_function(table).partition("CREATE TRIGGER")[0]
    return made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
        "    RETURN NEW;",
        """    IF TG_OP = 'INSERT' AND NEW.version = 0 THEN
        NEW.version := 1;
        NEW.version_partner := (NEW.effective_level <= 1)::integer;
        NEW.version_public := (NEW.effective_level <= 0)::integer;
    END IF;
    RETURN NEW;""",
    )


def document(kind: str) -> str:
    """Return what makes the whole document of a record `t`, with its parts and the parts' levels."""
    cited = "cited_by_id" if kind == "source" else f"{kind}_id"
    pairs = []
    for part, column in {**DOCUMENTS[kind], "citations": cited}.items():
        without = f"'{{{column},folded}}'::text[]" if part in NAMED else f"'{column}'"
        item = f"to_jsonb(p) - {without}"
        if part == "sentences":
            item += (
                " || jsonb_build_object('components', (SELECT coalesce(jsonb_agg(to_jsonb(k) - 'sentence_id' "
                "ORDER BY k.position, k.id), '[]') FROM sentence_components k WHERE k.sentence_id = p.id))"
            )
        pairs.append(
            f"'{part}', (SELECT coalesce(jsonb_agg({item} ORDER BY p.position, p.id), '[]') FROM {part} p WHERE p.{column} = t.id)"
        )
    return f"to_jsonb(t) - '{{{','.join(KEPT)}}}'::text[] || jsonb_build_object({', '.join(pairs)})"


def closed_made(table: str, kind: str) -> str:
    """Return the statement that logs the new records of one kind.

    Versions go on where a record comes back after a withdrawal elsewhere. One that was deleted again was never seen.
    """
    return f"""
        WITH new AS MATERIALIZED (
            SELECT n.record, n.change, m.actor FROM made m CROSS JOIN LATERAL unnest(m.records, m.changes) AS n (record, change)
             WHERE m.transaction = pg_current_xact_id()::text::bigint AND m.record_type = '{kind}'
        ), written AS MATERIALIZED (
            SELECT n.record, n.change, n.actor, t.*, e.data AS before, e.level_after AS level_before,
                   coalesce(e.version, 0) + 1 AS version, coalesce(e.version_partner, 0) AS version_partner,
                   coalesce(e.version_public, 0) AS version_public
              FROM new n
             CROSS JOIN LATERAL (SELECT t.origin, t.effective_level AS level, {document(kind)} AS document,
                                        ROW(t.version, t.version_partner, t.version_public) AS counters
                                   FROM {table} t WHERE t.id = n.record LIMIT 1) t
              LEFT JOIN LATERAL (SELECT b.data, b.level_after, b.version, b.version_partner, b.version_public FROM changes b
                                  WHERE b.record_id = n.record AND b.closed ORDER BY b.version DESC LIMIT 1) e ON true
        ), counted AS MATERIALIZED (
            SELECT w.record, w.change, w.actor, w.origin, w.level, w.document, w.counters, w.level_before, m.partner, m.public,
                   w.version, w.version_partner + m.partner::integer AS version_partner,
                   w.version_public + m.public::integer AS version_public
              FROM written w
             CROSS JOIN LATERAL (SELECT
                CASE WHEN w.before IS NULL THEN w.level <= 1 ELSE seen_to_differ(w.document, w.before, 1::smallint) END AS partner,
                CASE WHEN w.before IS NULL THEN w.level <= 0 ELSE seen_to_differ(w.document, w.before, 0::smallint) END AS public) m
        ), corrected AS (
            UPDATE {table} t SET version = w.version, version_partner = w.version_partner, version_public = w.version_public
              FROM counted w
             WHERE t.id = w.record AND w.counters IS DISTINCT FROM ROW(w.version, w.version_partner, w.version_public)
        )
        INSERT INTO changes (id, record_type, record_id, op, actor, closed, data, origin, level_before, level_after,
                             version, version_partner, version_public, had_partner, had_public)
        OVERRIDING SYSTEM VALUE
        SELECT w.change, '{kind}', w.record, 'insert', w.actor, true, w.document, w.origin, w.level_before, w.level,
               w.version, w.version_partner, w.version_public,
               CASE WHEN w.partner THEN coalesce(w.level_before <= 1, false) END,
               CASE WHEN w.public THEN coalesce(w.level_before <= 0, false) END
          FROM counted w ORDER BY w.change;"""


def closed_changed(table: str, kind: str) -> str:
    """Return the statement that closes the changes of records of one kind that were there before.

    The state before is the newest version's, not the newest id's: an id may be drawn before another writer of the
    same record commits.
    """
    return f"""
        ids := ARRAY(SELECT c.record_id FROM changes c WHERE c.id = ANY (opened) AND c.record_type = '{kind}' AND c.op <> 'delete');
        WITH written AS MATERIALIZED (
            SELECT c.id, d.id AS record, d.document, e.data AS before, e.level_after AS level_before,
                   greatest(t.version, e.version) + 1 AS version, greatest(t.version_partner, e.version_partner) AS version_partner,
                   greatest(t.version_public, e.version_public) AS version_public
              FROM {kind}_documents(ids) d
             CROSS JOIN LATERAL (SELECT o.id FROM changes o WHERE o.record_id = d.id AND NOT o.closed LIMIT 1) c
             CROSS JOIN LATERAL (SELECT r.version, r.version_partner, r.version_public FROM {table} r WHERE r.id = d.id LIMIT 1) t
              LEFT JOIN LATERAL (SELECT b.data, b.level_after, b.version, b.version_partner, b.version_public FROM changes b
                                  WHERE b.record_id = d.id AND b.closed ORDER BY b.version DESC LIMIT 1) e ON true
        ), unchanged AS (
            DELETE FROM changes c USING written w WHERE c.id = w.id AND w.document = w.before
        ), changed AS MATERIALIZED (
            SELECT w.id, w.record, w.document, w.level_before, w.version, m.partner, m.public,
                   w.version_partner + m.partner::integer AS version_partner, w.version_public + m.public::integer AS version_public
              FROM written w CROSS JOIN LATERAL (SELECT seen_to_differ(w.document, w.before, 1::smallint) AS partner,
                                                        seen_to_differ(w.document, w.before, 0::smallint) AS public) m
             WHERE w.document IS DISTINCT FROM w.before
        ), counted AS (
            UPDATE {table} t SET version = w.version, version_partner = w.version_partner, version_public = w.version_public,
                   updated_at = now() FROM changed w WHERE t.id = w.record
        )
        UPDATE changes c SET closed = true, data = w.document, origin = w.document ->> 'origin', level_before = w.level_before,
               level_after = (w.document ->> 'effective_level')::smallint, version = w.version,
               version_partner = w.version_partner, version_public = w.version_public,
               had_partner = CASE WHEN w.partner THEN coalesce(w.level_before <= 1, false) END,
               had_public = CASE WHEN w.public THEN coalesce(w.level_before <= 0, false) END
          FROM changed w WHERE c.id = w.id;"""


def close_function() -> str:
    """Return the function that closes all changes of a transaction, records that others are part of first."""
    kinds = "".join(
        f"""
    IF '{kind}' = ANY (fresh) THEN{closed_made(table, kind)}
    END IF;
    IF '{kind}' = ANY (kinds) THEN{closed_changed(table, kind)}
    END IF;"""
        for table, kind in RECORDS.items()
    )
    return f"""
CREATE FUNCTION close_changes(since bigint) RETURNS void {BY_INDEX} AS $$
DECLARE
    opened bigint[];
    kinds varchar[];
    fresh varchar[];
    ids uuid[];
BEGIN
    -- What is open and can be seen is of this transaction; it is closed in the order of its ids, so the rest come after.
    SELECT array_agg(c.id), array_agg(DISTINCT CASE c.op WHEN 'delete' THEN 'deleted' ELSE c.record_type END) INTO opened, kinds
      FROM changes c WHERE c.seq IS NULL AND c.id >= since AND NOT c.closed;
    SELECT array_agg(DISTINCT m.record_type) INTO fresh FROM made m WHERE m.transaction = pg_current_xact_id()::text::bigint;
    IF 'deleted' = ANY (kinds) THEN
        WITH gone AS MATERIALIZED (
            SELECT c.id, e.version, e.version_partner, e.version_public, e.level_after, e.origin, coalesce(e.op, 'delete') = 'delete' AS unseen
              FROM changes c
              LEFT JOIN LATERAL (SELECT b.* FROM changes b WHERE b.record_id = c.record_id AND b.closed ORDER BY b.version DESC LIMIT 1) e ON true
             WHERE c.id = ANY (opened) AND c.op = 'delete'
        ), unseen AS (  -- made and deleted in one transaction: nobody ever saw it
            DELETE FROM changes c USING gone g WHERE c.id = g.id AND g.unseen
        )
        UPDATE changes c SET closed = true, version = g.version + 1, level_before = g.level_after, origin = g.origin,
               version_partner = coalesce(g.version_partner, 0) + 1, version_public = coalesce(g.version_public, 0) + 1,
               had_partner = CASE WHEN g.level_after <= 1 THEN true END, had_public = CASE WHEN g.level_after <= 0 THEN true END
          FROM gone g WHERE c.id = g.id AND NOT g.unseen;
    END IF;{kinds}
    DELETE FROM made m WHERE m.transaction = pg_current_xact_id()::text::bigint;
END $$;
"""


def upgrade() -> None:
    """Make it."""
    run((SQL / "0012_made.sql").read_text())
    run("".join(level_function(table) for table in RECORDS) + close_function())


def downgrade() -> None:
    """Put the change log back as revision 0008 made it."""
    run("DROP TRIGGER closed ON changes;")
    sql = WRITES.OPEN + WRITES.close_function()
    run(sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    run(
        "CREATE CONSTRAINT TRIGGER closed AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION close_change(); DROP TABLE made; DROP FUNCTION close_made(), close_changes(bigint);"
    )
    for table in RECORDS:
        made = REGISTRY.level_function(table).partition("CREATE TRIGGER")[0]
        run(made.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
