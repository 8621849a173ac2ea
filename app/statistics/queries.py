"""The statements of the statistics: one for the cells, the total and the cap, so that all are of one moment.

The records are read once, into rows that agree in date and dimensions; all that is asked is counted from these. Grouped
by day over a covering index that is as fast as keeping periods in columns of their own, and serves every grain.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)

from app.core.pages import Statement, prepare
from app.statistics.dimensions import TIMES
from app.statistics.facts import Fact
from app.statistics.measures import MEASURES, Measure

SQL = ColumnElement[Any]

MAX_CELLS = 10_000

YES: SQL = literal_column("true")
NO: SQL = literal_column("false")
ZERO: SQL = literal_column("0")
NOTHING: SQL = literal_column("'[]'")
ALWAYS: SQL = literal_column("'-infinity'::date", Date)


@dataclass(frozen=True)
class Plan:
    """All that a prebuilt statement differs by: what is counted, by what, with which filters and bounds."""

    measure: str
    by: tuple[str, ...]
    used: frozenset[str]
    starts: bool = False
    ends: bool = False

    @property
    def time(self) -> str | None:
        """The dimension of time among the dimensions, if there is one."""
        return next((d for d in self.by if d in TIMES), None)

    @property
    def groups(self) -> tuple[str, ...]:
        """The other dimensions."""
        return tuple(d for d in self.by if d not in TIMES)

    @property
    def subject(self) -> Measure:
        """The measure itself."""
        return MEASURES[self.measure]


EPOCH = date(2000, 1, 1)
"""The day that parameters of days are counted from."""


def day(name: str) -> SQL:
    """Return the parameter of a day, bound as the days since `EPOCH`.

    Of the first and last day of the calendar asyncpg would make infinities, and text would be read anew for each row.
    """
    return literal_column(f"'{EPOCH}'::date", Date) + bindparam(name, type_=Integer())


def bucket(grain: str, of: SQL) -> SQL:
    """Return the first day of the period that a day is in."""
    return of if grain == "day" else cast(func.date_trunc(grain, cast(of, DateTime)), Date)


def periods_between(grain: str, first: SQL, last: SQL) -> Any:
    """Return the first days of all periods from the one of `first` to the one of `last`, as a function in FROM."""
    step: SQL = literal_column("interval '3 months'" if grain == "quarter" else f"interval '1 {grain}'")
    series = func.generate_series(cast(bucket(grain, first), Date), last, step)
    return series.table_valued("period", name="further").render_derived()


def periods_number(grain: str, first: SQL, last: SQL) -> SQL:
    """Return how many periods there are from the one of `first` to the one of `last`."""
    if grain in {"day", "week"}:
        days = cast(bucket(grain, last) - bucket(grain, first), Integer)
        return days / literal_column("1" if grain == "day" else "7") + 1

    def index(of: SQL) -> SQL:
        months = func.date_part("year", of) * literal_column("12") + func.date_part("month", of) - literal_column("1")
        size = {"month": "1", "quarter": "3", "year": "12"}[grain]
        return cast(func.floor(months / literal_column(size)), Integer)

    return index(last) - index(first) + 1


def fact_of(plan: Plan, groups: tuple[str, ...]) -> tuple[Fact, list[SQL]]:
    """Return the fact with the filters in use, and the values of its dimensions as the rows hold them."""
    measure = plan.subject
    fact = measure.fact(plan.used)
    values = [measure.dimensions[g].value(fact) for g in groups]
    fields = frozenset(n for n in plan.used if n not in measure.also)
    fact.where = [*measure.filter.conditions(fields), *fact.where]
    return fact, values


def rolled(plan: Plan, groups: tuple[str, ...], rows: Any) -> tuple[Any, list[Any]]:
    """Return rows joined to what rolls their dimensions up, and the values rolled up: of a place its region."""
    source, values = rows, []
    for n, group in enumerate(groups):
        dimension, value = plan.subject.dimensions[group], rows.c[f"d{n}"]
        if dimension.roll is not None:
            source, value = dimension.roll(source, value)
        values.append(value.label(f"d{n}"))
    return source, values


def shown(plan: Plan, group: str, value: SQL) -> SQL:
    """Return the value of a dimension as it is answered."""
    dimension = plan.subject.dimensions[group]
    return dimension.shown(value) if dimension.shown is not None else cast(value, Text)


# --- flows ---------------------------------------------------------------------------------------------------


def _within(plan: Plan, lo: SQL, hi: SQL) -> list[SQL]:
    """Condition that a date possibly lies in the period, or that there is none."""
    found: list[SQL] = []
    if plan.starts:
        found.append(or_(hi >= day("start"), hi.is_(None)))
    if plan.ends:
        found.append(or_(lo < day("end"), lo.is_(None)))
    return found


COARSE = (None, "quarter", "year")
"""Grains by which the rows of one entity become far fewer."""


def _base(plan: Plan, groups: tuple[str, ...], name: str) -> CTE:
    """Return what is counted as (lo, hi, dimensions, weight, unknown), added up.

    Where one entity can have several dates, also with its entity, since nothing can be added up before its period is
    known; `alone` are then the rows of those that have only one.
    """
    fact, values = fact_of(plan, groups)
    assert fact.lo is not None and fact.hi is not None  # noqa: PT018, S101 -- every flow is dated
    lo, hi = fact.lo, fact.hi
    coarse = fact.distinct and fact.single is None and plan.time in COARSE
    if coarse:
        lo, hi = _coarse(plan, lo), _coarse(plan, hi)
    dims = [v.label(f"d{n}") for n, v in enumerate(values)]
    alone = _alone(fact)
    entity = [(e if alone is None else case((not_(alone), e))).label(f"e{n}") for n, e in enumerate(fact.entity)]
    apart = [*entity, *([alone.label("alone")] if alone is not None else [])]
    unknown = fact.unknown if fact.unknown is not None else ZERO
    amounts = [fact.named.label("named"), fact.weight.label("weight"), unknown.label("unknown")]
    every = select(lo.label("lo"), hi.label("hi"), *dims, *apart, *amounts)
    rows: Any = every.select_from(fact.rows).where(*fact.where, *_within(plan, fact.lo, fact.hi)).subquery()
    keys = [rows.c[n] for n in ("lo", "hi", *(c.name for c in apart))]
    if fact.distinct:
        source, dims = rolled(plan, groups, rows)
        if alone is not None or coarse:
            return _together(rows, [*dims, *keys, rows.c.named], source).cte(name)
        return select(*dims, *keys, *(rows.c[a.name] for a in amounts)).select_from(source).cte(name)
    dates = [rows.c.lo, rows.c.hi]
    if any(plan.subject.dimensions[g].many for g in groups):
        source, dims = rolled(plan, groups, rows)
        rows = _together(rows, [*dims, *keys], source).subquery()
        source, dims, dates = rows, [rows.c[d.name] for d in dims], [rows.c.lo, rows.c.hi]
    else:
        # Of ten million events on so many days in so many towns, few rows are left to be joined to the towns' regions.
        if any(plan.subject.dimensions[g].roll is not None for g in groups):
            rows = _added(rows, [*dates, *(rows.c[d.name] for d in dims)], rows).subquery()
            dates = [rows.c.lo, rows.c.hi]
        source, dims = rolled(plan, groups, rows)
    return _added(rows, [*dates, *dims], source).cte(name)


def _alone(fact: Fact) -> SQL | None:
    """Condition that a row is the only one of its entity; None where no row is known to be, or every one is.

    Where people are joined, hardly an event is left without; to tell those apart would only cost.
    """
    if fact.distinct and (fact.single is None or {"participant", "any_participant"} & fact.joined.keys()):
        return None
    conditions = [*([fact.single] if fact.single is not None else []), *(not_(s) for s in fact.several)]
    return and_(*conditions) if conditions else None


def _coarse(plan: Plan, date_: SQL) -> SQL:
    """Return a day that counts exactly as this one, the same for all days that count alike."""
    edges = [(date_ >= day(n), day(n)) for n, given in (("end", plan.ends), ("start", plan.starts)) if given]
    first = bucket(plan.time, date_) if plan.time is not None else case((date_.is_not(None), ALWAYS))
    return func.greatest(first, case(*edges), type_=Date) if edges else first


def _added(rows: Any, keys: list[Any], source: Any) -> Select[Any]:
    amounts = [func.sum(rows.c[n]).label(n) for n in ("weight", "unknown")]
    return select(*keys, *amounts).select_from(source).group_by(*(getattr(k, "element", k) for k in keys))


def _together(rows: Any, keys: list[Any], source: Any) -> Select[Any]:
    """Put the rows of one entity together, which counts once, and add up those that are alone."""
    amounts = [together(rows, rows.c[n]).label(n) for n in ("weight", "unknown")]
    return select(*keys, *amounts).select_from(source).group_by(*(getattr(k, "element", k) for k in keys))


def together(rows: Any, amount: SQL, where: SQL = YES) -> SQL:
    """Return the amount of one entity, the greatest of its rows; or of rows that are alone their sum."""
    greatest: SQL = func.max(amount).filter(where)
    if "alone" not in rows.c:
        return greatest
    total: SQL = func.sum(amount).filter(where)
    return case((rows.c.alone, total), else_=greatest)


def _flags(plan: Plan, rows: Any) -> list[Any]:
    """Return where a row counts: in the value, surely (min), possibly (max), or nowhere for want of a date."""
    lo, hi = rows.c.lo, rows.c.hi
    at = func.coalesce(lo, hi)
    value: list[SQL] = [at.is_not(None)]
    sure = list(value)
    if plan.starts:
        value.append(at >= day("start"))
        sure.append(lo >= day("start"))
    if plan.ends:
        value.append(at < day("end"))
        sure.append(hi < day("end"))
    flags = {"value": and_(*value), "sure": and_(*sure), "possible": at.is_not(None), "undated": at.is_(None)}
    return [flag.label(n) for n, flag in flags.items()]


def _span(plan: Plan, base: CTE) -> tuple[SQL, SQL]:
    """Return the first and last day of the grid: those asked for, or else of what is counted.

    A period that is open at one side has at least the day at its other, though all that is counted lie beyond it.
    """
    first: SQL = day("first") if plan.starts else func.min(func.least(base.c.lo, base.c.hi, type_=Date), type_=Date)
    last: SQL = day("last") if plan.ends else func.max(func.greatest(base.c.lo, base.c.hi, type_=Date), type_=Date)
    if plan.starts and plan.ends:
        return first, last
    if plan.starts:
        last = func.greatest(last, first, type_=Date)
    elif plan.ends:
        first = func.least(first, last, type_=Date)
    span = select(first.label("first"), last.label("last")).select_from(base).cte("span")
    return select(span.c.first).scalar_subquery(), select(span.c.last).scalar_subquery()


def _by_period(plan: Plan, base: CTE, grain: str, span: tuple[SQL, SQL]) -> Any:
    """Select the rows by period: once where they count, and once in each further period where they possibly lie."""
    lo, hi = base.c.lo, base.c.hi
    at = func.coalesce(lo, hi)
    value, sure, possible, _ = (f.element for f in _flags(plan, base))
    first, last = span
    kept = [c for c in base.c if c.name not in {"lo", "hi"}]
    one_period = func.coalesce(bucket(grain, lo) == bucket(grain, hi), NO)

    def flags(own: SQL, certain: SQL) -> list[Any]:
        return [own.label("value"), certain.label("sure"), YES.label("possible"), NO.label("undated")]

    counted = select(bucket(grain, at).label("period"), *kept, *flags(YES, func.coalesce(and_(one_period, sure), NO)))
    period = periods_between(grain, func.greatest(lo, first, type_=Date), func.least(hi, last, type_=Date))
    here = cast(period.c.period, Date)
    spread = select(here.label("period"), *kept, *flags(NO, NO)).select_from(base.join(period, true()))
    elsewhere = not_(func.coalesce(and_(value, here == bucket(grain, at)), NO))
    alone = not_(func.coalesce(and_(value, one_period), NO))
    return union_all(counted.where(value), spread.where(possible, alone, elsewhere))


def _whole_period(plan: Plan, base: CTE) -> Select[Any]:
    return select(*(c for c in base.c if c.name not in {"lo", "hi"}), *_flags(plan, base))


# --- cells -----------------------------------------------------------------------------------------------------


def counted(rows: Any, keys: list[str], *, apart: bool) -> Select[Any]:
    """Aggregate rows into cells; where one thing can have several rows, first into one row for each thing."""
    r = rows.subquery()
    if apart:
        entity = [c for c in r.c if c.name.startswith("e") or c.name == "alone"]
        amounts = (together(r, r.c.weight, r.c[n]).label(f"w_{n}") for n in ("value", "sure", "possible", "undated"))
        unknown_of = together(r, r.c.unknown, r.c.value).label("unknown")
        once = (
            select(*(r.c[k] for k in keys), r.c.named, *amounts, unknown_of)
            .group_by(*(r.c[k] for k in keys), r.c.named, *entity)
            .subquery()
        )
        cells = [once.c[k] for k in keys]
        sums: list[SQL] = [once.c[f"w_{n}"] for n in ("value", "sure", "possible", "undated")]
        named: SQL = once.c.named
        unknown: SQL = once.c.unknown
    else:
        cells = [r.c[k] for k in keys]
        sums = [case((r.c[n], r.c.weight)) for n in ("value", "sure", "possible", "undated")]
        named, unknown = YES, case((r.c.value, r.c.unknown))
    found = [func.coalesce(func.sum(s), 0) for s in sums]
    split = [func.coalesce(func.sum(sums[0]).filter(n), 0) for n in (named, not_(named))]
    totals = [*found, *split, func.coalesce(func.sum(unknown), 0)]
    return select(*cells, *(t.label(f"n{i}") for i, t in enumerate(totals))).group_by(*cells)


def as_json(plan: Plan, cells: Any) -> SQL:
    """Return cells as the text of a JSON array of arrays."""
    row = [cells.c.period] if "period" in cells.c else []
    row += [shown(plan, g, cells.c[f"d{n}"]) for n, g in enumerate(plan.groups) if f"d{n}" in cells.c]
    row += [func.trim_scale(cast(cells.c[f"n{n}"], Numeric)) for n in range(7)]
    found = func.coalesce(func.json_agg(func.json_build_array(*row)), literal_column("'[]'::json"))
    return cast(select(found).scalar_subquery(), Text)


def capped(found: SQL, base: CTE, groups: int, periods: SQL | None) -> SQL:
    """Return what is found, or null instead, and without computing it, where the cells would be too many."""
    limits: list[SQL] = []
    if groups:
        dims = [base.c[f"d{n}"] for n in range(groups)]
        several_ = select(*dims).distinct().limit(literal_column(str(MAX_CELLS + 1))).subquery()
        limits.append(select(func.count()).select_from(several_).scalar_subquery())
    if periods is not None:
        limits.append(func.coalesce(periods, ZERO))
    number = limits[0] if len(limits) == 1 else limits[0] * limits[1]
    return case((number <= literal_column(str(MAX_CELLS)), found))


@lru_cache(maxsize=1024)
def counting(plan: Plan) -> Statement:
    """Return the statement that answers all cells and the total as two JSON arrays of arrays.

    Each array holds the dimensions' values, then value, min, max, undated, named, unnamed and unknown. The cells are
    null where they would be more than `MAX_CELLS`.
    """
    apart = plan.subject.fact(plan.used).distinct
    base = _base(plan, plan.groups, "base")
    # Where a dimension puts one thing into several rows, the whole is counted apart, without that dimension.
    many = not apart and any(plan.subject.dimensions[g].many for g in plan.groups)
    whole = _base(plan, (), "whole") if many else base
    total = as_json(plan, counted(_whole_period(plan, whole), [], apart=apart).subquery())
    if not plan.by:
        return prepare(select(NOTHING, total))
    grain, keys = plan.time, [f"d{n}" for n in range(len(plan.groups))]
    span = _span(plan, base)
    rows = _whole_period(plan, base) if grain is None else _by_period(plan, base, grain, span)
    cells = counted(rows, keys if grain is None else ["period", *keys], apart=apart).subquery()
    found = as_json(plan, select(cells).where(or_(cells.c.n2 > 0, cells.c.n6 > 0)).subquery())
    periods = periods_number(grain, *span) if grain is not None else None
    return prepare(select(capped(found, base, len(plan.groups), periods), total))
