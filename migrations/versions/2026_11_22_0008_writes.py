"""Writes by the set: the change log, the ties and what was deleted are looked after once a statement, not once a row.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RECORDS = {
    "places": "place",
    "organisations": "organisation",
    "sources": "source",
    "statutes": "statute",
    "persons": "person",
    "cases": "case",
    "events": "event",
    "statuses": "status",
    "figures": "figure",
}

# Part table → the record tables it belongs to, each with the column that says so.
PARTS = {
    "place_names": {"place_id": "places"},
    "organisation_names": {"organisation_id": "organisations"},
    "statute_titles": {"statute_id": "statutes"},
    "person_names": {"person_id": "persons"},
    "affiliations": {"person_id": "persons"},
    "case_judges": {"case_id": "cases"},
    "charges": {"case_id": "cases"},
    "sentences": {"case_id": "cases"},
    "sentence_components": {"sentence_id": "sentences"},
    "participants": {"event_id": "events"},
    "event_statutes": {"event_id": "events"},
    "citations": {
        "person_id": "persons",
        "case_id": "cases",
        "statute_id": "statutes",
        "event_id": "events",
        "organisation_id": "organisations",
        "place_id": "places",
        "status_id": "statuses",
        "cited_by_id": "sources",
        "figure_id": "figures",
    },
}

# Parts through which a record names others: table → owner column, record table, columns that name others.
TIES = {
    "participants": ("event_id", "events", ("person_id", "organisation_id")),
    "event_statutes": ("event_id", "events", ("statute_id",)),
    "case_judges": ("case_id", "cases", ("person_id",)),
    "charges": ("case_id", "cases", ("person_id", "statute_id", "requalified_from_id")),
    "sentences": ("case_id", "cases", ("person_id",)),
}

# Lists that a record's document holds, in a table each with the column that points at the record.
DOCUMENTS = {
    "place": {"place_names": "place_id"},
    "organisation": {"organisation_names": "organisation_id"},
    "source": {},
    "statute": {"statute_titles": "statute_id"},
    "person": {"person_names": "person_id", "affiliations": "person_id"},
    "case": {"case_judges": "case_id", "charges": "case_id", "sentences": "case_id"},
    "event": {"participants": "event_id", "event_statutes": "event_id"},
    "status": {},
    "figure": {},
}
NAMED = ("place_names", "organisation_names", "person_names")
KEPT = ("version", "version_partner", "version_public", "created_at", "updated_at")

# A statement's plan is kept for later ones, whatever their size: what looks rows up in tables does so by their indexes,
# what compares a statement's rows before and after does so in one pass. And it is kept from the first: PostgreSQL would
# plan anew each time for arrays that are shorter than it expects, which takes longer than what is to be done.
DEFINER = "LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan"
# Each says all of it, since they run inside one another.
BY_INDEX = (
    f"{DEFINER} SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_nestloop = on"
)
IN_ONE_PASS = f"{DEFINER} SET enable_hashjoin = on SET enable_nestloop = off"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


# --- a change is opened at the first touch ---------------------------------------------------------------

OPEN = f"""
-- Opens the changes of records, of each once in a transaction. In the order of their ids, so that two who write the same
-- records wait for each other and do not block each other.
CREATE FUNCTION open_changes(kind varchar, operation varchar, records uuid[]) RETURNS void {BY_INDEX} AS $$
DECLARE made_by varchar := nullif(current_setting('chronika.actor', true), '');
BEGIN
    INSERT INTO changes AS c (record_type, record_id, op, actor)
    SELECT kind, r.id, operation, made_by FROM unnest(records) AS r (id)
     WHERE operation = 'delete' OR NOT EXISTS (SELECT FROM changes o WHERE o.record_id = r.id AND NOT o.closed)
     ORDER BY r.id
    ON CONFLICT (record_id) WHERE NOT closed DO UPDATE SET op = 'delete' WHERE excluded.op = 'delete';
END $$;

-- A deleted id, or an origin's deleted id, is never given again: whoever mirrored the deletion would lose the new one.
-- Asked when the rows are there, so that a deletion which they had to wait for counts.
CREATE FUNCTION records_made() RETURNS trigger {BY_INDEX} AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh f JOIN tombstones t ON t.id = f.id)
        OR EXISTS (SELECT FROM fresh f JOIN tombstones t ON t.origin = f.origin AND t.origin_id = f.origin_id)
        OR EXISTS (SELECT FROM tombstones t JOIN fresh f ON f.origin = t.origin
                    WHERE t.erased_for IS NOT NULL AND t.origin_id = erased_origin_id(t.id, f.origin_id))
    THEN
        RAISE EXCEPTION 'buried' USING ERRCODE = 'CH410';
    END IF;
    PERFORM open_changes(TG_ARGV[0], 'insert', (SELECT array_agg(id) FROM fresh));
    RETURN NULL;
