"""EDTF dates: what is accepted, what is refused, and the days between which each date lies."""

import csv
import datetime as dt
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from app.core import edtf
from app.core.edtf import Bounds, DateIn, EdtfDate, bounds

ACCEPTED = [
    ("2023", "2023-01-01", "2023-12-31"),
    ("2023-08", "2023-08-01", "2023-08-31"),
    ("2023-02", "2023-02-01", "2023-02-28"),
    ("2024-02", "2024-02-01", "2024-02-29"),
    ("1900-02", "1900-02-01", "1900-02-28"),
    ("2000-02", "2000-02-01", "2000-02-29"),
    ("2024-01-08", "2024-01-08", "2024-01-08"),
    ("2024-02-29", "2024-02-29", "2024-02-29"),
    ("0001", "0001-01-01", "0001-12-31"),
    ("9999-12-31", "9999-12-31", "9999-12-31"),
    ("2024-04-26T09:58:01+03:00", "2024-04-26", "2024-04-26"),
    ("2024-04-26T00:30:00+14:00", "2024-04-26", "2024-04-26"),
    ("2024-04-26T23:58Z", "2024-04-26", "2024-04-26"),
    ("2024-04-26T09:58:01.123-05", "2024-04-26", "2024-04-26"),
    ("2024-04-26T09:58:01", "2024-04-26", "2024-04-26"),
    ("2024-04-26T24:00:00", "2024-04-26", "2024-04-26"),
    ("2024?", "2024-01-01", "2024-12-31"),
    ("2024~", "2024-01-01", "2024-12-31"),
    ("2024-06%", "2024-06-01", "2024-06-30"),
    ("2024-06-11?", "2024-06-11", "2024-06-11"),
    ("2024-01-XX", "2024-01-01", "2024-01-31"),
    ("2024-02-XX?", "2024-02-01", "2024-02-29"),
    ("2024-XX", "2024-01-01", "2024-12-31"),
    ("2024-XX-XX", "2024-01-01", "2024-12-31"),
    ("201X", "2010-01-01", "2019-12-31"),
    ("20XX~", "2000-01-01", "2099-12-31"),
    ("1XXX", "1000-01-01", "1999-12-31"),
    ("000X", None, "0009-12-31"),
    ("XXXX", None, None),
    ("XXXX-XX", None, None),
    ("XXXX-XX-XX", None, None),
    ("2024-01-08/2024-01-09", "2024-01-08", "2024-01-09"),
    ("2024-01-25/2024-01-31", "2024-01-25", "2024-01-31"),
    ("2021-03-14/2022-02", "2021-03-14", "2022-02-28"),
    ("2020-08-09?/2021-05-23~", "2020-08-09", "2021-05-23"),
    ("2024-06-XX/2024-07-03", "2024-06-01", "2024-07-03"),
    ("1994/201X", "1994-01-01", "2019-12-31"),
    ("2024-01-08/2024-01", "2024-01-08", "2024-01-31"),
    ("2024-01-08/2024-01-08", "2024-01-08", "2024-01-08"),
    ("2023-02-15/..", "2023-02-15", None),
    ("../2024", None, "2024-12-31"),
    ("/2024-01", None, "2024-01-31"),
    ("2024-01/", "2024-01-01", None),
    ("2024-01/XXXX", "2024-01-01", None),
    ("2020-21", "2020-03-01", "2020-05-31"),
    ("2020-22", "2020-06-01", "2020-08-31"),
    ("2020-23", "2020-09-01", "2020-11-30"),
    ("2020-24", "2020-12-01", "2021-02-28"),
    ("2023-24", "2023-12-01", "2024-02-29"),
    ("9999-24", "9999-12-01", None),
    ("2020-22~/2020-23", "2020-06-01", "2020-11-30"),
    ("0000", None, None),
    ("-0044", None, None),
    ("-0044-03-15", None, None),
    ("-03XX", None, None),
    ("-0044/0014", None, "0014-12-31"),
    ("-0300/-0299-02", None, None),
    ("Y43210", None, None),
    ("Y-43210", None, None),
]

