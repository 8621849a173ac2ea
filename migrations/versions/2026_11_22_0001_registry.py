"""The registry: tables, effective levels, change log, and who may see what.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

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

# What a row names besides the record it belongs to: it is never more visible than any of these.
NAMES = {
    "places": {"parent_id": "places"},
    "organisations": {"place_id": "places", "parent_id": "organisations"},
    "sources": {"publisher_id": "organisations", "originator_id": "organisations"},
    "cases": {"court_id": "organisations", "body_id": "organisations", "parent_id": "cases"},
    "events": {"place_id": "places", "facility_id": "organisations", "case_id": "cases"},
    "statuses": {
        "person_id": "persons",
        "organisation_id": "organisations",
        "facility_id": "organisations",
        "declared_by_id": "organisations",
    },
    "figures": {
        "originator_id": "organisations",
        "publisher_id": "organisations",
        "source_id": "sources",
        "base_id": "figures",
    },
    "place_names": {"source_id": "sources"},
    "organisation_names": {"source_id": "sources"},
    "person_names": {"source_id": "sources"},
    "affiliations": {"organisation_id": "organisations"},
    "case_judges": {"person_id": "persons"},
    "charges": {"person_id": "persons", "statute_id": "statutes", "requalified_from_id": "statutes"},
    "sentences": {"person_id": "persons"},
    "participants": {"person_id": "persons", "organisation_id": "organisations"},
    "event_statutes": {"statute_id": "statutes"},
    "citations": {"source_id": "sources"},
}

# Parts through which a record names others, so that an event of a hidden person is as hidden as the person. A part
# whose own level is as strict as what it names hides the tie already, and then does not hide the whole record.
TIES = {
    "participants": ("event_id", "events"),
    "event_statutes": ("event_id", "events"),
    "case_judges": ("case_id", "cases"),
    "charges": ("case_id", "cases"),
    "sentences": ("case_id", "cases"),
}

TREES = ("places", "organisations", "cases")

# Lists that a record's document holds: the part table, and the column that points at the record.
DOCUMENTS = {
    "place": ["place_names.place_id"],
    "organisation": ["organisation_names.organisation_id"],
    "source": [],
    "statute": ["statute_titles.statute_id"],
    "person": ["person_names.person_id", "affiliations.person_id"],
    "case": ["case_judges.case_id", "charges.case_id", "sentences.case_id"],
    "event": ["participants.event_id", "event_statutes.event_id"],
    "status": [],
    "figure": [],
}
CITED_BY = {**{f"{t}_id": t for t in RECORDS.values() if t != "source"}, "cited_by_id": "source"}

READERS = {
    "chronika_public": ("effective_level = 0", "version_public"),
    "chronika_partner": ("effective_level <= 1", "version_partner"),
}
WRITERS = "chronika_editor, chronika_guardian"
API = f"{', '.join(READERS)}, {WRITERS}"
DATABASE_KEEPS = ("effective_level", "version", "version_partner", "version_public", "created_at", "updated_at")


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def level_function(table: str) -> str:
    """Return the trigger that keeps a row's effective level: the strictest of its own and all it names.

    FOR SHARE makes it wait for whoever is just hiding one of these, and see the outcome; without it, 564 of 600 rows
    that raced with a hiding stayed more visible than what they named.
    """
    parents = {**PARTS.get(table, {}), **NAMES.get(table, {})}
    steps = [
        f"IF NEW.{column} IS NOT NULL THEN SELECT effective_level INTO found FROM {parent} WHERE id = NEW.{column} FOR SHARE; "
        f"NEW.effective_level := greatest(NEW.effective_level, found); END IF;"
        for column, parent in parents.items()
    ]
    for tie, (owner, record) in TIES.items():
        if record == table:
            steps += [
                f"IF TG_OP = 'UPDATE' THEN SELECT max(x) INTO found FROM (SELECT r.effective_level AS x FROM {tie} t "
                f"JOIN {target} r ON r.id = t.{column} WHERE t.{owner} = NEW.id AND t.level < r.effective_level "
                f"FOR SHARE OF r) s; NEW.effective_level := greatest(NEW.effective_level, found); END IF;"
                for column, target in NAMES[tie].items()
            ]
    columns = ", ".join(["level", "effective_level", *parents])
    return f"""
