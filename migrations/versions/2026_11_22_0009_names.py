"""Names are found in bounded time, and what a merge keeps is enough to undo it whole.

Keys hold other tokens, there is no index of letters any more, and a page of what very many names answer stops when it is
full. A merge keeps the rows that it moves, and moves the mentions in the protected parts of others.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

NAMED = {"person": "persons", "organisation": "organisations", "place": "places"}
"""Kind of a record → its table; its names are in `<kind>_names`, its keys in `<kind>_keys`."""

FUNCTIONS = (
    "similar_persons(uuid, varchar[]), search_names(varchar, varchar[], integer, integer, uuid), "
    "first_named(varchar, varchar, uuid, integer), is_common(varchar, varchar), name_about(varchar, varchar), "
    "name_near(varchar, varchar, integer), name_keys(varchar), name_slips(varchar, varchar, integer), name_consonants(varchar), "
    "name_tokens(varchar, varchar)"
)

TOKENS = "name_tokens(first_readings(n.folded), string_agg(n.folded, ' '))"
WORDS = "key_words(string_agg(n.folded, ' '))"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def keyed(kind: str, table: str, words: str) -> str:
    """Return the trigger that makes a record's keys anew, as revision 0004 made it but for the words; and all keys."""
    owner, name = f"{kind}_id", f"{kind}_keys"
    return f"""
CREATE OR REPLACE FUNCTION {kind}_names_keyed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
    DELETE FROM {name} WHERE record_id = ANY(ids);
    INSERT INTO {name} (level, record_id, folded, words)
    SELECT n.effective_level, n.{owner}, first_readings(n.folded), {words}
      FROM {kind}_names n JOIN {table} r ON r.id = n.{owner}
     WHERE n.{owner} = ANY(ids) AND n.folded <> '' GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

DROP INDEX {name}_words;
TRUNCATE {name};
INSERT INTO {name} (level, record_id, folded, words)
SELECT n.effective_level, n.{owner}, first_readings(n.folded), {words} FROM {kind}_names n WHERE n.folded <> '' GROUP BY 1, 2, 3;
CREATE INDEX {name}_words ON {name} USING gin (words) WITH (fastupdate = off);
"""


def upgrade() -> None:
    """Make the functions and all keys anew."""
    run("DROP FUNCTION similar_names(varchar, uuid), search_names(varchar, varchar[]);")
    run((SQL / "0009_names.sql").read_text())
    for kind, table in NAMED.items():
        run(f"DROP INDEX {kind}_keys_letters;" + keyed(kind, table, TOKENS))
    run("DROP FUNCTION key_words(varchar);")
    run((SQL / "0009_merges.sql").read_text())


def downgrade() -> None:
    """Make the functions, the keys and the index of letters as revision 0004 made them."""
    made = (SQL / "0004_names.sql").read_text()
    merging = made[made.index("-- Makes one person of two") : made.index("REVOKE EXECUTE ON FUNCTION merge_persons")]
    forgetting = made[made.index("CREATE FUNCTION forget_merges") : made.index("CREATE FUNCTION merges_forgotten")]
    run((merging + forgetting).replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    run("DROP FUNCTION move_relative(uuid, uuid), with_relative(jsonb, jsonb, jsonb);")
    run("ALTER TABLE merges_private DROP COLUMN relatives;")
    run(f"DROP FUNCTION {FUNCTIONS};")
    run("SELECT similarity('', '');")  # loads the extension, whose settings the functions have
    run(made[made.index("-- All readings of all words") : made.index("-- Two persons of whom somebody said")])
    for kind, table in NAMED.items():
        letters = (
            f"CREATE INDEX {kind}_keys_letters ON {kind}_keys USING gin (folded gin_trgm_ops) WITH (fastupdate = off);"
        )
        run(keyed(kind, table, WORDS) + letters)
