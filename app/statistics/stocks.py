"""The statements of the stocks: on a day, and at the end of each period as a running sum."""

from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, Date, and_, cast, false, func, literal_column, not_, or_, select, true, union_all

from app.core.pages import Statement, prepare
from app.core.status import counted_on, holds_on, surely_on
from app.statistics.facts import T
from app.statistics.queries import (
    NOTHING,
    ZERO,
    Plan,
    as_json,
    bucket,
    capped,
    counted,
    day,
    fact_of,
    periods_between,
    periods_number,
    rolled,
)

KINDS = ("value", "sure", "possible")


@lru_cache(maxsize=1024)
def stock(plan: Plan) -> Statement:
    """Return the statement of a stock: on a day its cells and total, over time the cells alone, as flows have them."""
    return _series(plan, plan.time) if plan.time is not None else _on_a_day(plan)


def _on_a_day(plan: Plan) -> Statement:
    at = day("at")
    fact, values = fact_of(plan, plan.groups)
    undated = and_(*(T.c[f"{n}_{b}"].is_(None) for n in ("start", "end") for b in ("earliest", "latest")))
    flags = {"value": counted_on(at), "sure": surely_on(at), "possible": holds_on(at), "undated": undated}
    rows: Any = select(
        *(v.label(f"d{n}") for n, v in enumerate(values)),
        fact.entity[0].label("e0"),
        *(f.label(n) for n, f in flags.items()),
    )
    rows = rows.select_from(fact.rows).where(*fact.where, or_(flags["possible"], undated)).subquery()
    source, dims = rolled(plan, plan.groups, rows)
    once = select(*dims, rows.c.e0, *(func.bool_or(rows.c[n]).label(n) for n in flags)).select_from(source)
    base = once.group_by(*(d.element for d in dims), rows.c.e0).cte("base")
    held = select(
        *base.c, literal_column("true").label("named"), literal_column("1").label("weight"), ZERO.label("unknown")
    )
    total = as_json(plan, counted(held, [], apart=True).subquery())
    if not plan.by:
        return prepare(select(NOTHING, total))
    cells = counted(held, [f"d{n}" for n in range(len(plan.groups))], apart=True).subquery()
    found = as_json(plan, select(cells).where(cells.c.n2 > 0).subquery())
    return prepare(select(capped(found, base, len(plan.groups), None), total))


# --- over time -------------------------------------------------------------------------------------------------


def _intervals(plan: Plan) -> CTE:
    """Return (dimensions, entity, bounds) of each status that possibly holds in the series.

    `plain` are the intervals that need no care: with both days known, and the only one of their entity.
    """
    fact, values = fact_of(plan, plan.groups)
    c = T.c
    bounds = [c.start_earliest, c.start_latest, c.end_earliest, c.end_latest]
    meets = [
        or_(c.start_earliest.is_(None), c.start_earliest < day("end")),
        or_(c.end_latest.is_(None), c.end_latest >= day("start")),
    ]
    rows: Any = select(
        *(v.label(f"d{n}") for n, v in enumerate(values)),
        fact.entity[0].label("e0"),
        *bounds,
        c.end.is_(None).label("lasting"),
    )
    rows = rows.select_from(fact.rows).where(*fact.where, *meets).subquery()
    source, dims = rolled(plan, plan.groups, rows)
    r = rows.c
    alone = func.count().over(partition_by=[*(d.element for d in dims), r.e0]) == literal_column("1")
    known = and_(r.start_earliest == r.start_latest, or_(r.end_earliest == r.end_latest, r.lasting))
    plain = func.coalesce(and_(alone, known), false()).label("plain")
    return select(*dims, r.e0, *(r[b.name] for b in bounds), r.lasting, plain).select_from(source).cte("base")


def _days(base: CTE, kind: str) -> tuple[Any, Any, Any]:
    """Return the first and last day on which a status counts, surely counts, or possibly counts; and whether it can."""
    c = base.c
    if kind == "sure":
        sure = and_(c.start_latest.is_not(None), or_(c.lasting, c.end_earliest.is_not(None)))
        return c.start_latest, c.end_earliest, sure
    if kind == "possible":
        return c.start_earliest, c.end_latest, true()
    start = func.coalesce(c.start_earliest, c.start_latest)
    return start, func.coalesce(c.end_earliest, c.end_latest), true()