END $$;

-- Counting a record's versions is not a change of it.
CREATE FUNCTION records_rewritten() RETURNS trigger {IN_ONE_PASS} AS $$
DECLARE ids uuid[];
BEGIN
    SELECT array_agg(f.id) INTO ids FROM stale s JOIN fresh f USING (id)
     WHERE s.version = f.version AND s.* IS DISTINCT FROM f.*;
    IF ids IS NOT NULL THEN PERFORM open_changes(TG_ARGV[0], 'update', ids); END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION records_deleted() RETURNS trigger {DEFINER} AS $$
BEGIN
    INSERT INTO tombstones (id, record_type, origin, origin_id, effective_level)
    SELECT id, TG_ARGV[0], origin, origin_id, effective_level FROM stale ON CONFLICT (id) DO NOTHING;
    PERFORM open_changes(TG_ARGV[0], 'delete', (SELECT array_agg(id) FROM stale));
    RETURN NULL;
END $$;
"""


def record_triggers(table: str, kind: str) -> str:
    """Return the triggers of a record table: no buried id, a tombstone, and the change log."""
    return f"""
DROP TRIGGER buried ON {table}; DROP TRIGGER written ON {table}; DROP TRIGGER rewritten ON {table};
CREATE TRIGGER made AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION records_made('{kind}');
CREATE TRIGGER rewritten AFTER UPDATE ON {table} REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION records_rewritten('{kind}');
CREATE TRIGGER deleted AFTER DELETE ON {table} REFERENCING OLD TABLE AS stale
FOR EACH STATEMENT EXECUTE FUNCTION records_deleted('{kind}');
"""


def part_triggers(table: str) -> str:
    """Return the triggers that open the changes of the records whose parts were written; one that is gone has its own."""
    owners = PARTS[table]
    opening = ""
    for column, parent in owners.items():
        if parent in RECORDS:
            found, kind = f"SELECT r.id FROM {parent} r WHERE r.id = ANY ({column}s)", RECORDS[parent]
        else:
            found, kind = f"SELECT DISTINCT s.case_id FROM sentences s WHERE s.id = ANY ({column}s)", "case"
        opening += f"""
    IF {column}s <> '{{NULL}}' THEN
        {column}s := ARRAY({found});
        IF {column}s <> '{{}}' THEN PERFORM open_changes('{kind}', 'update', {column}s); END IF;
    END IF;"""
    declared = " ".join(f"{column}s uuid[];" for column in owners)
    picked = ", ".join(f"array_agg(DISTINCT x.{column})" for column in owners)
    into = ", ".join(f"{column}s" for column in owners)
    return f"""
CREATE OR REPLACE FUNCTION {table}_written() RETURNS trigger {DEFINER} SET enable_seqscan = off AS $$
DECLARE {declared}
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT {picked} INTO {into} FROM fresh x;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT {picked} INTO {into} FROM stale x;
    ELSE
        SELECT {picked} INTO {into} FROM (
            (TABLE fresh EXCEPT ALL TABLE stale) UNION ALL (TABLE stale EXCEPT ALL TABLE fresh)) AS x;
    END IF;{opening}
    RETURN NULL;
END $$;
DROP TRIGGER written ON {table};
{three_triggers(table, "written", f"{table}_written")}
"""


def three_triggers(table: str, name: str, function: str) -> str:
    """Return the triggers of the three kinds of statements; each has its own transition tables."""
    return f"""
CREATE TRIGGER {name} AFTER INSERT ON {table} REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER {name}_anew AFTER UPDATE ON {table} REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION {function}();
CREATE TRIGGER {name}_away AFTER DELETE ON {table} REFERENCING OLD TABLE AS stale
FOR EACH STATEMENT EXECUTE FUNCTION {function}();"""


# --- ties --------------------------------------------------------------------------------------------------


def look_again(record: str) -> str:
    """Return what has records look at their ties again: those that are hidden by one, or less hidden than one."""
    ties = [(tie, owner) for tie, (owner, of, _) in TIES.items() if of == record]
    stricter = " OR ".join(
        f"EXISTS (SELECT FROM {tie} x WHERE x.{owner} = r.id AND x.effective_level > r.effective_level)"
        for tie, owner in ties
    )
    return f"""
CREATE FUNCTION {record}_look_again(records uuid[]) RETURNS void {BY_INDEX} AS $$
BEGIN
    UPDATE {record} r SET effective_level = r.effective_level
     WHERE r.id = ANY (records) AND (r.effective_level > r.level OR {stricter});
END $$;
"""


def tie_triggers(table: str) -> str:
    """Return the triggers that have a record look at its ties again after one came, went or changed."""
    owner, record, names = TIES[table]
    said = ", ".join(["id", owner, "level", *names])
    return f"""
