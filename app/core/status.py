"""The filters `status` and `on`, which persons and organisations share: who had which status on a day."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Date, any_, bindparam, func, or_, true

from app.core.filters import exists, rows, with_narrower

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


def counted_on(day: SQL) -> SQL:
    """Condition that statistics count a status on a day: each end is where its earliest bound puts it.

    What no source dates is taken as in `holds_on`.
    """
    c = rows("statuses").c
    start = func.coalesce(c.start_earliest, c.start_latest)
    end = func.coalesce(c.end_earliest, c.end_latest)
    return or_(start.is_(None), start <= day) & or_(end.is_(None), end >= day)


def surely_on(day: SQL) -> SQL:
    """Condition that a status surely holds on a day: begun at the latest by then, and not possibly ended."""
    c = rows("statuses").c
    return (c.start_latest <= day) & or_(c.end.is_(None), c.end_earliest >= day)


def with_status(subject: str, table: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `status`: any such interval, or with `on` one that holds on that day."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        c = rows("statuses").c
        when = [holds_on(bindparam("on", type_=Date()))] if "on" in used else []
        return exists(
            "statuses", c[subject] == rows(table).c.id, c.kind == any_(with_narrower("status_kind", value)), *when
        )

    return condition


def status_on(subject: str, table: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `on` by itself: any status on that day; together with `status`, that one has it already."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        if "status" in used:
            return true()
        return exists("statuses", rows("statuses").c[subject] == rows(table).c.id, holds_on(value))

    return condition
