"""Filters that know their WHERE: declared once per resource, used by its list, its export and its statistics alike."""

from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ARRAY, ColumnElement, FromClause, Table, Text, any_, bindparam, cast, func, or_, select
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from app.core.refs import TARGETS
from app.core.text import Code, Line

SQL = ColumnElement[Any]
DateMatch = Literal["overlap", "earliest", "within"]


class Where:
    """The SQL condition that a filter field stands for, as a function of its bind parameter.

    With `sees_used=True` the condition also takes the set of filters in use (`date_match` with its value), for the
    few that mean something else together. `given` turns the client's value into what is bound.
    """

    def __init__(
        self,
        condition: Callable[..., SQL],
        type_: TypeEngine[Any],
        *,
        sees_used: bool = False,
        given: Callable[[Any], Any] | None = None,
    ) -> None:
        """Keep the condition and the SQL type that its value is bound as."""
        self.condition, self.type_, self.sees_used, self.given = condition, type_, sees_used, given or _plain


TEXTS: TypeEngine[Any] = ARRAY(Text)


class Filter(BaseModel):
    """Base of all filters: an unknown name is an error; statements are prebuilt per set of filters in use."""

    model_config = ConfigDict(extra="forbid")

    def used(self) -> frozenset[str]:
        """Name the filters in use; `date_match` counts with its value, since it changes the SQL."""
        fields = type(self).model_fields
        names = {n for n, info in fields.items() if _where(info.metadata) and getattr(self, n) not in (None, [])}
        match = getattr(self, "date_match", None)
        return frozenset(names | ({f"date_match={match}"} if match else set()))

    @classmethod
    @cache
    def conditions(cls, used: frozenset[str]) -> tuple[SQL, ...]:
        """Return the conditions of these filters, each over a bind parameter of the filter's name."""
        found = []
        for name in sorted(used):
            if "=" not in name and (where := _where(cls.model_fields[name].metadata)):
                value = bindparam(name, type_=where.type_)
                found.append(where.condition(value, used) if where.sees_used else where.condition(value))
        return tuple(found)

    def values(self) -> dict[str, Any]:
        """Return the value of each filter in use, as PostgreSQL takes it."""
        fields = type(self).model_fields
        used = {n: _where(fields[n].metadata) for n in self.used() if "=" not in n}
        return {n: where.given(getattr(self, n)) for n, where in used.items() if where}


def _where(metadata: list[Any]) -> Where | None:
    return next((m for m in metadata if isinstance(m, Where)), None)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, UUID) else value


# --- the usual fields --------------------------------------------------------------------------------


def starts(table: str, date: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `from` (inclusive) on a date column of `table`; a date without any bound never matches."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        earliest, latest = bounds_of(table, date)
        if "date_match=within" in used:
            return earliest >= value
        if "date_match=earliest" in used:
            return func.coalesce(earliest, latest) >= value
        return or_(latest >= value, latest.is_(None) & earliest.is_not(None))

    return condition


def ends(table: str, date: str) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition of `to` (exclusive) on a date column of `table`; a date without any bound never matches."""

    def condition(value: SQL, used: frozenset[str]) -> SQL:
        earliest, latest = bounds_of(table, date)
        if "date_match=within" in used:
            return latest < value
        if "date_match=earliest" in used:
            return func.coalesce(earliest, latest) < value
        return or_(earliest < value, earliest.is_(None) & latest.is_not(None))

    return condition


def rows(table: str) -> Table:
    """Return a table by name. Filters reach across features this way, so that no feature imports one above it."""
    return SQLModel.metadata.tables[table]


def bounds_of(table: str, date: str) -> tuple[SQL, SQL]:
    """Return the columns of a date's bounds."""
    c = rows(table).c
    return c[f"{date}_earliest"], c[f"{date}_latest"]


def refers(column: SQL, table: str, value: SQL) -> SQL:
    """Condition that `column` points at a record of `table` given by id or natural key."""
    row = rows(table).alias()
    return column.in_(select(row.c.id).where(named(row, table, value)))


def named(row: FromClause, table: str, value: SQL) -> SQL:
    """Condition that `row` is one of those given by id or natural key."""
    key = TARGETS[table].key
    by_id = cast(row.c.id, Text) == any_(value)
    return or_(by_id, row.c[key] == any_(value)) if key else by_id


def below(column: SQL, table: str, value: SQL) -> SQL:
    """Condition that `column` points at a record given by id or natural key, or at anything below it by `parent_id`."""
    row, child = rows(table).alias(), rows(table).alias()
    tree = select(row.c.id).where(named(row, table, value)).cte(recursive=True)
    tree = tree.union(select(child.c.id).join(tree, child.c.parent_id == tree.c.id))
    return column.in_(select(tree.c.id))


def under_statute(column: SQL, value: SQL) -> SQL:
    """Condition that `column` points at a statute given by id or key, or at what rolls up to it."""
    row, given = rows("statutes").alias(), rows("statutes").alias()
    by_id = select(given.c.key).where(cast(given.c.id, Text) == any_(value))
    keys = [row.c.key, row.c.article_key, row.c.code_key]
    return column.in_(select(row.c.id).where(or_(*(k == any_(value) for k in keys), *(k.in_(by_id) for k in keys))))


def exists(table: str | FromClause, *on: SQL) -> SQL:
    """Condition that a row of `table` meets all of `on`; whatever else `on` names is the enclosing statement's."""
    row = rows(table) if isinstance(table, str) else table
    # By itself SQLAlchemy takes only the nearest enclosing statement's tables for granted; an exists within an exists
    # would then quietly bring a second copy of the outermost table, and be true for every row.
    return select(1).select_from(row).where(*on).correlate_except(*row._from_objects).exists()  # noqa: SLF001


def holds(column: SQL, value: SQL) -> SQL:
    """Condition that an array of codes has any of these."""
    return select(1).where(func.unnest(column).column_valued("code") == any_(value)).exists()


def cited(owner: str, table: str) -> Where:
    """Filter by the sources that records of `table` cite; `owner` is their column in `citations`."""
    return Where(
        lambda v: exists(
            "citations",
            rows("citations").c[owner] == rows(table).c.id,
            refers(rows("citations").c.source_id, "sources", v),
        ),
        TEXTS,
    )


class RecordFilter(Filter):
    """Base of the filters of records."""


class DatedFilter(RecordFilter):
    """Adds how `from` and `to` meet a date that is an interval."""

    date_match: Annotated[
        DateMatch,
        Field(
            description="How from/to meet an uncertain date: overlap (possibly inside), within (surely inside), "
            "earliest (its earliest bound is inside; the statistics count so)."
        ),
    ] = "overlap"

    @model_validator(mode="after")
    def _from_before_to(self) -> Self:
        start, end = getattr(self, "start", None), getattr(self, "end", None)
        if isinstance(start, date) and isinstance(end, date) and end <= start:
            msg = "the period [from, to) is empty: to must be later than from"
            raise ValueError(msg)
        return self


Keys = list[Line]
"""Ids or natural keys; any of them."""

Texts = list[Code]
"""Codes; any of them."""

Day = date