CREATE OR REPLACE FUNCTION {table}_tied() RETURNS trigger {DEFINER} AS $$
DECLARE records uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT {owner}) INTO records FROM fresh;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT {owner}) INTO records FROM stale;
    ELSE
        SELECT array_agg(DISTINCT x.{owner}) INTO records FROM (
            (SELECT {said} FROM fresh EXCEPT ALL SELECT {said} FROM stale) UNION ALL
            (SELECT {said} FROM stale EXCEPT ALL SELECT {said} FROM fresh)) AS x;
    END IF;
    IF records IS NOT NULL THEN PERFORM {record}_look_again(records); END IF;
    RETURN NULL;
END $$;
DROP TRIGGER tied ON {table};
{three_triggers(table, "tied", f"{table}_tied")}
"""


# --- a change is closed at the commit ----------------------------------------------------------------------


def documents_function(table: str, kind: str) -> str:
    """Return the function that gives the whole documents of records, with their parts and the parts' levels."""
    lists = dict(DOCUMENTS[kind])
    cited = "cited_by_id" if kind == "source" else f"{kind}_id"
    pairs = []
    for part, column in {**lists, "citations": cited}.items():
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
    return f"""
CREATE FUNCTION {kind}_documents(records uuid[]) RETURNS TABLE (id uuid, document jsonb) STABLE {BY_INDEX} AS $$
BEGIN
    RETURN QUERY SELECT t.id, to_jsonb(t) - '{{{",".join(KEPT)}}}'::text[] || jsonb_build_object({", ".join(pairs)})
      FROM {table} t WHERE t.id = ANY (records);
END $$;
"""


DOCUMENT = """
CREATE OR REPLACE FUNCTION document(kind varchar, record uuid) RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE found jsonb;
BEGIN
    EXECUTE format('SELECT document FROM %I(ARRAY[$1])', kind || '_documents') INTO found USING record;
    RETURN found;
END $$;
"""

MOVED = f"""
-- Whether an audience sees a difference between two documents; null is a document that is not there.
CREATE FUNCTION seen_to_differ(after jsonb, before jsonb, ceiling smallint) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = public, pg_temp AS $$
DECLARE
    -- What is no field of the record itself.
    lists CONSTANT text[] := '{{{",".join(sorted({"effective_level", "citations", *(p for d in DOCUMENTS.values() for p in d)}))}}}';
    shown CONSTANT boolean := coalesce((after ->> 'effective_level')::smallint <= ceiling, false);
    was_shown CONSTANT boolean := coalesce((before ->> 'effective_level')::smallint <= ceiling, false);
BEGIN
    IF shown <> was_shown THEN
        RETURN true;
    ELSIF NOT shown THEN
        RETURN false;
    ELSIF after - lists <> before - lists THEN
        RETURN true;
    END IF;
    RETURN visible(after, ceiling) IS DISTINCT FROM visible(before, ceiling);
END $$;
"""