def _spells(base: CTE, groups: int, kind: str, *on: Any) -> Any:
    """Return (dimensions, entity, lo, hi), within the series, of the statuses that meet `on`."""
    lo, hi, can = _days(base, kind)
    first = func.greatest(func.coalesce(lo, day("start")), day("start"), type_=Date).label("lo")
    last = func.least(func.coalesce(hi, day("last")), day("last"), type_=Date).label("hi")
    dims = [base.c[f"d{n}"] for n in range(groups)]
    # A start that is only possibly before the end counts nowhere.
    return select(*dims, base.c.e0, first, last).where(*on, can, func.coalesce(lo <= hi, true()), first <= last)


def _merged(base: CTE, groups: int, kind: str) -> Any:
    """Return the spells of those who may have several, each day once.

    In the order of their first days, a spell adds what the earlier ones of the same entity do not reach; so one person
    with two such statuses is one, and nothing is joined to days.
    """
    found = _spells(base, groups, kind, not_(base.c.plain)).subquery()
    dims = [found.c[f"d{n}"] for n in range(groups)]
    partition = [*dims, found.c.e0]
    reached = func.max(found.c.hi).over(partition_by=partition, order_by=found.c.lo, rows=(None, -1))
    each = select(*dims, found.c.e0, found.c.lo, found.c.hi, reached.label("reached")).subquery()
    e = each.c
    begins = func.greatest(e.lo, e.reached + literal_column("1"), type_=Date).label("lo")
    fresh = or_(e.reached.is_(None), e.hi > e.reached)
    return select(*(e[f"d{n}"] for n in range(groups)), e.e0, begins, e.hi).where(fresh)


def _steps(base: CTE, groups: int) -> Any:
    """Return (dimensions, day, value, sure, possible): by how much each changes on a day."""
    names = [f"d{n}" for n in range(groups)]
    plain = _spells(base, groups, "value", base.c.plain).cte("plain")
    merged = [_merged(base, groups, kind).cte(f"merged_{kind}") for kind in KINDS]
    parts = []
    for spells, kinds in ((plain, KINDS), *((m, (k,)) for m, k in zip(merged, KINDS, strict=True))):
        s = spells.c
        for when, sign, on in ((s.lo, "", true()), (s.hi + literal_column("1"), "-", s.hi < day("last"))):
            number = func.count() if not sign else -func.count()
            changes = [(number if k in kinds else ZERO).label(k) for k in KINDS]
            dims = [s[n] for n in names]
            parts.append(select(*dims, when.label("day"), *changes).where(on).group_by(*dims, when))
    return union_all(*parts).subquery()


def _series(plan: Plan, grain: str) -> Statement:
    base = _intervals(plan)
    names = [f"d{n}" for n in range(len(plan.groups))]
    daily = _steps(base, len(names))
    period = bucket(grain, daily.c.day)
    dims = [daily.c[n] for n in names]
    by_period = select(*dims, period.label("period"), *(func.sum(daily.c[k]).label(k) for k in KINDS))
    steps = by_period.group_by(*dims, period).cte("steps")

    grid = periods_between(grain, day("start"), day("last"))
    here = cast(grid.c.period, Date)
    found = select(*(steps.c[n] for n in names)).distinct() if names else select(literal_column("1").label("one"))
    groups = found.subquery()
    same = and_(here == steps.c.period, *(groups.c[n].is_not_distinct_from(steps.c[n]) for n in names))
    over: dict[str, Any] = {"partition_by": [groups.c[n] for n in names] or None, "order_by": here}
    running = [func.sum(func.coalesce(steps.c[k], 0)).over(**over) for k in KINDS]
    totals = [*running, ZERO, running[0], ZERO, ZERO]
    cells = (
        select(here.label("period"), *(groups.c[n] for n in names), *(t.label(f"n{n}") for n, t in enumerate(totals)))
        .select_from(grid.join(groups, true()).outerjoin(steps, same))
        .subquery()
    )
    number = periods_number(grain, day("start"), day("last"))
    return prepare(select(capped(as_json(plan, cells), base, len(names), number), NOTHING))
