"""Answers: a question is weighed, put to PostgreSQL in one statement, and its cells are named and linked."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Text, any_, bindparam, cast, select

from app.core.access import Caller
from app.core.filters import NOT_STATED, TEXTS
from app.core.pages import Statement, prepare
from app.core.refs import TARGETS
from app.statistics import periods
from app.statistics.dimensions import TIMES
from app.statistics.known import as_known
from app.statistics.queries import MAX_CELLS, Plan, counting
from app.statistics.questions import Asked, Question, refuse
from app.statistics.stocks import stock

DEFINITION_VERSION = 3
"""Raised whenever the same records would be counted otherwise than before."""

FIRST_DAY = date(1, 1, 1)
COUNTS = ("value", "min", "max", "undated", "named", "unnamed", "unknown")

Row = dict[str, Any]


async def answer(question: Question, caller: Caller) -> dict[str, Any]:
    """Return the answer to a question; raises `Invalid` for one with too many cells."""
    plan, values = question.plan, question.values()
    if plan.time and question.start and question.last:
        _refuse_above(periods.number(plan.time, question.start, question.last))
    cells, total = await _run(question, values, caller)
    if cells is None:
        _refuse_above(MAX_CELLS + 1)
    found_rows = [_row(question, cell) for cell in json.loads(cells, parse_float=Decimal)]
    found_rows.sort(key=lambda r: [str(r[d]) for d in question.by])
    labels = await _labels(question, found_rows, caller)
    for row in found_rows:
        url = _list_url(question, row, row.pop("_period", None))
        row["list"] = url if question.asked.known_at is None else None  # a list is of today
    return _body(question, found_rows, json.loads(total, parse_float=Decimal), labels)


async def _run(question: Question, values: dict[str, Any], caller: Caller) -> Any:
    statement = statement_of(question.plan)
    sql, arguments = statement.sql, statement.arguments(values)
    if (known := question.asked.known_at) is not None:
        sql, arguments = as_known(sql, arguments, known)
    # All rows, of which there is one: PostgreSQL runs nothing in parallel for who asks for the first row alone.
    return (await caller.database.fetch(caller.audience, sql, *arguments))[0]


def statement_of(plan: Plan) -> Statement:
    """Return the one statement that answers such a question."""
    return stock(plan) if plan.subject.kind == "stock" else counting(plan)


def _refuse_above(cells: int) -> None:
    if cells > MAX_CELLS:
        detail = (
            f"the answer would have more than {MAX_CELLS:,} cells: group by fewer dimensions or a coarser one, "
            "shorten the period with from and to, or filter"
        )
        raise refuse("?by", "too_many_cells", detail)


def _number(value: Any) -> int | float:
    return int(value) if value == int(value) else float(value)


def _counts(question: Question, found: list[Any]) -> Row:
    counted = dict(zip(COUNTS, map(_number, found), strict=True))
    kept = ("value", "min", "max", *question.measure.counts)
    return {n: counted[n] for n in kept}


def _row(question: Question, cell: list[Any]) -> Row:
    plan = question.plan
    row: Row = {}
    if plan.time is not None:
        day = date.fromisoformat(str(cell[0])[:10])
        row[plan.time], row["_period"] = periods.name(plan.time, day), day
        cell = cell[1:]
    for dimension, value in zip(plan.groups, cell, strict=False):
        row[dimension] = NOT_STATED if value is None else value
    row = {d: row[d] for d in question.by} | {k: v for k, v in row.items() if k == "_period"}
    return row | _counts(question, cell[len(plan.groups) :])


def _list_url(question: Question, row: Row, period: date | None) -> str:
    """Return the URL of the list that has exactly the records counted in a cell."""
    asked, measure = question.asked, question.measure
    fields = type(asked).model_fields
    own = {*Asked.model_fields, "start", "end", "at", "grain", "date_match", "exact", *measure.also}
    kept: dict[str, Any] = {
        n: v
        for n in fields
        if n not in own and (v := getattr(asked, n)) not in (None, []) and n in asked.model_fields_set
    }
    kept = dict(measure.fixed) | kept
    if measure.name == "fines" and asked.unit:
        kept["unit"] = asked.unit
    exact = set(asked.exact)
    for name in question.plan.groups:
        dimension = measure.dimensions[name]
        kept[dimension.filter] = row[name]
        exact = exact | {dimension.filter} if dimension.exact else exact - {dimension.filter}
    exact &= kept.keys()
    pairs = [(n, v) for n, given in kept.items() for v in (given if isinstance(given, list) else [given])]
    pairs += [("exact", n) for n in sorted(exact)]
    pairs += _dates(question, period)
    return f"/v1/{measure.list}?{urlencode([(n, str(v)) for n, v in pairs])}"


def _dates(question: Question, period: date | None) -> list[tuple[str, str]]:
    if question.measure.kind == "stock":
        day = question.at
        if period is not None and question.grain is not None and question.end is not None:
            day = min(periods.following(question.grain, period), question.end) - timedelta(days=1)
        return [("on", str(day)), ("date_match", "earliest")]
    start, end = question.start, question.end
    if period is not None and question.plan.time is not None:
        after = periods.following(question.plan.time, period)
        start = max(start, period) if start else period
        end = min(end, after) if end else after
    # From the first day of the calendar: what has no date at all is counted nowhere.
    pairs = [("from", str(start or FIRST_DAY)), *([("to", str(end))] if end else [])]
    return [*pairs, ("date_match", "earliest")]


def _body(question: Question, found: list[Row], totals: list[Any], labels: dict[str, Any]) -> dict[str, Any]:
    measure, asked = question.measure, question.asked
    body: dict[str, Any] = {
        "measure": measure.name,
        "unit": getattr(asked, "unit", None) or getattr(asked, "currency", None) or measure.unit,
        "kind": measure.kind,
    }
    if question.at is not None:
        body["at"] = str(question.at)
    else:
        body["from"] = str(question.start) if question.start else None
        body["to"] = str(question.end) if question.end else None
    if question.grain is not None:
        body["grain"] = question.grain
    split = measure.name == "fines" and not (asked.unit or asked.currency)
    total = _counts(question, totals[0]) if totals and not split else None
    undated = _number(totals[0][COUNTS.index("undated")]) if totals else None
    return body | {
        "by": list(question.by),
        "rows": found,
        "total": total,
        "additive": _adds_up(question),
        "undated": undated,
        "qualifier": "at_least",
        "known_at": str(asked.known_at or datetime.now(UTC).date()),
        "definition_version": DEFINITION_VERSION,
        "labels": labels,
    }


def _adds_up(question: Question) -> bool:
    """Tell whether nothing counted can be in two cells: distinct people only have one sex."""
    measure = question.measure
    if not measure.additive:
        return set(question.by) <= ({"sex"} if measure.unit == "persons" else set())
    return not any(measure.dimensions[g].many for g in question.plan.groups)


# --- labels ----------------------------------------------------------------------------------------------


async def _labels(question: Question, found: list[Row], caller: Caller) -> dict[str, dict[str, str]]:
    """Return dimension → value → what to call it, for the values in the rows."""
    labels: dict[str, dict[str, str]] = {}
    for name in question.by:
        if name in TIMES:
            continue
        dimension = question.measure.dimensions[name]
        values = sorted({row[name] for row in found} - {NOT_STATED})
        labels[name] = {}
        if dimension.table is not None and values:
            to = TARGETS[dimension.table]
            row = to.table.alias()
            key = row.c[to.key] if to.key else cast(row.c.id, Text)
            asked = bindparam("keys", type_=TEXTS)
            named = select(key, cast(row.c.id, Text), to.label(row.c))
            by_id = named.where(cast(row.c.id, Text) == any_(asked))
            statement = prepare(
                by_id if to.key is None else named.where((key == any_(asked)) | (cast(row.c.id, Text) == any_(asked)))
            )
            for key_, id_, label in await caller.database.fetch(
                caller.audience, statement.sql, *statement.arguments({"keys": values})
            ):
                labels[name][key_ if key_ in values else id_] = label or (key_ or id_)
        elif dimension.vocabulary is not None and values:
            sql = (
                "SELECT code, coalesce(label ->> $3, label ->> 'en', code) FROM vocabulary_terms "
                "WHERE vocabulary = $1 AND code = ANY ($2)"
            )
            terms = await caller.database.fetch(caller.audience, sql, dimension.vocabulary, values, question.asked.lang)
            labels[name] = dict(terms)
    return labels
