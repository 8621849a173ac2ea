"""The order in which events are listed, as an index: a page costs the same however many there are."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    op.execute(
        "CREATE INDEX events_listed ON events "
        "((CASE WHEN date_earliest IS NULL THEN '-infinity'::date ELSE date_earliest END) DESC, id DESC)"
    )


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP INDEX events_listed")
