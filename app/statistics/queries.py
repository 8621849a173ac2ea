"""The statements of the statistics: one for the cells and the total together, so that they are of one moment."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
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
from app.core.status import counted_on, holds_on, surely_on
from app.statistics.dimensions import TIMES
from app.statistics.facts import Fact, T
from app.statistics.measures import MEASURES, Measure

SQL = ColumnElement[Any]

MAX_CELLS = 10_000

YES: SQL = literal_column("true")
NO: SQL = literal_column("false")
ZERO: SQL = literal_column("0")


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


def _day(name: str) -> SQL:
    return bindparam(name, type_=Date())


def bucket(grain: str, day: SQL) -> SQL:
    """Return the first day of the period that a day is in."""
    return day if grain == "day" else cast(func.date_trunc(grain, cast(day, Date)), Date)


def _step(grain: str) -> SQL:
    return literal_column("interval '3 months'" if grain == "quarter" else f"interval '1 {grain}'")


@dataclass
class Flags:
    """Where a row counts: in the value, surely (min), possibly (max), or nowhere for want of a date."""

    value: SQL
    sure: SQL
    possible: SQL
    undated: SQL


def _flow_flags(plan: Plan, fact: Fact) -> Flags:
    lo, hi = fact.lo, fact.hi
    assert lo is not None and hi is not None  # noqa: PT018, S101 -- every flow is dated
    at = func.coalesce(lo, hi)
    value: list[SQL] = [at.is_not(None)]
    sure, possible = list(value), list(value)
    if plan.starts:
        value.append(at >= _day("start"))
        sure.append(lo >= _day("start"))
        possible.append(or_(hi >= _day("start"), hi.is_(None)))
    if plan.ends:
        value.append(at < _day("end"))
        sure.append(hi < _day("end"))
        possible.append(or_(lo < _day("end"), lo.is_(None)))
    return Flags(and_(*value), and_(*sure), and_(*possible), at.is_(None))


def _stock_flags() -> Flags:
    day, c = _day("at"), T.c
    undated = and_(*(c[f"{n}_{b}"].is_(None) for n in ("start", "end") for b in ("earliest", "latest")))
    return Flags(counted_on(day), surely_on(day), holds_on(day), undated)


def _fact(plan: Plan, groups: tuple[str, ...]) -> tuple[Fact, list[SQL]]:
    """Return the fact with the filters in use, and the values of its dimensions."""
    measure = plan.subject
    fact = measure.fact(plan.used)
    values = [measure.dimensions[g].value(fact) for g in groups]
    fields = frozenset(n for n in plan.used if n not in measure.also)
    fact.where = [*measure.filter.conditions(fields), *fact.where]
    return fact, values


def _columns(fact: Fact, values: list[SQL], flags: Flags, period: SQL | None) -> list[Any]:
    unknown = fact.unknown if fact.unknown is not None else literal_column("0")
    columns = [period.label("period")] if period is not None else []
    columns += [cast(v, Text).label(f"d{n}") for n, v in enumerate(values)]
    return [
        *columns,
        fact.entity.label("entity"),
        fact.named.label("named"),
        fact.weight.label("weight"),
        unknown.label("unknown"),
        flags.value.label("value"),
        flags.sure.label("sure"),
        flags.possible.label("possible"),
        flags.undated.label("undated"),
    ]


def _whole(plan: Plan, groups: tuple[str, ...]) -> Select[Any]:
    """Select the rows of the whole period, or of the day."""
    fact, values = _fact(plan, groups)
    flags = _stock_flags() if plan.subject.kind == "stock" else _flow_flags(plan, fact)
    rows = select(*_columns(fact, values, flags, None)).select_from(fact.rows)
    return rows.where(*fact.where, or_(flags.possible, flags.undated))


def _by_time(plan: Plan, grain: str) -> Any:
    """Select the rows by period: once where they count, and once in each further period where they possibly lie."""
    fact, values = _fact(plan, plan.groups)
    flags = _flow_flags(plan, fact)
    lo, hi = fact.lo, fact.hi
    assert lo is not None and hi is not None  # noqa: PT018, S101
    at = func.coalesce(lo, hi)
    one_period = func.coalesce(bucket(grain, lo) == bucket(grain, hi), NO)
    own = Flags(YES, func.coalesce(and_(one_period, flags.sure), NO), YES, NO)
    counted = select(*_columns(fact, values, own, bucket(grain, at))).select_from(fact.rows)
    counted = counted.where(*fact.where, flags.value)

    fact, values = _fact(plan, plan.groups)
    lo, hi = fact.lo, fact.hi
    assert lo is not None and hi is not None  # noqa: PT018, S101
    at = func.coalesce(lo, hi)
    flags = _flow_flags(plan, fact)
    first = bucket(grain, func.greatest(lo, _day("first"), type_=Date))
    step = _step(grain)
    series = func.generate_series(cast(first, Date), func.least(hi, _day("last"), type_=Date), step)
    period = series.table_valued("period", name="further").render_derived()
    day = cast(period.c.period, Date)
    elsewhere = Flags(NO, NO, YES, NO)
    vague = func.coalesce(and_(flags.value, bucket(grain, lo) == bucket(grain, hi)), NO)
    spread = select(*_columns(fact, values, elsewhere, day)).select_from(fact.rows.join(period, true()))
    here = func.coalesce(and_(flags.value, day == bucket(grain, at)), NO)
    spread = spread.where(*fact.where, flags.possible, not_(vague), not_(here))
    return union_all(counted, spread)


def _several(plan: Plan, groups: tuple[str, ...]) -> bool:
    """Tell whether one counted thing can have several rows in a cell."""
    measure = plan.subject
    return measure.fact(plan.used).distinct or any(measure.dimensions[g].many for g in groups)


def _counted(plan: Plan, rows: Any, groups: tuple[str, ...], *, timed: bool) -> Select[Any]:
    """Aggregate rows into cells; where one thing can have several rows, first into one row for each thing."""
    r = rows.subquery()
    keys = [r.c.period] if timed else []
    keys += [r.c[f"d{n}"] for n in range(len(groups))]
    if _several(plan, groups):
        once = (
            select(
                *keys,
                r.c.named,
                func.max(r.c.weight).filter(r.c.value).label("w_value"),
                func.max(r.c.weight).filter(r.c.sure).label("w_sure"),
                func.max(r.c.weight).filter(r.c.possible).label("w_possible"),
                func.max(r.c.weight).filter(r.c.undated).label("w_undated"),
                func.max(r.c.unknown).filter(r.c.value).label("unknown"),
            )
            .group_by(*keys, r.c.named, r.c.entity)
            .subquery()
        )
        keys = [once.c[k.name] for k in keys]
        sums: list[SQL] = [once.c[f"w_{n}"] for n in ("value", "sure", "possible", "undated")]
        named: SQL = once.c.named
        unknown: SQL = once.c.unknown
    else:
        sums = [case((r.c[n], r.c.weight)) for n in ("value", "sure", "possible", "undated")]
        named, unknown = r.c.named, case((r.c.value, r.c.unknown))
    found = [func.coalesce(func.sum(s), 0) for s in sums]
    split = [func.coalesce(func.sum(sums[0]).filter(n), 0) for n in (named, not_(named))]
    totals = [*found, *split, func.coalesce(func.sum(unknown), 0)]
    return select(*keys, *(t.label(f"n{i}") for i, t in enumerate(totals))).group_by(*keys)


def _as_json(cells: Any) -> SQL:
    c = cells.c
    row = func.json_build_array(*(func.trim_scale(cast(x, Numeric)) if x.name.startswith("n") else x for x in c))
    return select(func.coalesce(func.json_agg(row), literal_column("'[]'::json"))).scalar_subquery()


@lru_cache(maxsize=1024)
def counting(plan: Plan) -> Statement:
    """Return the statement that answers all cells and the total as two JSON arrays of arrays.

    Each array holds the dimensions' values, then value, min, max, undated, named, unnamed and unknown.
    """
    grain = plan.time
    if plan.subject.kind == "stock" and grain is not None:
        return prepare(select(cast(_as_json(stock_series(plan, grain)), Text), literal_column("'[]'")))
    total = _counted(plan, _whole(plan, ()), (), timed=False).subquery()
    if not plan.by:
        return prepare(select(literal_column("'[]'"), cast(_as_json(total), Text)))
    rows = _by_time(plan, grain) if grain is not None else _whole(plan, plan.groups)
    counted = _counted(plan, rows, plan.groups, timed=grain is not None).subquery()
    cells = select(counted).where(or_(counted.c.n2 > 0, counted.c.n6 > 0)).subquery()
    return prepare(select(cast(_as_json(cells), Text), cast(_as_json(total), Text)))


@lru_cache(maxsize=1024)
def spanning(plan: Plan) -> Statement:
    """Return the statement that tells the first and last day among the counted, for a question without both bounds."""
    fact, _ = _fact(plan, ())
    lo, hi = fact.lo, fact.hi
    flags = _flow_flags(plan, fact)
    first = func.min(func.least(lo, hi))
    last = func.max(func.greatest(lo, hi))
    return prepare(select(first, last).select_from(fact.rows).where(*fact.where, flags.possible))


@lru_cache(maxsize=1024)
def combining(plan: Plan) -> Statement:
    """Return the statement that counts the combinations of the dimensions' values, as far as one past the cap."""
    fact, values = _fact(plan, plan.groups)
    several = select(*values).select_from(fact.rows).where(*fact.where).distinct().limit(MAX_CELLS + 1).subquery()
    return prepare(select(func.count()).select_from(several))


