"""The filters `status` and `on`, which persons and organisations share: who had which status on a day."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Date, any_, bindparam, or_, true

from app.core.filters import exists, rows

SQL = ColumnElement[Any]


def holds_on(day: SQL) -> SQL:
    """Condition that a status may hold on a day: it began by then, and had not surely ended.

    A start that no source gives counts as begun, an end that none gives as not yet come; a status without either is
    known to have held at some time and counts too.
    """
    c = rows("statuses").c
    begun = or_(c.start_earliest.is_(None), c.start_earliest <= day)
    lasting = or_(c.end_latest.is_(None), c.end_latest >= day)
    return begun & lasting


def with_status(subject: str, table: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `status`: any such interval, or with `on` one that holds on that day."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        c = rows("statuses").c
        when = [holds_on(bindparam("on", type_=Date()))] if "on" in used else []
        return exists("statuses", c[subject] == rows(table).c.id, c.kind == any_(value), *when)

    return condition


def status_on(subject: str, table: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `on` by itself: any status on that day; together with `status`, that one has it already."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        if "status" in used:
            return true()
        return exists("statuses", rows("statuses").c[subject] == rows(table).c.id, holds_on(value))

    return condition
