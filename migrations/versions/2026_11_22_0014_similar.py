"""What was merged is found by the names it went by: partners may name it by its origin's id, as they may by its own.

Of a tombstone that a partner sees it also saw the record, and there origin and origin id; of what was erased a hash is kept.
"""

from alembic import op

revision = "0014"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let partners read two more columns of the tombstones that they see."""
    op.execute("GRANT SELECT (origin, origin_id) ON tombstones TO chronika_partner")


def downgrade() -> None:
    """Take that back."""
    op.execute("REVOKE SELECT (origin, origin_id) ON tombstones FROM chronika_partner")
