"""Whom `similar` looks at is found in three questions; merges are followed wherever an old id is named.

Filters follow them by `meant`, which also turns their words into ids, so that they are looked up and not searched for;
and partners may name a merged record by its origin's id.

Of a tombstone that a partner sees it also saw the record, with origin and origin id; of what was erased a hash is kept.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    """Make the functions anew, and let partners read two more columns of the tombstones that they see."""
    run((SQL / "0011_similar.sql").read_text())
    run("GRANT SELECT (origin, origin_id) ON tombstones TO chronika_partner;")


def downgrade() -> None:
    """Make `similar_persons` as revision 0009 made it."""
    run("REVOKE SELECT (origin, origin_id) ON tombstones FROM chronika_partner;")
    made = (SQL / "0009_names.sql").read_text()
    similar = made[made.index("CREATE FUNCTION similar_persons") : made.index("REVOKE EXECUTE ON FUNCTION name_tokens")]
    run(similar.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    run("DROP FUNCTION common_among(varchar, varchar[]), meant(varchar[]);")
