"""What the service asks of its database about itself."""

from app.core.schema import RESOURCES

AT_HEAD = "SELECT version_num = $1 FROM alembic_version"
FOLDED = "SELECT EXISTS (SELECT FROM name_fold WHERE version = $1)"
"""Whether the names are folded by this version of the fold; older schemas do not have the table."""

_EACH = ", ".join(f"'{name}', (SELECT count(*) FROM {name})" for name in RESOURCES)  # noqa: S608 -- our own tables
COUNTS = f"SELECT json_build_object({_EACH})::text"
"""How many records of each kind the caller may see; row-level security does the seeing."""
