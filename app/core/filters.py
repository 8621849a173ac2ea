"""Filters that know their WHERE: declared once per resource, used by its list, its export and its statistics alike."""

import re
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    FromClause,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    true,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from app.core.refs import TARGETS
from app.core.text import Code, Line

SQL = ColumnElement[Any]
DateMatch = Literal["overlap", "earliest", "within"]

NOT_STATED = "not_stated"
"""Value of a filter that asks for records of which no source says it."""

MARKS = ("date_match", "date_field")
"""Fields that change the SQL of others instead of having one; they count as used with their value."""


class Where:
    """The SQL condition that a filter field stands for, as a function of its bind parameter.

    With `sees_used=True` the condition also takes the set of filters in use (`date_match` with its value), for the
    few that mean something else together. `exact` is the condition that takes a value literally, without what lies
    below it; `absent` is what the value `not_stated` stands for. `given` turns the client's
    value into what is bound.
    """

    def __init__(  # noqa: PLR0913 -- each says one way in which a filter differs from the plain
        self,
        condition: Callable[..., SQL],
        type_: TypeEngine[Any],
        *,
        sees_used: bool = False,
        exact: Callable[[SQL], SQL] | None = None,
        absent: Callable[[], SQL] | None = None,
        given: Callable[[Any], Any] | None = None,
    ) -> None:
        """Keep the conditions and the SQL type that the value is bound as."""
        self.condition, self.type_, self.sees_used = condition, type_, sees_used
        self.exact, self.absent, self.given = exact, absent, given or _plain

    def applied(self, name: str, used: frozenset[str]) -> SQL:
        """Return the condition over a bind parameter of the filter's name."""
        value = bindparam(name, type_=self.type_)
        if self.sees_used:
            found = self.condition(value, used)
        else:
            found = self.exact(value) if self.exact and f"exact={name}" in used else self.condition(value)
        absent = self.absent is not None and f"{name}={NOT_STATED}" in used
        return or_(found, self.absent()) if absent and self.absent is not None else found


TEXTS: TypeEngine[Any] = ARRAY(Text)


class Filter(BaseModel):
    """Base of all filters: an unknown name is an error; statements are prebuilt per set of filters in use."""

    model_config = ConfigDict(extra="forbid")

    def used(self) -> frozenset[str]:
        """Name the filters in use, and with its value whatever changes their SQL."""
        names = {n for n in self.wheres() if getattr(self, n) not in (None, [])}
        marks = {f"{m}={value}" for m in MARKS if (value := getattr(self, m, None))}
        marks |= {f"exact={n}" for n in getattr(self, "exact", ()) if n in names}
        marks |= {f"{n}={NOT_STATED}" for n in names if _asks_for_nothing(getattr(self, n))}
        return frozenset(names | marks)

    @classmethod
    @cache
    def wheres(cls) -> dict[str, Where]:
        """Return the fields that are filters, each with its condition."""
        found = {n: [m for m in info.metadata if isinstance(m, Where)] for n, info in cls.model_fields.items()}
        return {n: marks[0] for n, marks in found.items() if marks}

    @classmethod
    @cache
    def conditions(cls, used: frozenset[str]) -> tuple[SQL, ...]:
        """Return the conditions of these filters, each over a bind parameter of the filter's name."""
        return tuple(cls.wheres()[n].applied(n, used) for n in sorted(used) if "=" not in n)

    def values(self, used: frozenset[str] | None = None) -> dict[str, Any]:
        """Return the value of each filter in use, as PostgreSQL takes it; `used` is what `used()` has said."""
        wheres = self.wheres()
        used = self.used() if used is None else used
        return {n: wheres[n].given(getattr(self, n)) for n in used if "=" not in n}


def _asks_for_nothing(value: Any) -> bool:
    return isinstance(value, list) and NOT_STATED in value


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
    """Condition that `row` is one of those given by id or natural key; an id that was merged means where it leads."""
    key = TARGETS[table].key
    if key is None:
        return row.c.id.in_(select(func.meant(value, type_=Uuid()).column_valued("meant")))
    return or_(cast(row.c.id, Text) == any_(value), row.c[key] == any_(value))  # few, and never merged


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


def with_narrower(vocabulary: str, value: SQL) -> SQL:
    """Return the codes of `value` and all that are narrower: of `in_custody` also `pre_trial_custody`.

    It depends on nothing but the value, so PostgreSQL finds the codes once for a statement.
    """
    term = table("vocabulary_terms", column("vocabulary"), column("code"), column("broader")).alias()
    codes = select(func.unnest(value).column_valued("code").label("code")).cte(recursive=True)
    here: SQL = literal_column(f"'{vocabulary}'")
    codes = codes.union(select(term.c.code).where(term.c.vocabulary == here, term.c.broader == codes.c.code))
    return func.array(select(codes.c.code).scalar_subquery(), type_=TEXTS)


def of_kind(of: SQL, vocabulary: str) -> Where:
    """Filter by a code and whatever is narrower; `exact` takes the code alone."""
    return Where(lambda v: of == any_(with_narrower(vocabulary, v)), TEXTS, exact=lambda v: of == any_(v))