CREATE FUNCTION {table}_level() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE found smallint;
BEGIN
    NEW.effective_level := NEW.level;
    {chr(10).join("    " + s for s in steps).strip()}
    RETURN NEW;
END $$;
CREATE TRIGGER level BEFORE INSERT OR UPDATE OF {columns} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_level();
"""


def spread_function(table: str) -> str:
    """Return the trigger that hands a changed effective level on to every row that names this one."""
    steps = []
    for child, columns in [*PARTS.items(), *NAMES.items()]:
        steps += [
            f"UPDATE {child} SET effective_level = effective_level WHERE {column} = NEW.id;"
            for column, parent in columns.items()
            if parent == table
        ]
        if child in TIES and child in NAMES and columns is NAMES[child]:
            owner, record = TIES[child]
            steps += [
                f"UPDATE {record} SET effective_level = effective_level WHERE id IN (SELECT {owner} FROM {child} WHERE {column} = NEW.id);"
                for column, parent in columns.items()
                if parent == table
            ]
    if not steps:
        return ""
    return f"""
CREATE FUNCTION {table}_spread() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    {chr(10).join("    " + s for s in steps).strip()}
    RETURN NULL;
END $$;
CREATE TRIGGER spread AFTER UPDATE ON {table} FOR EACH ROW
WHEN (OLD.effective_level IS DISTINCT FROM NEW.effective_level) EXECUTE FUNCTION {table}_spread();
"""


def tie_function(table: str) -> str:
    """Return the trigger that has a record look at its ties again after one came, went or changed."""
    owner, record = TIES[table]
    columns = ", ".join(["level", owner, *NAMES[table]])
    return f"""
CREATE FUNCTION {table}_tied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE {record} r SET effective_level = r.effective_level
     WHERE r.id IN (NEW.{owner}, OLD.{owner}) AND (r.effective_level > r.level OR NEW.effective_level > r.effective_level);
    RETURN NULL;
END $$;
CREATE TRIGGER tied AFTER INSERT OR DELETE OR UPDATE OF {columns} ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_tied();
"""


def change_function(table: str) -> str:
    """Return the trigger that opens the change of the record a part belongs to; a record that is gone has its own."""
    steps = []
    for column, parent in PARTS[table].items():
        if parent in RECORDS:
            fetch = f"SELECT id, effective_level, origin INTO owner FROM {parent} WHERE id = coalesce(NEW.{column}, OLD.{column});"
            kind = RECORDS[parent]
        else:
            fetch = (
                "SELECT c.id, c.effective_level, c.origin INTO owner FROM sentences s JOIN cases c ON c.id = s.case_id "
                f"WHERE s.id = coalesce(NEW.{column}, OLD.{column});"
            )
            kind = "case"
        steps.append(
            f"IF coalesce(NEW.{column}, OLD.{column}) IS NOT NULL THEN {fetch} IF FOUND THEN "
            f"PERFORM open_change('{kind}', owner.id, 'update', owner.effective_level, owner.origin); END IF; END IF;"
        )
    return f"""
CREATE FUNCTION {table}_written() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE owner record;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD IS NOT DISTINCT FROM NEW THEN RETURN NULL; END IF;
    {chr(10).join("    " + s for s in steps).strip()}
    RETURN NULL;
END $$;
CREATE TRIGGER written AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_written();
"""


def document_sql(table: str, kind: str) -> str:
    """Return the SELECT of a record's whole document, with its parts and their levels."""
    lists = [tuple(d.split(".")) for d in DOCUMENTS[kind]]
    cited = next(c for c, k in CITED_BY.items() if k == kind)
    lists.append(("citations", cited))
    pairs = []
    for part, column in lists:
        item = f"to_jsonb(p) - '{column}'"
        if part == "sentences":
            item += (
                " || jsonb_build_object('components', (SELECT coalesce(jsonb_agg(to_jsonb(k) - 'sentence_id' "
                "ORDER BY k.position, k.id), '[]') FROM sentence_components k WHERE k.sentence_id = p.id))"
            )
        pairs.append(
            f"'{part}', (SELECT coalesce(jsonb_agg({item} ORDER BY p.position, p.id), '[]') FROM {part} p WHERE p.{column} = t.id)"
        )
    kept = ", ".join(f"'{c}'" for c in DATABASE_KEEPS if c != "effective_level")
    return f"SELECT to_jsonb(t) - ARRAY[{kept}] || jsonb_build_object({', '.join(pairs)}) FROM {table} t WHERE t.id = record"