REFUSED = [
    "", " ", "2", "20", "202", "20230", "2023-", "2023-1", "2023-00", "2023-13", "2023-20", "2023-25",
    "2023-02-30", "2023-02-29", "1900-02-29", "2024-04-31", "2024-01-00", "2024-01-32", "2024-01-8", "20240108",
    "2024-W01", "2024-008", "2024-21-01", "2024-21-XX", "2024-XX-01", "201X-01", "XXXX-01", "XXXX-12-25",
    "2X24", "X024", "2024-0X", "2024-01-0X", "?2024", "2024??", "2024?-01", "2024-~01", "2024 ?", "2024-01-08 ",
    " 2024", "2024\n", "2024-01-08\n", "2024\x00", "../..", "/", "..", "../", "/..", "//", "XXXX/..",
    "XXXX/XXXX", "2024/2025/2026", "2024-01-08/..?", "2024-01-08--2025", "2024/2023", "2024-02/2024-01",
    "2024-01-09/2024-01-08", "2022-24/2022-21", "2022-23/2022-22", "0700/-0800", "-0600/-0700", "0002/0000",
    "2024-01-08T09:58/2024-01-09", "2024-01-08T25:00", "2024-01-08T24:01", "2024-01-08T09:60",
    "2024-01-08T09:58:60", "2024-01-08t09:58", "2024-01-08T09:58z", "2024-01-08 09:58", "2024-01-08T9:58",
    "2024-01T09:58", "2024-02-30T09:58", "2024-01-08T09:58+24:00", "2024-01-08T09:58+03:60",
    "2024-01-08T09:58?", "2024-01-08T", "Y2024", "Y3E6", "Y-3E6", "Y043210", "Y43210-01",
    "Y43210?", "Y43210/..", "-0000", "-0000-01-01", "+2024", "-XXXX", "2020S2", "[2020,2021]",
    "{2020,2021}", "[..2020]", "٢٠٢٣", "\uff12\uff10\uff12\uff13", "२०२३", "2024-01-xx", "2024-01-ХХ",
    "2024‐01", "\ud800", "Y" + "9" * 64, "2024" * 5000,
]  # fmt: skip

YEARS = st.integers(min_value=1, max_value=9998)
DAYS = st.dates()
QUALIFIERS = st.sampled_from(["", "?", "~", "%"])


class Holder(BaseModel):
    """A record with a date that may be absent."""

    born: DateIn | None = None


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)


def _data(folder: str, name: str) -> Path:
    """Return a file of the test data that is kept apart, whose folder is named by CHRONIKA_TEST_DATA."""
    root = os.environ.get("CHRONIKA_TEST_DATA")
    path = Path(root or ".") / folder / name
    if not root or not path.is_file():
        pytest.skip(f"set CHRONIKA_TEST_DATA to a folder that has {folder}/{name}")
    return path


def _refused(text: str) -> bool:
    try:
        bounds(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(("text", "earliest", "latest"), ACCEPTED)
def test_an_accepted_date_has_its_bounds(text: str, earliest: str | None, latest: str | None) -> None:
    assert bounds(text) == Bounds(_day(earliest), _day(latest))


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a date is EDTF level 0 or 1"):
        bounds(text)


@pytest.mark.parametrize("text", ["2023-02-30", "2024/2023", "7777777", "7777-99-99T99:99", "Y7"])
def test_a_refusal_names_the_accepted_forms_and_never_the_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"2024-01-08/2024-01-09.*\.\./2024") as caught:
        bounds(text)
    assert text not in str(caught.value)


@given(DAYS, QUALIFIERS)
def test_a_day_is_bounded_by_itself(day: dt.date, qualifier: str) -> None:
    assert bounds(day.isoformat() + qualifier) == Bounds(day, day)


@given(DAYS, st.times(), st.sampled_from(["", "Z", "+14:00", "-12:00", "+03"]))
def test_a_time_is_bounded_by_its_printed_day(day: dt.date, time: dt.time, offset: str) -> None:
    assert bounds(f"{day.isoformat()}T{time.isoformat()}{offset}") == Bounds(day, day)


@given(YEARS, st.integers(min_value=1, max_value=12))
def test_a_month_lies_within_its_year_and_touches_its_neighbour(year: int, month: int) -> None:
    of_year, of_month = bounds(f"{year:04}"), bounds(f"{year:04}-{month:02}")
    following = bounds(f"{year + month // 12:04}-{month % 12 + 1:02}")
    assert of_year == Bounds(dt.date(year, 1, 1), dt.date(year, 12, 31))
    assert of_month.earliest == dt.date(year, month, 1)
    assert following.earliest is not None
    assert of_month.latest == following.earliest - dt.timedelta(days=1)


@given(DAYS)
def test_unspecified_digits_only_widen_a_date(day: dt.date) -> None:
    year, month, number = day.isoformat().split("-")
    for text in (f"{year}-{month}-XX", f"{year}-XX-XX", f"{year[:3]}X", f"{year[:2]}XX", f"{year[0]}XXX", "XXXX"):
        wide = bounds(text)
        assert (wide.earliest or dt.date.min) <= day <= (wide.latest or dt.date.max)
    assert bounds(f"{year}-{month}-{number}").earliest == day


