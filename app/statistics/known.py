"""What the registry knew on an earlier day: the tables as the recorded versions say they stood."""

from datetime import date
from typing import Any

from app.core.errors import invalid


def as_known(sql: str, arguments: list[Any], known_at: date) -> tuple[str, list[Any]]:
    """Refuse, for now, to answer about an earlier day."""
    raise invalid("?known_at", "not_kept", "earlier knowledge cannot be asked for yet; leave known_at out")