def close_function() -> str:
    """Return the trigger that closes a change at the commit: document, versions, and nothing at all if nothing changed.

    Each audience has a version of its own, which moves only when what that audience may see has changed; so an edit
    to a hidden citation of a public person moves no number that the public can read.
    """
    documents = "\n".join(
        f"        WHEN '{kind}' THEN ({document_sql(table, kind)})" for table, kind in RECORDS.items()
    )
    counters = "\n".join(
        f"        WHEN '{kind}' THEN UPDATE {table} SET version = version + 1, version_partner = version_partner + partner_moved, "
        f"version_public = version_public + public_moved, updated_at = now() WHERE id = c.record_id RETURNING version INTO counted;"
        for table, kind in RECORDS.items()
    )
    return f"""
CREATE FUNCTION document(kind varchar, record uuid) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT CASE kind
{documents}
    END
$$;

CREATE FUNCTION close_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c changes;
    earlier changes;
    after jsonb;
    partner_moved integer := 0;
    public_moved integer := 0;
    counted integer;
BEGIN
    SELECT * INTO c FROM changes WHERE id = NEW.id AND NOT closed;
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT * INTO earlier FROM changes WHERE record_id = c.record_id AND closed ORDER BY id DESC LIMIT 1;
    IF c.op = 'delete' THEN
        IF earlier.id IS NULL THEN  -- made and deleted in one transaction: nobody ever saw it
            DELETE FROM changes WHERE id = c.id;
        ELSE
            UPDATE changes SET closed = true, version = earlier.version + 1 WHERE id = c.id;
        END IF;
        RETURN NULL;
    END IF;
    after := document(c.record_type, c.record_id);
    IF c.op = 'update' AND after = earlier.data THEN
        DELETE FROM changes WHERE id = c.id;
        RETURN NULL;
    END IF;
    IF least((after ->> 'effective_level')::smallint, (earlier.data ->> 'effective_level')::smallint) < 2 THEN
        partner_moved := (visible(after, 1::smallint) IS DISTINCT FROM visible(earlier.data, 1::smallint))::integer;
        public_moved := (visible(after, 0::smallint) IS DISTINCT FROM visible(earlier.data, 0::smallint))::integer;
    END IF;
    CASE c.record_type
{counters}
    END CASE;
    UPDATE changes SET closed = true, data = after, version = counted, level_after = (after ->> 'effective_level')::smallint
     WHERE id = c.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER closed AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION close_change();
"""


def record_triggers(table: str, kind: str) -> str:
    """Return the triggers of a record table: no buried id, no circle, and the change log."""
    circle = (
        f"CREATE TRIGGER cycle BEFORE INSERT OR UPDATE OF parent_id ON {table} FOR EACH ROW "
        f"WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION refuse_cycle();"
        if table in TREES
        else ""
    )
    return f"""
CREATE TRIGGER buried BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_buried();
{circle}
CREATE TRIGGER written AFTER INSERT OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION record_written('{kind}');
CREATE TRIGGER rewritten AFTER UPDATE ON {table} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION record_written('{kind}');
"""