# --- stocks over time --------------------------------------------------------------------------------------


def _intervals(plan: Plan) -> CTE:
    """Return (kind, dimensions, range): for each entity the days on which it counts, surely counts, possibly counts.

    What overlaps or touches is merged, so that one person with two such statuses is one.
    """
    fact, values = _fact(plan, plan.groups)
    c = T.c
    kinds = (
        ("value", func.coalesce(c.start_earliest, c.start_latest), func.coalesce(c.end_earliest, c.end_latest), true()),
        (
            "sure",
            c.start_latest,
            c.end_earliest,
            and_(c.start_latest.is_not(None), or_(c.end.is_(None), c.end_earliest.is_not(None))),
        ),
        ("possible", c.start_earliest, c.end_latest, true()),
    )
    parts = []
    for n, (kind, lo, hi, asked) in enumerate(kinds):
        if n:
            fact, values = _fact(plan, plan.groups)
        dims = [cast(v, Text).label(f"d{i}") for i, v in enumerate(values)]
        days = func.daterange(lo, hi, literal_column("'[]'"))
        # A start that is only possibly before the end counts nowhere; an empty range would be an error.
        sound = func.coalesce(lo <= hi, literal_column("true"))
        meets = and_(
            asked,
            case((sound, days.op("&&")(func.daterange(_day("start"), _day("end")))), else_=literal_column("false")),
        )
        rows: Any = (
            select(literal_column(f"'{kind}'").label("kind"), *dims, func.unnest(func.range_agg(days)).label("days"))
            .select_from(fact.rows)
            .where(*fact.where, meets)
            .group_by(*values, fact.entity)
        )
        parts.append(rows)
    return union_all(*parts).cte("intervals")


