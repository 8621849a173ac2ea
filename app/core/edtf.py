"""Dates as EDTF text (ISO 8601-2, levels 0 and 1) and the calendar days between which they lie.

Rules follow the Library of Congress specification of EDTF, with these choices of our own:

- An unknown end (``2024-01/``) and an open end (``2024-01/..``) both give no bound; nothing is guessed.
- A date-time counts on the day that is printed, whatever its offset from UTC.
- Seasons are those of the northern hemisphere, by whole months: spring (21) March to May, summer (22) June to August,
  autumn (23) September to November, winter (24) December of the named year to February of the next.
- The ends of an interval may have unspecified digits (``2024-06-XX/2024-07-03``), which the specification puts in
  level 2: reports say "from some day in June".
- An interval is refused only where its end is surely before its start, so ``2024-01-08/2024-01`` stands.
- Texts that say nothing (``../..``, ``/``, ``../``) are refused, as are centuries written with two digits.
"""

import datetime as dt
import functools
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from app.core.text import Line

MAX_LENGTH = 64
PRINTED_LENGTH = 200
EXAMPLES = [
    "2023",
    "2023-08",
    "2024-01-08",
    "2024-01-08/2024-01-09",
    "2024?",
    "2024-01-XX",
    "2023-02-15/..",
    "/2024-01",
]

_FORMS = (
    "a date is EDTF level 0 or 1: a year 2023, month 2023-08, day 2024-01-08 or time 2024-04-26T09:58:01+03:00; "
    "uncertain 2024?, approximate 2024~ or both 2024%; unspecified digits 2024-01-XX, 2024-XX-XX, 201X; "
    "a season 2023-21 to 2023-24; an interval 2024-01-08/2024-01-09, open 2023-02-15/.. or ../2024, "
    "with an unknown start /2024-01 or an unknown end 2024-01/"
)

_DATE = re.compile(
    r"(?:(?P<year>-?[0-9]{4})(?:-(?P<month>[0-9]{2}|XX)(?:-(?P<day>[0-9]{2}|XX))?)?"
    r"|(?P<masked>-?(?:[0-9]{3}X|[0-9]{2}XX|[0-9]XXX))"
    r"|XXXX(?:-XX(?:-XX)?)?)[?~%]?",
)
_TIME = (
    r"T(?:(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?|24:00(?::00(?:\.0{1,9})?)?)"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::[0-5][0-9])?)?"
)
_DATE_TIME = re.compile(rf"(-?[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_TIME}")
_LONG_YEAR = r"Y-?[1-9][0-9]{4,61}"
_LONG_YEAR_ALONE = re.compile(_LONG_YEAR)

# The schema's pattern is wider than what is accepted: it knows neither the calendar nor the order of an interval.
_MONTH = "(?:0[1-9]|1[0-2])"
_DAY = "(?:0[1-9]|[12][0-9]|3[01])"
_SCHEMA_DATE = (
    rf"(?:-?[0-9]{{4}}(?:-(?:2[1-4]|XX(?:-XX)?|{_MONTH}(?:-(?:{_DAY}|XX))?))?"
    r"|-?(?:[0-9]{3}X|[0-9]{2}XX|[0-9]XXX)|XXXX(?:-XX(?:-XX)?)?)[?~%]?"
)
PATTERN = (
    rf"^(?:{_SCHEMA_DATE}(?:/(?:\.\.|{_SCHEMA_DATE})?)?|(?:\.\.)?/{_SCHEMA_DATE}"
    rf"|-?[0-9]{{4}}-{_MONTH}-{_DAY}{_TIME}|{_LONG_YEAR})$"
)

_Day = tuple[int, int, int]  # year (astronomical: 0 is 1 BCE), month, day; unlike a calendar date it has no first year
_FEBRUARY, _DECEMBER = 2, 12
_SPRING, _WINTER = 21, 24
_DAYS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and last calendar day on which a date can lie; None where open, unknown or outside years 1 to 9999."""

    earliest: dt.date | None
    latest: dt.date | None


@functools.lru_cache(maxsize=65_536)
def bounds(text: str) -> Bounds:
    """Return the bounds of an EDTF text of level 0 or 1 (at most 64 characters).

    Raises ValueError, whose message names the accepted forms and never repeats the text.
    """
    if len(text) > MAX_LENGTH:
        raise _refusal(f"longer than {MAX_LENGTH} characters")
    start_text, slash, end_text = text.partition("/")
    if not slash:
        span = _single(text)
        return Bounds(None, None) if span is None else Bounds(_calendar(span[0]), _calendar(span[1]))
    start = None if start_text in {"", ".."} else _span(start_text)
    end = None if end_text in {"", ".."} else _span(end_text)
    if start is None and end is None:
        raise _refusal("the interval has neither a start nor an end")
    if start is not None and end is not None and end[1] < start[0]:
        raise _refusal("the interval ends before it starts")
    return Bounds(None if start is None else _calendar(start[0]), None if end is None else _calendar(end[1]))


def _refusal(reason: str) -> ValueError:
    return ValueError(f"{reason}; {_FORMS}")


def _single(text: str) -> tuple[_Day, _Day] | None:
    """Return the first and last day of a text that is not an interval, None where its year is unknown or too long."""
    if "T" in text:
        match = _DATE_TIME.fullmatch(text)
        if match is None:
            raise _refusal("not a date and time")
        return _span(match[1])
    if text.startswith("Y"):
        if _LONG_YEAR_ALONE.fullmatch(text) is None:
            raise _refusal("not a long year")
        return None
    return _span(text)


def _span(text: str) -> tuple[_Day, _Day] | None:
    """Return the first and last day of a date, None where nothing of its year is known."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise _refusal("not a date")
    year, month, day, masked = match.groups()
    if masked is not None:
        first, last = sorted((int(masked.replace("X", "0")), int(masked.replace("X", "9"))))
        return (first, 1, 1), (last, 12, 31)
    if year is None:
        return None
    if year == "-0000":
        raise _refusal("there is no year minus zero")
    return _within_year(int(year), month, day)