def columns_of(table: str) -> list[str]:
    """Return the columns of a table, generated ones last and marked by a star."""
    rows = op.get_bind().exec_driver_sql(
        "SELECT attname || CASE WHEN attgenerated = '' THEN '' ELSE '*' END FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    )
    return [r[0] for r in rows]


def access(table: str) -> str:
    """Return the policies and grants of a table with levels. Constants keep the indexes usable under the policies."""
    columns = columns_of(table)
    every = [c.rstrip("*") for c in columns]
    writable = ", ".join(f'"{c}"' for c in columns if not c.endswith("*") and c not in DATABASE_KEEPS)
    sql = f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY;\n"
    for role, (condition, version) in READERS.items():
        shown = ", ".join(f'"{c}"' for c in every if c not in DATABASE_KEEPS or c == version)
        sql += f"CREATE POLICY {role}_reads ON {table} FOR SELECT TO {role} USING ({condition});\n"
        sql += f"GRANT SELECT ({shown}) ON {table} TO {role};\n"
    sql += f"CREATE POLICY editors ON {table} TO {WRITERS} USING (effective_level <= 2) WITH CHECK (effective_level <= 2);\n"
    sql += f"GRANT SELECT, DELETE, INSERT ({writable}), UPDATE ({writable}) ON {table} TO {WRITERS};\n"
    return sql + owner_policy(table)


def owner_policy(table: str) -> str:
    """Let the owner of the schema see its own tables; without, FORCE shows it none and a migration changes nothing."""
    return f"CREATE POLICY owner ON {table} TO chronika_owner USING (true) WITH CHECK (true);\n"


def other_access() -> str:
    """Return the policies and grants of the tables without levels."""
    tables = (
        "vocabularies",
        "vocabulary_terms",
        "rates",
        "keys",
        "tombstones",
        "changes",
        "idempotency_keys",
        "protected_reads",
        "persons_private",
        "alembic_version",
    )
    sql = "".join(
        f"ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; ALTER TABLE {t} FORCE ROW LEVEL SECURITY;\n{owner_policy(t)}"
        for t in tables
    )
    for table in ("vocabularies", "vocabulary_terms", "rates", "alembic_version"):
        sql += (
            f"CREATE POLICY everyone ON {table} FOR SELECT TO {API} USING (true);\nGRANT SELECT ON {table} TO {API};\n"
        )
    for role, (condition, _) in READERS.items():
        sql += f"CREATE POLICY {role}_reads ON tombstones FOR SELECT TO {role} USING ({condition});\n"
        sql += f"GRANT SELECT (id, record_type, merged_into) ON tombstones TO {role};\n"
    return (
        sql
        + f"""
CREATE POLICY editors ON tombstones FOR SELECT TO {WRITERS} USING (effective_level <= 2);
GRANT SELECT ON tombstones TO {WRITERS};
CREATE POLICY editors ON changes FOR SELECT TO {WRITERS} USING (closed);
GRANT SELECT ON changes TO {WRITERS};
CREATE POLICY editors ON idempotency_keys TO {WRITERS} USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (location, etag, answer), DELETE ON idempotency_keys TO {WRITERS};
CREATE POLICY guardians ON persons_private TO chronika_guardian USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (content), DELETE ON persons_private TO chronika_guardian;
CREATE POLICY guardians ON protected_reads TO chronika_guardian USING (true) WITH CHECK (true);
GRANT INSERT (actor, person_id), SELECT ON protected_reads TO chronika_guardian;
DO $$ DECLARE f regprocedure; BEGIN  -- ours alone: an extension's functions are everybody's
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner = 'chronika_owner'::regrole
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = pg_proc.oid AND d.deptype = 'e')
    LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION key_lookup(varchar) TO chronika_auth;
GRANT EXECUTE ON FUNCTION level_name(smallint), changed_fields(jsonb, jsonb), found_record(varchar, uuid),
    found_key(varchar, varchar), found_origin(varchar, varchar, varchar) TO {WRITERS};
"""
    )


def upgrade() -> None:
    """Make everything."""
    for name in ("0001_tables", "0002_reference", "0003_changes"):
        run((SQL / f"{name}.sql").read_text())
    levelled = [*RECORDS, *PARTS]
    run("".join(level_function(t) + spread_function(t) for t in levelled))
    run("".join(tie_function(t) for t in TIES))
    run("".join(change_function(t) for t in PARTS))
    run(close_function())
    run("".join(record_triggers(t, kind) for t, kind in RECORDS.items()))
    run("".join(access(t) for t in levelled))
    run(other_access())


def downgrade() -> None:
    """Remove everything but Alembic's own table."""
    tables = [
        *PARTS,
        *RECORDS,
        "persons_private",
        "vocabulary_terms",
        "vocabularies",
        "rates",
        "keys",
        "tombstones",
        "changes",
        "idempotency_keys",
        "protected_reads",
    ]
    run(f"DROP TABLE {', '.join(tables)} CASCADE")
    run(
        "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT p.oid FROM pg_proc p WHERE pronamespace = 'public'::regnamespace "
        "AND proowner = 'chronika_owner'::regrole LOOP EXECUTE format('DROP FUNCTION %s CASCADE', f); END LOOP; END $$;"
        "DROP POLICY owner ON alembic_version; DROP POLICY everyone ON alembic_version; "
        "ALTER TABLE alembic_version DISABLE ROW LEVEL SECURITY; ALTER TABLE alembic_version NO FORCE ROW LEVEL SECURITY;"
    )
