"""Safety: who may be public, erasure, protected readings, limits per key, and no function open to everybody."""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"

RECORDS = ("places", "organisations", "sources", "statutes", "persons", "cases", "events", "statuses", "figures")
CHECKED = ("persons", "participants", "charges", "sentences", "statuses", "case_judges")

# The lease is a write, and the functions that this login may call are all that it can do.
ACCESS = """
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY; ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
ALTER TABLE key_usage ENABLE ROW LEVEL SECURITY; ALTER TABLE key_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON erasures TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY owner ON key_usage TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY guardians ON erasures FOR SELECT TO chronika_guardian USING (true);
GRANT SELECT ON erasures TO chronika_guardian;

REVOKE SELECT ON persons_private FROM chronika_guardian;
GRANT SELECT (person_id) ON persons_private TO chronika_guardian;
REVOKE INSERT (actor, person_id) ON protected_reads FROM chronika_guardian;

-- A function is open to everybody unless said otherwise; here, none is.
ALTER DEFAULT PRIVILEGES FOR ROLE chronika_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
DO $$ DECLARE f regprocedure; BEGIN
    FOR f IN SELECT p.oid FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
        AND proowner = 'chronika_owner'::regrole
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION lease_requests(varchar, integer) TO chronika_auth;
GRANT EXECUTE ON FUNCTION read_protected(uuid), erase_person(uuid, varchar) TO chronika_guardian;
"""


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    """Make it."""
    run((SQL / "0005_safety.sql").read_text())
    for table in RECORDS:
        run(
            f"CREATE TRIGGER spread_to_tombstones AFTER UPDATE ON {table} FOR EACH ROW "
            "WHEN (OLD.effective_level IS DISTINCT FROM NEW.effective_level) EXECUTE FUNCTION spread_to_tombstones();"
        )
    run(ACCESS)


def downgrade() -> None:
    """Remove it; what was erased stays erased, and is no longer told from what was deleted."""
    triggers = "".join(f"DROP TRIGGER spread_to_tombstones ON {t};" for t in RECORDS)
    triggers += "".join(f"DROP TRIGGER published ON {t};" for t in CHECKED)
    run(
        triggers
        + """
DROP TRIGGER within ON participants; DROP TRIGGER hold ON participants; DROP TRIGGER hold_new ON participants;
DROP INDEX participants_within; DROP TRIGGER level ON tombstones;
CREATE OR REPLACE FUNCTION refuse_buried() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM tombstones t WHERE t.id = NEW.id OR (t.origin = NEW.origin AND t.origin_id = NEW.origin_id)) THEN
        RAISE EXCEPTION 'buried' USING ERRCODE = 'CH410';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION forget_withdrawn(record uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM tombstones t WHERE t.id = record AND t.merged_into IS NULL
       AND EXISTS (SELECT FROM pulled p WHERE p.local_id = record);
$$;
DROP FUNCTION refuse_unfit(uuid), private_alone(varchar), person_published(), participant_tied(), person_untied(),
    participants_within(), participants_hold(), tombstones_level(), record_table(varchar),
    spread_to_tombstones(), erased_origin_id(uuid, varchar), erase_person(uuid, varchar), without_person(jsonb, uuid),
    without_relatives(jsonb, uuid[]),
    read_protected(uuid), lease_requests(varchar, integer);
DROP INDEX tombstones_merged;
ALTER TABLE tombstones DROP COLUMN level CASCADE, DROP COLUMN erased_for CASCADE;
DROP TABLE erasures, key_usage;
REVOKE SELECT (person_id) ON persons_private FROM chronika_guardian;
GRANT SELECT ON persons_private TO chronika_guardian;
GRANT INSERT (actor, person_id) ON protected_reads TO chronika_guardian;
ALTER DEFAULT PRIVILEGES FOR ROLE chronika_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
"""
    )