@given(YEARS)
def test_the_four_seasons_follow_one_another_without_a_gap(year: int) -> None:
    seasons = [bounds(f"{year:04}-{season}") for season in (21, 22, 23, 24)]
    for earlier, later in itertools.pairwise(seasons):
        assert earlier.latest is not None
        assert earlier.latest + dt.timedelta(days=1) == later.earliest
    assert seasons[0].earliest == dt.date(year, 3, 1)
    assert seasons[3].latest == (bounds(f"{year + 1:04}-02").latest)


@given(DAYS, DAYS)
def test_an_interval_of_days_is_bounded_by_its_ends_or_refused(start: dt.date, end: dt.date) -> None:
    text = f"{start.isoformat()}/{end.isoformat()}"
    if end < start:
        assert _refused(text)
    else:
        assert bounds(text) == Bounds(start, end)


@given(st.from_regex(re.compile(edtf.PATTERN, re.ASCII), fullmatch=True))
def test_what_the_schema_describes_is_refused_or_has_ordered_bounds(text: str) -> None:
    if _refused(text):
        return
    found = bounds(text)
    assert found.earliest is None or found.latest is None or found.earliest <= found.latest


@given(st.text(max_size=70) | st.text(alphabet="0123456789X-/.?~%TZY:+", max_size=70))
def test_any_text_is_either_accepted_or_refused_with_the_forms(text: str) -> None:
    try:
        bounds(text)
    except ValueError as error:
        assert "a date is EDTF level 0 or 1" in str(error)  # noqa: PT017 - most texts are refused, a few are not
    else:
        assert re.search(edtf.PATTERN, text)
        assert text.isascii()
        assert text.strip() == text


@pytest.mark.parametrize("text", [text for text, _, _ in ACCEPTED] + edtf.EXAMPLES)
def test_the_schema_admits_every_accepted_date(text: str) -> None:
    assert re.search(edtf.PATTERN, text)
    assert not _refused(text)


def test_a_date_is_given_as_text_or_as_an_object() -> None:
    assert DateIn.model_validate("2024-01-08") == DateIn.model_validate({"edtf": "2024-01-08"})
    night = DateIn.model_validate({"edtf": "2024-01-08/2024-01-09", "printed": " night of 8-9 January "})
    assert (night.printed, night.inferred) == ("night of 8-9 January", False)
    assert (night.earliest, night.latest) == (dt.date(2024, 1, 8), dt.date(2024, 1, 9))


def test_an_answered_date_can_be_sent_back_and_its_bounds_are_computed_anew() -> None:
    answered = EdtfDate(edtf="../2024", earliest=None, latest=dt.date(2024, 12, 31), printed="by 2024", inferred=True)
    given_back = DateIn.model_validate(answered.model_dump(mode="json"))
    assert given_back.model_dump() == {"edtf": "../2024", "printed": "by 2024", "inferred": True}
    stale = DateIn.model_validate({"edtf": "2023", "earliest": "1999-01-01", "latest": None})
    assert (stale.earliest, stale.latest) == (dt.date(2023, 1, 1), dt.date(2023, 12, 31))


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("2023-02-30", ("edtf",)),
        ("20\ud800", ("edtf",)),
        ({"edtf": "7" * 65}, ("edtf",)),
        ({"edtf": 2024}, ("edtf",)),
        ({"edtf": None}, ("edtf",)),
        ({}, ("edtf",)),
        (2024, ()),
        (["2024"], ()),
        (True, ()),
        ({"edtf": "2024", "note": "x"}, ("note",)),
        ({"edtf": "2024", "inferred": 1}, ("inferred",)),
        ({"edtf": "2024", "inferred": "yes"}, ("inferred",)),
        ({"edtf": "2024", "printed": "x" * 201}, ("printed",)),
        ({"edtf": "2024", "printed": "two\nlines"}, ("printed",)),
        ({"edtf": "2024", "printed": " "}, ("printed",)),
        ({"edtf": "2024", "earliest": 0}, ("earliest",)),
        ({"edtf": "2024", "latest": "tomorrow"}, ("latest",)),
    ],
)
def test_a_bad_date_is_refused_at_its_place(value: object, place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        DateIn.model_validate(value)
    assert [error["loc"] for error in caught.value.errors()] == [place]


def test_a_refused_date_in_a_record_is_not_repeated_by_its_message() -> None:
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"born": "7777-77"})
    (error,) = caught.value.errors()
    assert (error["loc"], error["type"]) == (("born", "edtf"), "edtf")
    assert "7777" not in error["msg"]