def close_function() -> str:
    """Return the trigger that closes the changes of a transaction, all of them when the first is to be closed.

    The state before is the newest version's, not the newest id's: an id may be drawn before another writer of the
    same record commits. Versions go on where a record comes back after a withdrawal elsewhere.
    """
    closing = "".join(
        f"""
    IF '{kind}' = ANY (kinds) THEN
        ids := ARRAY(SELECT c.record_id FROM changes c WHERE c.id = ANY (opened) AND c.record_type = '{kind}' AND c.op <> 'delete');
        WITH written AS MATERIALIZED (
            SELECT c.id, c.op, d.id AS record, d.document, e.data AS before, e.level_after AS level_before,
                   greatest(t.version, e.version) + 1 AS version, greatest(t.version_partner, e.version_partner) AS version_partner,
                   greatest(t.version_public, e.version_public) AS version_public
              FROM {kind}_documents(ids) d
             CROSS JOIN LATERAL (SELECT o.id, o.op FROM changes o WHERE o.record_id = d.id AND NOT o.closed LIMIT 1) c
             CROSS JOIN LATERAL (SELECT r.version, r.version_partner, r.version_public FROM {table} r WHERE r.id = d.id LIMIT 1) t
              LEFT JOIN LATERAL (SELECT b.data, b.level_after, b.version, b.version_partner, b.version_public FROM changes b
                                  WHERE b.record_id = d.id AND b.closed ORDER BY b.version DESC LIMIT 1) e ON true
        ), unchanged AS (
            DELETE FROM changes c USING written w WHERE c.id = w.id AND w.op = 'update' AND w.document = w.before
        ), changed AS MATERIALIZED (
            SELECT w.id, w.record, w.document, w.level_before, w.version, m.partner, m.public,
                   w.version_partner + m.partner::integer AS version_partner, w.version_public + m.public::integer AS version_public
              FROM written w CROSS JOIN LATERAL (SELECT seen_to_differ(w.document, w.before, 1::smallint) AS partner,
                                                        seen_to_differ(w.document, w.before, 0::smallint) AS public) m
             WHERE NOT (w.op = 'update' AND w.before IS NOT NULL AND w.document = w.before)
        ), counted AS (
            UPDATE {table} t SET version = w.version, version_partner = w.version_partner, version_public = w.version_public,
                   updated_at = now() FROM changed w WHERE t.id = w.record
        )
        UPDATE changes c SET closed = true, data = w.document, origin = w.document ->> 'origin', level_before = w.level_before,
               level_after = (w.document ->> 'effective_level')::smallint, version = w.version,
               version_partner = w.version_partner, version_public = w.version_public,
               had_partner = CASE WHEN w.partner THEN coalesce(w.level_before <= 1, false) END,
               had_public = CASE WHEN w.public THEN coalesce(w.level_before <= 0, false) END
          FROM changed w WHERE c.id = w.id;
    END IF;"""
        for table, kind in RECORDS.items()
    )
    return f"""
CREATE OR REPLACE FUNCTION close_change() RETURNS trigger {BY_INDEX} AS $$
DECLARE
    opened bigint[];
    kinds varchar[];
    ids uuid[];
BEGIN
    IF NOT EXISTS (SELECT FROM changes WHERE id = NEW.id AND NOT closed) THEN RETURN NULL; END IF;
    -- What is open and can be seen is of this transaction; it is closed in the order of its ids, so the rest come after.
    SELECT array_agg(c.id), array_agg(DISTINCT CASE c.op WHEN 'delete' THEN 'deleted' ELSE c.record_type END) INTO opened, kinds
      FROM changes c WHERE c.seq IS NULL AND c.id >= NEW.id AND NOT c.closed;
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
    END IF;{closing}
    RETURN NULL;
END $$;
"""


GONE = "open_change(varchar, uuid, varchar, smallint, varchar), record_written(), refuse_buried()"


def upgrade() -> None:
    """Make it."""
    run(OPEN)
    run("".join(record_triggers(t, kind) for t, kind in RECORDS.items()))
    run("".join(part_triggers(t) for t in PARTS))
    run("".join(look_again(r) for r in ("cases", "events")) + "".join(tie_triggers(t) for t in TIES))
    run("".join(documents_function(t, kind) for t, kind in RECORDS.items()) + DOCUMENT + MOVED + close_function())
    run(f"DROP FUNCTION {GONE};")


def _revision(number: str) -> Any:
    path = next(Path(__file__).parent.glob(f"*_{number}_*.py"))
    spec = importlib.util.spec_from_file_location(f"revision_{number}", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- a file beside this one
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _function(sql: str, name: str) -> str:
    """Return the definition of one function out of a script."""
    found = re.search(rf"CREATE (?:OR REPLACE )?FUNCTION {name}\(.*?\n(?:END )?\$\$;", sql, re.DOTALL)
    assert found is not None  # noqa: S101 -- a released revision has it
    return found[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1) + "\n"


def downgrade() -> None:
    """Put the triggers of single rows back."""
    registry, feed, names, sql = (
        _revision("0001"),
        _revision("0002"),
        _revision("0004"),
        Path(__file__).parents[1] / "sql",
    )
    changes = (sql / "0003_changes.sql").read_text()
    for name in ("open_change", "record_written"):
        run(_function(changes, name))
    run(_function((sql / "0005_safety.sql").read_text(), "refuse_buried"))
    for table, kind in RECORDS.items():
        run(f"DROP TRIGGER made ON {table}; DROP TRIGGER rewritten ON {table}; DROP TRIGGER deleted ON {table};")
        run(re.sub(r"CREATE TRIGGER cycle.*?;", "", registry.record_triggers(table, kind)))
    for table in PARTS:
        run("".join(f"DROP TRIGGER {name} ON {table};" for name in ("written", "written_anew", "written_away")))
        run(f"DROP FUNCTION {table}_written();" + registry.change_function(table))
    for table in TIES:
        run("".join(f"DROP TRIGGER {name} ON {table};" for name in ("tied", "tied_anew", "tied_away")))
        run(f"DROP FUNCTION {table}_tied();" + registry.tie_function(table))
    run(_function(registry.close_function(), "document") + names.documents(folded=False) + feed.close_function())
    run(
        "DROP FUNCTION records_made(), records_rewritten(), records_deleted(), open_changes(varchar, varchar, uuid[]), "
        "cases_look_again(uuid[]), events_look_again(uuid[]), seen_to_differ(jsonb, jsonb, smallint), "
        + ", ".join(f"{kind}_documents(uuid[])" for kind in RECORDS.values())
        + ";"
    )
