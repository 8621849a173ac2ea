"""A name is common if several persons have it, not one in several spellings; whole words together are asked for at once.

One person with five spellings among the first names looked at made a rare name seem common, and the rest was read to its
end. Together, whole words are seldom so common that looking first is worth its time, which every search for a full name
would take.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NAMES = (Path(__file__).parent.parent / "sql" / "0009_names.sql").read_text()

COMMON = """
CREATE OR REPLACE FUNCTION is_common(keys varchar, question varchar) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    several CONSTANT integer := 8000;
    looked_at CONSTANT integer := CASE WHEN position('&' IN question) > 0 AND position(':*' IN question) = 0 THEN 1000 ELSE 4000 END;
    names CONSTANT double precision := (SELECT sum(pg_relation_size(relid)) / 130 FROM pg_partition_tree(keys::regclass));
    found integer;
    persons integer;
BEGIN
    IF names < 20 * several THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT count(*), count(DISTINCT record_id) FROM (SELECT record_id, words FROM %I ORDER BY record_id LIMIT $2) AS k WHERE words @@ $1::tsquery', keys)
    INTO found, persons USING question, looked_at;
    RETURN persons > 2 + looked_at / 2000 AND found * names / looked_at > several;
END $$;
"""

LOOKED = "IF slips IS NOT NULL OR NOT is_common(keys, question) THEN"
TOGETHER = (
    "-- Whole words that must all be there are seldom so common.\n"
    "            IF slips IS NOT NULL OR position('&' IN question) > 0 AND position(':*' IN question) = 0 OR NOT is_common(keys, question) THEN"
)


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def made(name: str) -> str:
    """Return the function as revision 0009 made it."""
    text = NAMES[NAMES.index(f"CREATE FUNCTION {name}(") :]
    return text[: text.index("END $$;\n") + 8].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


def upgrade() -> None:
    """Make both functions anew."""
    run(COMMON + made("search_names").replace(LOOKED, TOGETHER))


def downgrade() -> None:
    """Make them as revision 0009 made them."""
    run(made("is_common") + made("search_names"))
