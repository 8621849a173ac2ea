"""Questions: the parameters of the statistics, and what makes no sense together."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.cases.parts import ChargeFilter, SentenceFilter
from app.cases.queries import CaseFilter
from app.core.errors import Invalid, invalid
from app.core.filters import Day
from app.core.text import Code, Unit
from app.events.queries import OF_PERSON, EventFilter
from app.statistics.dimensions import TIMES
from app.statistics.measures import Measure
from app.statistics.queries import EPOCH, Plan
from app.statuses.queries import StatusFilter

MOST_DIMENSIONS = 3

Format = Literal["json", "csv", "json-stat", "vega-lite", "svg"]
Language = Literal["en", "be", "ru"]
Grain = Literal["day", "week", "month", "quarter", "year"]


class Asked(BaseModel):
    """What every question takes besides the filters of its measure."""

    by: Annotated[
        list[Code],
        Field(max_length=MOST_DIMENSIONS, description="Dimensions, repeated, at most three; see the catalogue."),
    ] = []
    format: Annotated[
        Format | None, Field(description="json unless said; csv, json-stat (2.0), vega-lite, svg; or by Accept.")
    ] = None
    lang: Annotated[Language, Field(description="Language of the labels.")] = "en"
    known_at: Annotated[
        Day | None, Field(description="Answer as the registry knew at the end of that day (UTC); now unless said.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _only_parameters_there_are(cls, given: Any) -> Any:
        known = {alias for n, f in cls.model_fields.items() for alias in (n, f.alias or n)}
        wrong = []
        for name in given if isinstance(given, Mapping) else ():
            if name not in known:
                here = "no such parameter here: GET /v1/statistics names those of each measure"
                if name in {"at", "grain"}:
                    here = "a flow is counted over a period: give from and to, and by=month for each month of it"
                wrong.append(
                    InitErrorDetails(type=PydanticCustomError("unknown_parameter", here), loc=(name,), input=0)
                )
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return given


class EventsAsked(EventFilter, Asked):
    """A question about events, incidents, persons or list entries."""


class CasesAsked(CaseFilter, Asked):
    """A question about cases."""


class ChargesAsked(ChargeFilter, Asked):
    """A question about charges or the people charged."""


class SentencesAsked(SentenceFilter, Asked):
    """A question about sentences or the people convicted."""


class FinesAsked(SentencesAsked):
    """A question about fines."""

    unit: Annotated[
        Unit | None, Field(description="Sum the fines of this unit, as fined or as the source converts them.")
    ] = None  # type: ignore[assignment]  # one, where the list takes several
    currency: Annotated[
        Annotated[str, Field(pattern="^[A-Z]{3}$")] | None,
        Field(description="Convert all fines into this currency by the dated rates."),
    ] = None


class StatusesAsked(StatusFilter, Asked):
    """A question about a stock: on a day (`at`), or at the end of each period (`from`, `to`, `grain`)."""

    at: Annotated[Day | None, Field(description="The day.")] = None
    start: Annotated[Day | None, Field(alias="from", description="First day of a series.")] = None
    end: Annotated[Day | None, Field(alias="to", description="Day after the last of a series.")] = None
    grain: Annotated[Grain | None, Field(description="Period at the end of each of which a series is counted.")] = None


def refuse(pointer: str, code: str, detail: str) -> Invalid:
    """Return the problem that says what to do instead."""
    return invalid(pointer, code, detail)


class Question:
    """A question that makes sense: its measure, its plan, and the values of its parameters."""

    def __init__(self, measure: Measure, asked: Any) -> None:
        """Check the question; raises `Invalid`, which says what to do."""
        self.measure, self.asked = measure, asked
        self.start: date | None = getattr(asked, "start", None)
        self.end: date | None = getattr(asked, "end", None)
        self.at: date | None = getattr(asked, "at", None)
        self.grain: str | None = getattr(asked, "grain", None)
        _check_dates(asked)
        by = self._dimensions()
        _check_together(measure, asked, by)
        if measure.kind == "stock":
            self._check_stock(by)
            if self.grain:
                by = (*(d for d in by if d != self.grain), self.grain)
        if measure.name == "fines" and not (asked.unit or asked.currency) and "unit" not in by:
            by = (*by, "unit")
        self.by = by
        self.plan = Plan(
            measure.name,
            tuple(d for d in by if d not in TIMES) + tuple(d for d in by if d in TIMES),
            self._used(),
            starts=self.start is not None and measure.kind == "flow",
            ends=self.end is not None and measure.kind == "flow",
        )

    @property
    def last(self) -> date | None:
        """The last day of the period; None where it has no end."""
        return self.end - timedelta(days=1) if self.end is not None and self.end > date.min else None

    def _dimensions(self) -> tuple[str, ...]:
        by: tuple[str, ...] = tuple(self.asked.by)
        known = [*TIMES, *self.measure.dimensions]
        if unknown := [d for d in by if d not in known]:
            word = "these" if len(unknown) > 1 else "that"
            raise refuse("?by", "unknown_dimension", f"{self.measure.name} has not {word}; it has: {', '.join(known)}")
        if len(set(by)) < len(by):
            raise refuse("?by", "repeated_dimension", "each dimension may be given once")
        if sum(d in TIMES for d in by) > 1:
            raise refuse("?by", "two_times", f"give one of {', '.join(TIMES)}")
        return by

    def _check_stock(self, by: tuple[str, ...]) -> None:
        series = self.start is not None or self.end is not None or self.grain is not None
        if self.at is not None and series:
            raise refuse("?at", "day_and_period", "give either at=<day>, or from, to and grain; not both")
        if self.at is None and not series:
            raise refuse("?at", "no_day", "a stock is counted on a day: give at=<day>, or from, to and grain")
        if series and (self.start is None or self.end is None or self.grain is None):
            raise refuse(
                "?grain",
                "no_grain",
                "a stock over a period needs from, to and grain (day, week, month, quarter, year); "
                "it is counted at the end of each. For one day give at=<day>",
            )
        times = [d for d in by if d in TIMES]
        if times and times != [self.grain]:
            raise refuse(
                "?by", "stock_by_time", "a stock goes over time by from, to and grain, not by a dimension of time"
            )

    def _used(self) -> frozenset[str]:
        used = {n for n in self.asked.used() if n not in {"start", "end"} and not n.startswith("date_match=")}
        used.add("date_match=earliest")
        used |= {n for n in self.measure.also if getattr(self.asked, n, None)}
        return frozenset(used)

    def values(self) -> dict[str, Any]:
        """Return the values of all parameters of the statement; days as their number."""
        values: dict[str, Any] = self.asked.values()
        days = {"start": self.start, "first": self.start, "end": self.end, "last": self.last, "at": self.at}
        values |= {n: (d - EPOCH).days for n, d in days.items() if d is not None}
        return values | {n: getattr(self.asked, n, None) for n in self.measure.also}


def _check_dates(asked: Any) -> None:
    if "date_match" in asked.model_fields_set and asked.date_match != "earliest":
        detail = "statistics count a date by its earliest bound and answer min and max beside it; leave date_match out"
        raise refuse("?date_match", "fixed", detail)
    if getattr(asked, "on", None) is not None:
        raise refuse("?on", "use_at", "the day of a stock is given as at=<day>")
    start, end = getattr(asked, "start", None), getattr(asked, "end", None)
    if start is not None and end is not None and end <= start:
        raise refuse("?to", "empty_period", "the period [from, to) is empty: to must be later than from")


def _check_together(measure: Measure, asked: Any, by: tuple[str, ...]) -> None:
    if measure.list == "events" and measure.name in {"events", "incidents"} and "role" in by:
        people = [n for n in OF_PERSON if n in by or getattr(asked, n, None)]
        if people:
            detail = f"role cannot be grouped together with {', '.join(people)}: give role=<role> as a filter"
            raise refuse("?by", "role_of_people", detail)
    if measure.name == "fines" and asked.unit and asked.currency:
        raise refuse(
            "?unit", "unit_and_currency", "give unit to sum what is in it, or currency to convert all; not both"
        )
    if "sentence" in measure.fixed and asked.sentence and set(asked.sentence) != {measure.fixed["sentence"]}:
        raise refuse("?sentence", "fixed", f"{measure.name} is about {measure.fixed['sentence']} alone; ask sentences")
    if "outcome" in measure.fixed and asked.outcome and set(asked.outcome) != {"convicted"}:
        raise refuse("?outcome", "fixed", "persons_convicted is about the outcome convicted alone; ask sentences")


ASKED: dict[str, type[Asked]] = {
    **dict.fromkeys(("events", "incidents", "persons", "list_entries"), EventsAsked),
    "cases": CasesAsked,
    **dict.fromkeys(("charges", "persons_charged"), ChargesAsked),
    **dict.fromkeys(("persons_convicted", "sentences", "arrest_days", "imprisonment_days"), SentencesAsked),
    "fines": FinesAsked,
    **dict.fromkeys(("persons_in_status", "organisations_in_status"), StatusesAsked),
}
"""Measure → what a question about it takes."""
