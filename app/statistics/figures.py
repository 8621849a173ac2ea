"""Published figures beside what the service itself counts: computed, coverage, contradictions, the question."""

import asyncio
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from app.core.access import Caller
from app.core.edtf import bounds
from app.core.errors import Invalid
from app.figures.queries import BESIDE
from app.statistics.answers import answer
from app.statistics.measures import MEASURES
from app.statistics.questions import ASKED, Question

Json = dict[str, Any]

AT_ONCE = 2
"""Questions of one request that PostgreSQL is asked at once; the rest of the pool is left to others."""

REFERENCES = {
    "person": "persons",
    "judge": "persons",
    "organisation": "organisations",
    "facility": "organisations",
    "court": "organisations",
    "declared_by": "organisations",
    "case": "cases",
    "place": "places",
    "region": "places",
    "source": "sources",
}
"""Filters that refer to records; a figure may name these as its own origin does."""


async def _ids(figures: list[Json], caller: Caller) -> dict[tuple[str, str, str], str]:
    """Find the records that figures refer to by their origin's ids: (table, origin, origin id) → id."""
    asked = [
        {"tab": REFERENCES[name], "origin": f["origin"], "origin_id": value}
        for f in figures
        for name, values in f["filters"].items()
        if name in REFERENCES
        for value in (values if isinstance(values, list) else [values])
    ]
    if not asked:
        return {}
    found: dict[tuple[str, str, str], str] = {}
    for table in sorted({a["tab"] for a in asked}):
        sql = (
            f"SELECT t.origin, t.origin_id, t.id::text FROM {table} t JOIN jsonb_to_recordset($1::jsonb) "  # noqa: S608 -- our own names
            "AS r(origin text, origin_id text) ON t.origin = r.origin AND t.origin_id = r.origin_id"
        )
        some = json.dumps([a for a in asked if a["tab"] == table])
        for origin, origin_id, record in await caller.database.fetch(caller.audience, sql, some):
            found[table, origin, origin_id] = record
    return found


def parameters(figure: Json, ids: dict[tuple[str, str, str], str]) -> list[tuple[str, str]] | None:
    """Return the parameters of the question that a figure answers; None where no measure counts such a thing."""
    measure = MEASURES.get(figure["measure"])
    if measure is None:
        return None
    pairs = []
    for name, values in sorted(figure["filters"].items()):
        for value in values if isinstance(values, list) else [values]:
            known = ids.get((REFERENCES.get(name, ""), figure["origin"], str(value)))
            pairs.append((name, known or str(value)))
    if measure.kind == "stock":
        if figure["at"] is None:
            return None  # a stock of no day is a statement that cannot be asked
        last = bounds(figure["at"]).latest
        return [*pairs, ("at", str(last))]
    if figure["at"] is not None:
        return None
    return pairs + [(n, str(bounds(figure[n]).earliest)) for n in ("from", "to") if figure[n] is not None]


def asked(measure: str, pairs: list[tuple[str, str]]) -> Question:
    """Return the question; raises pydantic's error or `Invalid` for filters that the measure does not have."""
    kind = ASKED[measure]
    fields = {i.alias or n: i for n, i in kind.model_fields.items()}
    given: Json = {}
    for name, value in pairs:
        several = name in fields and str(fields[name].annotation).startswith("list")
        if several:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return Question(MEASURES[measure], kind.model_validate(given))


def _same(figure: Json) -> str:
    """Return what two figures that contradict each other have in common: measure, filters and period."""
    when = [str(bounds(d).earliest) if d else None for d in (figure["from"], figure["to"])]
    at = str(bounds(figure["at"]).latest) if figure["at"] else None
    filters = {k: sorted(v) if isinstance(v, list) else [v] for k, v in figure["filters"].items()}
    return json.dumps([figure["measure"], filters, when, at, figure["unit"]], sort_keys=True)


OTHERS = """
SELECT id::text, value::text, measure, filters::text, at, start, "end", unit FROM figures WHERE measure = ANY ($1)
"""


async def beside(figures: list[Json], caller: Caller) -> None:
    """Put `computed`, `coverage`, `contradicts` and `statistics` beside each of these figures."""
    ids = await _ids(figures, caller)
    rows = await caller.database.fetch(caller.audience, OTHERS, sorted({f["measure"] for f in figures}))
    others: dict[str, list[tuple[str, Decimal]]] = {}
    for record, value, measure, filters, at, start, end, unit in rows:
        other = {"measure": measure, "filters": json.loads(filters), "at": at, "from": start, "to": end, "unit": unit}
        others.setdefault(_same(other), []).append((record, Decimal(value)))
    questions: dict[str, Question] = {}
    for figure in figures:
        value = Decimal(str(figure["value"]))
        same = others.get(_same(figure), [])
        figure |= {"computed": None, "coverage": None, "statistics": None}
        figure["contradicts"] = sorted(i for i, v in same if i != figure["id"] and v != value)
        pairs = parameters(figure, ids)
        if pairs is None:
            continue
        try:
            question = asked(figure["measure"], pairs)
        except (ValidationError, Invalid):
            continue
        figure["statistics"] = f"/v1/statistics/{figure['measure']}" + (f"?{urlencode(pairs)}" if pairs else "")
        questions[figure["statistics"]] = question
    found = await _answers(questions, caller)
    for figure in figures:
        computed = found.get(figure["statistics"])
        if computed is not None:
            value = Decimal(str(figure["value"]))
            figure |= {"computed": computed, "coverage": round(computed / float(value), 4) if value else None}


async def _answers(questions: dict[str, Question], caller: Caller) -> dict[str, Any]:
    """Return what is counted for each question, some at once, and for figures of one question once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(question: Question) -> Any:
        async with gate:
            total = (await answer(question, caller))["total"]
        return total and total["value"]

    tasks = [asyncio.create_task(one(q)) for q in questions.values()]
    try:
        return dict(zip(questions, await asyncio.gather(*tasks), strict=True))
    finally:
        for task in tasks:  # of which some still wait where another failed
            task.cancel()


BESIDE["computed"] = beside
