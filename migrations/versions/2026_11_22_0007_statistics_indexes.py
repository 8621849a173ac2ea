"""Statistics: the indexes that they are counted from.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

from pathlib import Path
from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    """Make them."""
    run((SQL / "0007_statistics.sql").read_text())


def downgrade() -> None:
    """Remove them."""
    run("DROP STATISTICS events_dates, cases_dates; DROP INDEX events_counted, statuses_counted")