def _within_year(year: int, month_text: str | None, day_text: str | None) -> tuple[_Day, _Day]:
    if month_text is None or month_text == "XX":
        if day_text not in {None, "XX"}:
            raise _refusal("a day needs its month")
        return (year, 1, 1), (year, 12, 31)
    month = int(month_text)
    if _SPRING <= month <= _WINTER and day_text is None:
        first_month = 3 * (month - _SPRING + 1)
        last_year, last_month = (year + 1, 2) if month == _WINTER else (year, first_month + 2)
        return (year, first_month, 1), (last_year, last_month, _last_day(last_year, last_month))
    if not 1 <= month <= _DECEMBER:
        raise _refusal("no such month or season")
    last = _last_day(year, month)
    if day_text is None or day_text == "XX":
        return (year, month, 1), (year, month, last)
    day = int(day_text)
    if not 1 <= day <= last:
        raise _refusal("no such day in that month")
    return (year, month, day), (year, month, day)


def _last_day(year: int, month: int) -> int:
    if month == _FEBRUARY and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _DAYS[month]


def _calendar(day: _Day) -> dt.date | None:
    return dt.date(*day) if dt.MINYEAR <= day[0] <= dt.MAXYEAR else None


def _accepted(text: str) -> str:
    try:
        bounds(text)
    except ValueError as error:
        raise PydanticCustomError("edtf", "{reason}", {"reason": str(error)}) from None
    return text


_EDTF_SCHEMA: dict[str, Any] = {"pattern": PATTERN, "format": "edtf", "examples": EXAMPLES}

Edtf = Annotated[
    str,
    StringConstraints(min_length=4, max_length=MAX_LENGTH),
    AfterValidator(_accepted),
    Field(json_schema_extra=_EDTF_SCHEMA),
]
"""EDTF text of level 0 or 1, kept as given."""


def _short(value: str) -> str:
    if len(value) > PRINTED_LENGTH:
        raise PydanticCustomError("text_long", "longer than {limit} characters", {"limit": PRINTED_LENGTH})
    return value


_Printed = Annotated[Line, AfterValidator(_short), Field(json_schema_extra={"maxLength": PRINTED_LENGTH})]
_StatedDay = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class DateIn(BaseModel):
    """A date as given: EDTF text alone, or EDTF text with the words of the source."""

    model_config = ConfigDict(extra="forbid")

    edtf: Edtf = Field(description="EDTF (ISO 8601-2) level 0 or 1.")
    printed: _Printed | None = Field(
        default=None,
        description="The date in the words of the source.",
        examples=["night of 8-9 January"],
    )
    inferred: StrictBool = Field(default=False, description="Whether the date was concluded rather than stated.")
    # An answered date may be sent back as it came; its bounds are computed anew, so these two are not kept.
    stated_earliest: _StatedDay | None = Field(
        default=None,
        alias="earliest",
        exclude=True,
        description="Ignored: computed from `edtf`.",
    )
    stated_latest: _StatedDay | None = Field(
        default=None,
        alias="latest",
        exclude=True,
        description="Ignored: computed from `edtf`.",
    )

    @property
    def earliest(self) -> dt.date | None:
        """The first day on which the date can lie, None where there is no bound."""
        return bounds(self.edtf).earliest

    @property
    def latest(self) -> dt.date | None:
        """The last day on which the date can lie, None where there is no bound."""
        return bounds(self.edtf).latest

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"edtf": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe both accepted shapes, the plain text and the object."""
        schema = handler(core_schema)
        if handler.mode == "serialization":
            return schema
        as_object = handler.resolve_ref_schema(schema)
        text = {"type": "string", "minLength": 4, "maxLength": MAX_LENGTH, **_EDTF_SCHEMA, "title": "EDTF"}
        return {
            "title": as_object.pop("title"),
            "description": as_object.pop("description"),
            "anyOf": [text, as_object],
        }


class EdtfDate(BaseModel):
    """A date as answered, with the days between which it lies."""

    edtf: str = Field(description="EDTF (ISO 8601-2) level 0 or 1, as given.", examples=["2024-01-08/2024-01-09"])
    earliest: dt.date | None = Field(description="First day on which it can lie; null where there is no bound.")
    latest: dt.date | None = Field(description="Last day on which it can lie; null where there is no bound.")
    printed: str | None = Field(
        default=None,
        description="The date in the words of the source.",
        examples=["night of 8-9 January"],
    )
    inferred: bool = Field(default=False, description="Whether the date was concluded rather than stated.")
