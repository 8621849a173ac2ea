"""What other registries send: partners' own records, taken in restricted; proposals and kept conflicts.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
WRITERS = "chronika_editor, chronika_guardian"

ACCESS = f"""
ALTER TABLE intake ENABLE ROW LEVEL SECURITY;
ALTER TABLE intake FORCE ROW LEVEL SECURITY;
ALTER TABLE proposals ENABLE ROW LEVEL SECURITY;
ALTER TABLE proposals FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON intake TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY owner ON proposals TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY editors ON proposals TO {WRITERS} USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON proposals TO {WRITERS};
REVOKE EXECUTE ON FUNCTION partner_origin(varchar, bytea), live_record(varchar, uuid), intake_identity(varchar, varchar),
    own_records(varchar, bytea, jsonb), put_record(varchar, uuid, varchar, varchar, jsonb, boolean), record_types(),
    take_in(varchar, bytea, varchar, varchar, integer, jsonb, jsonb, jsonb), forget_proposals(),
    changed_since(varchar, uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION own_records(varchar, bytea, jsonb),
    take_in(varchar, bytea, varchar, varchar, integer, jsonb, jsonb, jsonb), found_record(varchar, uuid),
    found_key(varchar, varchar), found_origin(varchar, varchar, varchar) TO chronika_partner;
GRANT EXECUTE ON FUNCTION changed_since(varchar, uuid, integer) TO {WRITERS};
"""


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    """Make it."""
    run((SQL / "0006_intake.sql").read_text() + ACCESS)


def downgrade() -> None:
    """Remove it; what waits for a decision is lost, what was taken in stays."""
    run("""
DROP TRIGGER proposals ON tombstones;
DROP FUNCTION forget_proposals(), take_in(varchar, bytea, varchar, varchar, integer, jsonb, jsonb, jsonb),
    put_record(varchar, uuid, varchar, varchar, jsonb, boolean), own_records(varchar, bytea, jsonb), record_types(),
    intake_identity(varchar, varchar), live_record(varchar, uuid), partner_origin(varchar, bytea),
    changed_since(varchar, uuid, integer);
REVOKE EXECUTE ON FUNCTION found_record(varchar, uuid), found_key(varchar, varchar),
    found_origin(varchar, varchar, varchar) FROM chronika_partner;
DROP TABLE intake, proposals;
ALTER TABLE pulled DROP COLUMN local_version, DROP COLUMN fields, DROP COLUMN edited;
""")
