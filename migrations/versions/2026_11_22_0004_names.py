"""Names found by any spelling: folded names, and keys partitioned by level that `q` searches.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

NAMED = {"person": "persons", "organisation": "organisations", "place": "places"}
"""Kind of a record → its table; its names are in `<kind>_names`, its keys in `<kind>_keys`."""

WRITERS = "chronika_editor, chronika_guardian"
API = f"chronika_public, chronika_partner, {WRITERS}"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def keys(kind: str, table: str) -> str:
    """Return the keys of one kind of record.

    The operators that search them are not leakproof, so under row-level security their indexes would lie idle: these
    tables have none, and each login is granted only the partitions that it may see whole.
    """
    name = f"{kind}_keys"
    return f"""
ALTER TABLE {kind}_names ADD COLUMN folded varchar NOT NULL DEFAULT '';
ALTER TABLE {kind}_names ALTER COLUMN folded DROP DEFAULT;
GRANT INSERT (folded), UPDATE (folded) ON {kind}_names TO {WRITERS};

CREATE TABLE {name} (
    level smallint NOT NULL,
    record_id uuid NOT NULL REFERENCES {table} (id) ON DELETE CASCADE,
    folded varchar NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (level, record_id, folded)
) PARTITION BY LIST (level);
CREATE TABLE {name}_shown PARTITION OF {name} FOR VALUES IN (0, 1) PARTITION BY LIST (level);
CREATE TABLE {name}_public PARTITION OF {name}_shown FOR VALUES IN (0);
CREATE TABLE {name}_partner PARTITION OF {name}_shown FOR VALUES IN (1);
CREATE TABLE {name}_restricted PARTITION OF {name} FOR VALUES IN (2);
CREATE INDEX {name}_record ON {name} (record_id);
CREATE INDEX {name}_words ON {name} USING gin (words) WITH (fastupdate = off);
CREATE INDEX {name}_letters ON {name} USING gin (folded gin_trgm_ops) WITH (fastupdate = off);
GRANT SELECT ON {name}_public TO chronika_public;
GRANT SELECT ON {name}_shown TO chronika_partner;
GRANT SELECT ON {name} TO {WRITERS};
"""


def keyed(kind: str, table: str) -> str:
    """Return the triggers that make a record's keys anew whenever its names, or their levels, change.

    The record is locked first: else two transactions, one hiding a name and one adding another, could each write the
    keys of the names as they were before the other.
    """
    owner = f"{kind}_id"
    return f"""
CREATE FUNCTION {kind}_names_keyed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE ids uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT {owner}) INTO ids FROM fresh;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT {owner}) INTO ids FROM stale;
    ELSE
        SELECT array_agg(DISTINCT x.id) INTO ids
          FROM stale s JOIN fresh f USING (id), LATERAL (VALUES (s.{owner}), (f.{owner})) AS x (id)
         WHERE (s.{owner}, s.folded, s.effective_level) IS DISTINCT FROM (f.{owner}, f.folded, f.effective_level);
    END IF;
    IF ids IS NULL THEN RETURN NULL; END IF;
    PERFORM FROM {table} WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE;
    DELETE FROM {kind}_keys WHERE record_id = ANY(ids);
    INSERT INTO {kind}_keys (level, record_id, folded, words)
    SELECT n.effective_level, n.{owner}, first_readings(n.folded), key_words(string_agg(n.folded, ' '))
      FROM {kind}_names n JOIN {table} r ON r.id = n.{owner}
     WHERE n.{owner} = ANY(ids) AND n.folded <> '' GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE TRIGGER keyed_insert AFTER INSERT ON {kind}_names REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION {kind}_names_keyed();
CREATE TRIGGER keyed_update AFTER UPDATE ON {kind}_names REFERENCING OLD TABLE AS stale NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION {kind}_names_keyed();
CREATE TRIGGER keyed_delete AFTER DELETE ON {kind}_names REFERENCING OLD TABLE AS stale
FOR EACH STATEMENT EXECUTE FUNCTION {kind}_names_keyed();
"""


def document_without(kind: str, *, folded: bool) -> str:
    """Return what takes the folded text out of (or back into) the documents of the change log: it is no content."""
    plain, without = f"to_jsonb(p) - '{kind}_id'", f"to_jsonb(p) - '{{{kind}_id,folded}}'::text[]"
    before, after = (without, plain) if folded else (plain, without)
    return f"definition := replace(definition, {quoted(before)}, {quoted(after)});"


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def documents(*, folded: bool) -> str:
    """Return the rewriting of `document`, whatever else it has come to hold since it was made."""
    return f"""
DO $do$ DECLARE definition text := pg_get_functiondef('document(varchar, uuid)'::regprocedure);
BEGIN
    {" ".join(document_without(kind, folded=folded) for kind in NAMED)}
    EXECUTE definition;
END $do$;
"""


def upgrade() -> None:
    """Make the keys; `chronika db upgrade` then folds the names that are there already."""
    run((SQL / "0004_names.sql").read_text())
    for kind, table in NAMED.items():
        run(keys(kind, table) + keyed(kind, table))
    run(documents(folded=False))


def downgrade() -> None:
    """Remove the keys. The extension stays: it may have been there before, and others may use it."""
    run(documents(folded=True))
    for kind in NAMED:
        run(
            f"DROP TABLE {kind}_keys; DROP FUNCTION {kind}_names_keyed() CASCADE; ALTER TABLE {kind}_names DROP COLUMN folded;"
        )
    run(
        "DROP TRIGGER merges ON persons; DROP TRIGGER merges ON tombstones; DROP FUNCTION merges_forgotten(), forget_merges(uuid), "
        "merge_persons(uuid, uuid), unmerge_persons(uuid), levels_around(uuid), both_protected(jsonb, jsonb), "
        "judged_not_same(uuid, uuid), similar_names(varchar, uuid), search_names(varchar, varchar[]), key_words(varchar), "
        "first_readings(varchar); DROP TABLE merges_private, merges, not_same, name_fold;"
    )