def in_group(groups: SQL, value: SQL, used: frozenset[str] = frozenset()) -> SQL:
    """Condition that a person belongs to any of these groups or to a narrower one, with `exact` to these alone."""
    return holds(groups, value if "exact=group" in used else with_narrower("person_group", value))


def cited(owner: str, table: str) -> Where:
    """Filter by the sources that records of `table` cite; `owner` is their column in `citations`."""
    return Where(
        lambda v: exists(
            "citations",
            rows("citations").c[owner] == rows(table).c.id,
            refers(rows("citations").c.source_id, "sources", v),
        ),
        TEXTS,
        absent=lambda: without("citations", rows("citations").c[owner] == rows(table).c.id),
    )


def of_statute(column: SQL, level: str, value: SQL) -> SQL:
    """Condition that `column` points at a statute of these articles (`article_key`) or codes (`code_key`)."""
    row = rows("statutes").alias()
    return column.in_(select(row.c.id).where(row.c[level] == any_(value)))


OF_STATUTE = ("article", "code", "statute")
"""Filters that together are about one statute of a record."""


def statute_conditions(used: frozenset[str], column: SQL) -> list[SQL]:
    """Return what the filters of statutes in use ask of one reference to a statute, which may be null."""
    row = rows("statutes").alias()
    unnumbered = column.in_(select(row.c.id).where(row.c.article_key.is_(None)))
    found = []
    if "statute" in used:
        value = bindparam("statute", type_=TEXTS)
        exact = "exact=statute" in used
        asked = refers(column, "statutes", value) if exact else under_statute(column, value)
        found.append(or_(asked, column.is_(None)) if f"statute={NOT_STATED}" in used else asked)
    for name, level, absent in (
        ("article", "article_key", or_(column.is_(None), unnumbered)),
        ("code", "code_key", column.is_(None)),
    ):
        if name in used:
            asked = of_statute(column, level, bindparam(name, type_=TEXTS))
            found.append(or_(asked, absent) if f"{name}={NOT_STATED}" in used else asked)
    return found


def same_statute(own: str, links: str, owner: Callable[[FromClause], SQL]) -> Callable[[SQL, frozenset[str]], SQL]:
    """Condition that one of the record's statutes meets all filters of statutes; the first in use stands for all.

    `links` is the table that refers to statutes, `owner` says which of its rows are the record's.
    """

    def condition(_value: SQL, used: frozenset[str]) -> SQL:
        if own != min(n for n in OF_STATUTE if n in used):
            return true()
        link = rows(links).alias()
        asked = statute_conditions(used, link.c.statute_id)
        if any(f"{n}={NOT_STATED}" in used for n in OF_STATUTE):
            one = select(literal_column("1").label("one")).subquery()
            return select(1).select_from(one.outerjoin(link, owner(link))).where(*asked).exists()
        return select(1).select_from(link).where(owner(link), *asked).exists()

    return condition


def literally(_value: SQL) -> SQL:
    """Stand for the exact meaning of a filter that sees what is in use."""
    return true()  # never run: a filter that sees what is in use looks for its mark itself


def of_statutes(own: str, links: str, owner: Callable[[FromClause], SQL]) -> Where:
    """Return the filter `own` (statute, article or code) of records that have statutes in the table `links`."""
    condition = same_statute(own, links, owner)
    return Where(condition, TEXTS, sees_used=True, exact=literally if own == "statute" else None)


def without(table: str, owner: SQL, *on: SQL) -> SQL:
    """Condition that no row of `table` whose column `owner` points here meets all of `on`."""
    return ~select(1).select_from(rows(table)).where(owner, *on).exists()


@cache  # one object however often it is used, so that a statement names it once
def region_tree() -> CTE:
    """Return (id, region) of all places: the one directly below the country, at or above each; null for a country."""
    place, child = rows("places").alias(), rows("places").alias()
    here = case((place.c.kind != "country", place.c.id))
    tree = (
        select(place.c.id, here.label("region")).where(place.c.parent_id.is_(None)).cte("region_tree", recursive=True)
    )
    below_it = func.coalesce(tree.c.region, case((child.c.kind != "country", child.c.id)))
    return tree.union_all(select(child.c.id, below_it).join(tree, child.c.parent_id == tree.c.id))


def without_region(column: SQL) -> SQL:
    """Condition that `column` points at no place, or at one outside every region."""
    tree = region_tree()
    return or_(column.is_(None), column.in_(select(tree.c.id).where(tree.c.region.is_(None))))


class RecordFilter(Filter):
    """Base of the filters of records."""

    exact: Annotated[
        list[Code],
        Field(
            max_length=10,
            description="Names of filters to take literally, without what lies below: exact=statute, exact=place.",
        ),
    ] = []

    @model_validator(mode="after")
    def _exact_names_filters(self) -> Self:
        known = sorted(n for n, where in self.wheres().items() if where.exact)
        if set(self.exact) - set(known):
            msg = f"exact names filters that take what lies below with them; here: {', '.join(known) or 'none'}"
            raise ValueError(msg)
        return self


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

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: object) -> object:
    """Refuse what pydantic would also read as a day: a number of seconds since 1970, or a time."""
    if value is not None and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise PydanticCustomError("day", "must be a day such as 2024-01-31")
    return value


Day = Annotated[date, BeforeValidator(_day)]
