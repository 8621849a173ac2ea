"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Say in the imperative what this makes."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Say what this takes back."""
    ${downgrades if downgrades else "pass"}