def test_the_schema_shows_text_and_object_and_lasts_in_a_record() -> None:
    shapes = Holder.model_json_schema()["$defs"]["DateIn"]["anyOf"]
    assert [shape["type"] for shape in shapes] == ["string", "object"]
    text, whole = shapes
    assert (text["maxLength"], text["pattern"], text["examples"]) == (64, edtf.PATTERN, edtf.EXAMPLES)
    assert set(whole["properties"]) == {"edtf", "printed", "inferred", "earliest", "latest"}
    assert whole["additionalProperties"] is False
    assert whole["properties"]["printed"]["anyOf"][0]["maxLength"] == 200


def test_every_field_of_an_answered_date_is_described() -> None:
    properties = EdtfDate.model_json_schema(mode="serialization")["properties"]
    assert list(properties) == ["edtf", "earliest", "latest", "printed", "inferred"]
    assert all(shape["description"] for shape in properties.values())


# Sets made by others, compared where they are at hand.


def _millis(text: str) -> dt.date | None:
    """Return the day of milliseconds since 1970, None where infinite, blank or outside the years 1 to 9999."""
    if text in {"", "Infinity", "-Infinity"}:
        return None
    try:
        return (dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(text))).date()  # noqa: DTZ001
    except OverflowError:
        return None


@pytest.mark.parametrize("name", ["level0.tsv", "level1.tsv"])
def test_published_vectors_agree_but_for_the_stated_differences(name: str) -> None:
    with _data("edtf-vectors", name).open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert rows
    differing = set()
    for row in rows:
        expected = Bounds(_millis(row["min"]), _millis(row["max"]))
        if _refused(row["input"]) or bounds(row["input"]) != expected:
            differing.add(row["input"])
    stated = re.compile(
        r"-?[0-9]{2}"  # centuries of two digits are not in the specification
        r"|.*T.*(?:24:00.*|[+-][0-9:]+)"  # a time counts on its printed day, not on the day in UTC
        r"|XXXX.*"  # an unknown year has no bound
        r"|[0-9]{4}-2[1-4]"  # seasons are those of the weather, not quarters of the year
        r"|\.\./\.\.",  # says nothing
    )
    assert [text for text in differing if not stated.fullmatch(text)] == []


def _literal(text: str) -> dt.date | None:
    return None if text in {"inf", "-inf"} or not re.fullmatch("(?!0000)[0-9]{4}-..-..", text) else _day(text)


def test_the_cases_of_another_parser_agree_but_for_the_stated_differences() -> None:
    cases: dict[str, list[Any]] = json.loads(_data("edtf-derived", "python-edtf-cases.json").read_text("utf-8"))
    level_2 = re.compile(r"[\[{SE,]|[?~%](?=[0-9-])|X-[0-9]|-(?:2[5-9]|3[0-9]|4[01])$")
    differing = set()
    for text, days in cases["EXAMPLES"]:
        if level_2.search(text):
            assert _refused(text), text
        elif bounds(text) != Bounds(_literal(days[0]), _literal(days[1] if len(days) in {2, 4} else days[0])):
            differing.add(text)
    # Four days are two strict and two looser ones, three are one strict and two looser.
    # That parser takes an unknown end for ten years, and a winter for its December.
    assert [text for text in differing if not re.fullmatch(r"/.+|.+/|[0-9]{4}-24", text)] == []
    assert all(text is None or _refused(text) for text in cases["BAD_EXAMPLES"])


def test_lists_of_valid_and_invalid_texts_agree_but_for_the_stated_differences() -> None:
    lists: dict[str, list[str]] = json.loads(_data("edtf-derived", "edtf-validate-lists.json").read_text("utf-8"))
    refused = {text for name in ("L0_Intervals", "L1_Intervals") for text in lists[name] if _refused(text)}
    assert [text for text in refused if re.search("[0-9]", text)] == []  # what is refused says nothing
    accepted = {text for name, texts in lists.items() if "invalid" in name for text in texts if not _refused(text)}
    # An end that may still lie on or after its start stands: it begins before the start, and holds it.
    for text in accepted:
        start, end = (bounds(side) for side in text.split("/"))
        assert (end.latest or dt.date.min) >= (start.earliest or dt.date.min)
    level_2 = {text for text in lists["L2_Intervals"] if not _refused(text)}
    assert all("X" in text and not re.search(r"[?~%]", text) for text in level_2)
