"""Formats: one answer as JSON, CSV, JSON-stat, a Vega-Lite specification or a picture."""

import json
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from app.core.access import Caller
from app.core.http import conditional, etag_of
from app.statistics.answers import answer
from app.statistics.measures import MEASURES
from app.statistics.questions import Asked, Question


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

    list: str = Field(description="URL of exactly the counted records.")


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


async def answer_as(measure: str, asked: Asked, caller: Caller) -> Response:
    """Answer a question in the format asked for."""
    question = Question(MEASURES[measure], asked)
    found: dict[str, Any] = await answer(question, caller)
    body = json.dumps(found, ensure_ascii=False).encode()
    return conditional(caller.request, body, etag_of(body))
