"""Formats: one answer as JSON, CSV, JSON-stat, a Vega-Lite specification or a picture."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from app.core.access import Caller
from app.core.http import accepted, conditional, etag_of
from app.statistics import charts
from app.statistics.answers import answer
from app.statistics.dimensions import TIMES, TITLES
from app.statistics.measures import MEASURES
from app.statistics.questions import Asked, Question

Answer = dict[str, Any]


class Counted(BaseModel):
    """What was counted; amounts and days may have decimals."""

    model_config = ConfigDict(extra="forbid")

    value: float = Field(description="Records whose earliest bound of the date lies in the period.")
    min: float = Field(description="Those surely inside.")
    max: float = Field(description="Those possibly inside.")
    named: float | None = Field(default=None, description="Distinct named people; measures of people only.")
    unnamed: float | None = Field(default=None, description="People nobody named; measures of people only.")
    unknown: float | None = Field(default=None, description="How many are of unknown size; sums only.")


class Cell(Counted):
    """A row: what was counted, beside one value for each dimension."""

    model_config = ConfigDict(extra="allow")

    list: str | None = Field(
        description="URL of exactly the counted records; null with known_at, as lists are of today."
    )


class StatisticsRead(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")

    measure: str = Field(description="What was counted.")
    unit: str | None = Field(description="In which unit; null where rows have units of their own.")
    kind: str = Field(description="flow or stock.")
    at: str | None = Field(default=None, description="Day of a stock.")
    start: str | None = Field(default=None, alias="from", description="First day.")
    end: str | None = Field(default=None, alias="to", description="Day after the last.")
    grain: str | None = Field(default=None, description="Period of a stock series.")
    by: list[str] = Field(description="Dimensions, in order.")
    rows: list[Cell] = Field(description="The cells.")
    total: Counted | None = Field(description="Counted by itself, never summed; null where there is none.")
    additive: bool = Field(description="Whether the rows add up to the total.")
    undated: float | None = Field(description="How much has no date at all, and is in no cell.")
    qualifier: str = Field(description="at_least: what monitors count is a lower bound.")
    known_at: str = Field(description="Day (UTC) on which the registry knew this.")
    definition_version: int = Field(description="Raised whenever the same records would be counted otherwise.")
    labels: dict[str, dict[str, str]] = Field(description="Dimension → value → what it is called.")


# --- the formats ----------------------------------------------------------------------------------------


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_csv(found: Answer, lang: str) -> bytes:
    """Write the rows, or the total of an answer without any dimension, as tidy CSV (RFC 4180), labels beside codes."""
    plain = [d for d in found["by"] if d in TIMES or not found["labels"].get(d)]
    counts = [n for n in ("value", "min", "max", "named", "unnamed", "unknown") if n in _sample(found)]
    columns = []
    for d in found["by"]:
        columns += [d] if d in plain else [d, f"{d}_label"]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*columns, *counts, *(["list"] if found["by"] else [])])
    for row in found["rows"] if found["by"] else [found["total"]]:
        cells = []
        for d in found["by"]:
            cells.append(guarded(row[d]))
            if d not in plain:
                cells.append(guarded(charts.label_of(found, d, row[d], lang)))
        writer.writerow([*cells, *(row[n] for n in counts), *([row["list"]] if found["by"] else [])])
    return out.getvalue().encode()


def _sample(found: Answer) -> dict[str, Any]:
    if found["rows"]:
        return dict(found["rows"][0])
    return dict(found["total"] or {"value": 0, "min": 0, "max": 0})


def as_json_stat(found: Answer, lang: str, names: dict[str, str]) -> bytes:
    """Write a JSON-stat 2.0 dataset: the dimensions, then which count (value, min, max); absent cells are null."""
    counts = [n for n in ("value", "min", "max", "named", "unnamed", "unknown") if n in _sample(found)]
    ids = [*found["by"], "count"]
    categories = {d: sorted({row[d] for row in found["rows"]}) for d in found["by"]} | {"count": counts}
    size = [len(categories[d]) for d in ids]
    places = {d: {v: n for n, v in enumerate(categories[d])} for d in ids}
    values: list[Any] = [None] * _product(size)
    rows = found["rows"] if found["by"] else [found["total"]]
    for row in rows:
        at = 0
        for d, n in zip(found["by"], size, strict=False):
            at = at * n + places[d][row[d]]
        for k, name in enumerate(counts):
            values[at * len(counts) + k] = row[name]
    dimension = {
        d: {
            "label": TITLES.get(d, {}).get(lang, d),
            "category": {
                "index": places[d],
                "label": {v: charts.label_of(found, d, v, lang) for v in categories[d]},
            },
        }
        for d in ids
    }
    role = {"metric": ["count"]} | ({"time": [d for d in found["by"] if d in TIMES]} if found["by"] else {})
    body = {
        "version": "2.0",
        "class": "dataset",
        "label": charts.title_of(found, names, lang),
        "source": "Chronika",
        "updated": found["known_at"],
        "id": ids,
        "size": size,
        "role": {k: v for k, v in role.items() if v},
        "dimension": dimension,
        "value": values,
        "extension": {k: v for k, v in found.items() if k not in {"rows", "labels"}},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def _product(numbers: list[int]) -> int:
    result = 1
    for n in numbers:
        result *= n
    return result


def _json(found: Answer, _lang: str, _names: dict[str, str]) -> bytes:
    return json.dumps(found, ensure_ascii=False).encode()


def _vega_lite(found: Answer, lang: str, names: dict[str, str]) -> bytes:
    return json.dumps(charts.vega_lite(found, names, lang), ensure_ascii=False).encode()


FORMATS: dict[str, tuple[str, Callable[[Answer, str, dict[str, str]], bytes]]] = {
    "json": ("application/json", _json),
    "csv": ("text/csv; charset=utf-8", lambda found, lang, _names: as_csv(found, lang)),
    "json-stat": ("application/json", as_json_stat),
    "vega-lite": ("application/vnd.vegalite.v6+json", _vega_lite),
    "svg": ("image/svg+xml", lambda found, lang, names: charts.svg(found, names, lang)),
}
"""Format → its media type, and how it is written."""

ACCEPTED = {"text/csv": "csv", "image/svg+xml": "svg", "application/vnd.vegalite.v6+json": "vega-lite"}


async def answer_as(measure: str, asked: Asked, caller: Caller) -> Response:
    """Answer a question in the format asked for."""
    question = Question(MEASURES[measure], asked)
    found: Answer = await answer(question, caller)
    name = asked.format or accepted(caller.request, ACCEPTED) or "json"
    kind, write = FORMATS[name]
    names: dict[str, str] = {}
    if name in {"json-stat", "vega-lite", "svg"}:
        sql = "SELECT label::text FROM vocabulary_terms WHERE vocabulary = 'measure' AND code = $1"
        row = await caller.database.row(caller.audience, sql, measure)
        names = json.loads(row[0]) if row else {}
    body = write(found, asked.lang, names)
    return conditional(caller.request, body, etag_of(body), [("Content-Type", kind), ("Content-Language", asked.lang)])