def stock_series(plan: Plan, grain: str) -> Any:
    """Return a stock at the end of each period: a running sum of +1 at each start and -1 after each end."""
    found = _intervals(plan)
    dims = [found.c[f"d{n}"] for n in range(len(plan.groups))]
    opens = func.greatest(func.coalesce(func.lower(found.c.days), _day("start")), _day("start"), type_=Date)
    starts = select(found.c.kind, *dims, bucket(grain, opens).label("period"), literal_column("1").label("step"))
    closes = func.upper(found.c.days, type_=Date)
    stops = select(found.c.kind, *dims, bucket(grain, closes), literal_column("-1")).where(closes < _day("end"))
    steps = union_all(starts, stops).cte("steps")
    dims = [steps.c[f"d{n}"] for n in range(len(plan.groups))]
    interval = _step(grain)
    series = func.generate_series(bucket(grain, _day("start")), _day("last"), interval)
    period = series.table_valued("period", name="grid").render_derived()
    day = cast(period.c.period, Date)
    groups = select(*dims).distinct().subquery() if dims else select(literal_column("1").label("one")).subquery()
    keys = [groups.c[d.name] for d in dims]
    changed = [
        func.coalesce(func.sum(steps.c.step).filter(steps.c.kind == literal_column(f"'{k}'")), 0)
        for k in ("value", "sure", "possible")
    ]
    same = and_(day == steps.c.period, *(k.is_not_distinct_from(d) for k, d in zip(keys, dims, strict=True)))
    grouped = (
        select(day.label("period"), *keys, *(x.label(f"x{n}") for n, x in enumerate(changed)))
        .select_from(period.join(groups, true()).outerjoin(steps, same))
        .group_by(day, *keys)
        .subquery()
    )
    keys = [grouped.c[d.name] for d in dims]
    running = [
        func.sum(grouped.c[f"x{n}"]).over(partition_by=keys or None, order_by=grouped.c.period) for n in range(3)
    ]
    totals = [*running, ZERO, running[0], ZERO, ZERO]
    return select(grouped.c.period, *keys, *(t.label(f"n{n}") for n, t in enumerate(totals))).subquery()
