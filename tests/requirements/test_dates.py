"""What the domain asks of dates: each is kept as precise, and as open, as its source, and is found by it.

- 01 partial dates are ranges with a precision        - 02 nights, weeks and other ranges
- 03 known since, apart from when                     - 04 intervals with one end or none
- 05 printed words, and what was inferred from them   - 06 a birth that is known from an age
- 07 when a number was known                          - 08 flows and stocks from the same records
"""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, found

pytestmark = pytest.mark.anyio

Book = dict[str, Record]


def bounds(date: Record) -> tuple[str, str | None, str | None]:
    return date["edtf"], date["earliest"], date["latest"]


async def test_r01_partial_dates(sample: Api, book: Book) -> None:
    expected = {
        "vitko-detention": ("2023-05", "2023-05-01", "2023-05-31"),
        "khrasko-verdict": ("2023-08", "2023-08-01", "2023-08-31"),
        "zuyeva-verdict": ("2023-10", "2023-10-01", "2023-10-31"),
        "autukhovich-parcels": ("2023", "2023-01-01", "2023-12-31"),
        "plane-2021": ("2021", "2021-01-01", "2021-12-31"),
        "decree-2023": ("2023", "2023-01-01", "2023-12-31"),
        "materials-size": ("2024-10/2024-12", "2024-10-01", "2024-12-31"),
        "campaign-2020": ("2020-21", "2020-03-01", "2020-05-31"),
    }
    assert {n: bounds(book[f"event/{n}"]["date"]) for n in expected} == expected
    assert book["event/materials-size"]["date"]["printed"] == "late 2024"
    # A month is found by any of its days, a year surely inside only by the whole of it.
    assert "vitko-detention" in await found(sample.public, "/v1/events?from=2023-05-20&to=2023-05-21")
    assert "vitko-detention" not in await found(sample.public, "/v1/events?from=2023-06-01&to=2023-07-01")
    year = "/v1/events?date_match=within&from=2023-01-01&to="
    assert "autukhovich-parcels" in await found(sample.public, year + "2024-01-01")
    assert "autukhovich-parcels" not in await found(sample.public, year + "2023-12-31")


async def test_r02_nights_and_ranges(sample: Api, book: Book) -> None:
    assert bounds(book["event/khrasko-death"]["date"]) == ("2024-01-08/2024-01-09", "2024-01-08", "2024-01-09")
    for day, after in (("2024-01-08", "2024-01-09"), ("2024-01-09", "2024-01-10")):
        night = await found(sample.public, f"/v1/events?type=death_in_custody&from={day}&to={after}")
        assert night == {"khrasko-death"}
    week = book["event/ineedhelp-week"]
    assert week["date"]["printed"] == "last week of January"
    other = [c["value"] for c in week["citations"] if c["value"]]
    assert other == [{"date": "2024-01-22/2024-01-28"}], "the other reading of the same words is kept beside it"
    assert bounds(book["event/youtube-block"]["date"])[1:] == ("2023-12-31", "2024-01-01")


async def test_r03_reported_date_apart_from_event_date(sample: Api, book: Book) -> None:
    transfer = book["event/zuyeva-transfer"]
    assert bounds(transfer["date"]) == ("/2024-01-08", None, "2024-01-08"), "not later than it was told"
    assert bounds(transfer["reported"])[0] == "2024-01-08"
    told = await found(sample.public, "/v1/events?reported_from=2024-01-01&reported_to=2024-01-09")
    assert told == {"zuyeva-transfer", "baj-domain", "youtube-block"}


async def test_r04_open_and_one_sided_intervals(sample: Api, book: Book) -> None:
    lasting = book["status/kalesnikava-incom"]
    assert (lasting["start"]["edtf"], lasting["end"]) == ("2023-02-15", None)
    held = "/v1/statuses?kind=incommunicado&on="
    assert "kalesnikava-incom" not in await found(sample.public, held + "2023-02-14")
    assert "kalesnikava-incom" in await found(sample.public, held + "2023-02-15")
    assert "kalesnikava-incom" in await found(sample.public, held + "2030-01-01")
    assert bounds(book["status/babaryka-incom"]["start"]) == ("/2024-01-31", None, "2024-01-31")
    assert bounds(book["status/rabkova-custody"]["start"]) == ("/2021-01-06", None, "2021-01-06")
    before_trial = book["status/dmukhouski-custody"]
    assert (before_trial["start"], before_trial["end"]["edtf"]) == (None, "2024-01-08")
    waiting = "/v1/statuses?kind=pre_trial_custody&on="
    assert "dmukhouski-custody" in await found(sample.public, waiting + "2024-01-08")
    assert "dmukhouski-custody" not in await found(sample.public, waiting + "2024-01-09")


async def test_r05_relative_and_inferred_dates(sample: Api, book: Book) -> None:
    label = book["event/ineedhelpby-label"]["date"]
    assert (label["edtf"], label["printed"], label["inferred"]) == ("2024-01-22", "the day before", True)
    verdict = book["case/mantsevich"]["decided"]
    assert (verdict["edtf"], verdict["printed"], verdict["inferred"]) == ("2023-11-03", "November 3", True)
    assert book["event/senate-hearing"]["date"]["inferred"] is False
    assert "mantsevich" in await found(sample.public, "/v1/cases?from=2023-11-03&to=2023-11-04")
    last_year = book["figure/2.03"]
    assert (last_year["printed"], last_year["from"], last_year["to"]) == ("1,721, last year", "2024", "2025")


async def test_r06_birth_derived_from_an_age(sample: Api, book: Book) -> None:
    """Age bands are a dimension of the statistics; here is what they are made of."""
    assert bounds(book["person/khrasko"]["born"])[1:] == ("1973-01-10", "1974-01-09")
    assert book["person/khrasko"]["born"]["printed"] == "aged 50 in January 2024"
    assert bounds(book["person/rabkova"]["born"])[0] == "1995-01-06"
    assert await found(sample.public, "/v1/persons?born_from=1955-01-01&born_to=1962-01-01") == {"vitko", "zuyeva"}
    assert await found(sample.public, "/v1/persons?born_from=1994-01-01") == {"rabkova"}
    assert "young_person" in book["figure/3.19"]["filters"]["group"], "printed without limits of age"


async def test_r07_when_a_number_was_known(sample: Api, book: Book) -> None:
    """Counts as known on an earlier day are asked of the statistics (`known_at`), from the recorded versions."""
    early, late = book["figure/3.05"], book["figure/1.04"]
    assert (early["value"], late["value"]) == (310, 406)
    assert [early[k] == late[k] for k in ("measure", "filters", "from", "to")] == [True] * 4
    when = {f["source"]["id"]: f["value"] for f in (early, late)}
    for source, value in when.items():
        published = (await sample.public.get(f"/v1/sources/{source}")).json()["published"]["earliest"]
        assert (published, value) in {("2024-02-06", 310), ("2024-04-26", 406)}
    assert "information came in" in book["figure/3.04"]["definition"], "counted by the day it was received"
    # Every record says when it was recorded, to those who may know it.
    mine = (await sample.editor.get(f"/v1/events/{book['event/kgb-raid']['id']}")).json()
    assert mine["created_at"]
    assert "created_at" not in book["event/kgb-raid"]


async def test_r08_flow_and_stock_from_the_same_records(sample: Api, book: Book) -> None:
    """Counting them is the statistics' part; here a flow is a period and a stock is a day."""
    assert (book["figure/1.02"]["from"], book["figure/1.02"]["to"], book["figure/1.02"]["at"]) == (
        "2024-01-01",
        "2024-04-01",
        None,
    )
    for name, day in (("3.01", "2024-01-31"), ("3.38", "2024-01-31"), ("4.11", "2025-01-24")):
        figure = book[f"figure/{name}"]
        assert (figure["at"], figure["from"], figure["to"]) == (day, None, None)
    flow = await found(sample.public, "/v1/events?type=detention&date_match=earliest&from=2024-01-23&to=2024-01-25")
    assert flow == {"zhamchuzhny-detention", "kgb-raid-detentions", "hardziyevich-detention"}
    stock = "/v1/persons?status=political_prisoner&on="
    before, after = await found(sample.public, stock + "2024-01-08"), await found(sample.public, stock + "2024-01-10")
    assert before - after == {"khrasko"}
    custody = "/v1/persons?on=2023-12-01&status=in_custody&status=pre_trial_custody"
    assert {"rabkova", "krasko", "dmukhouski"} <= await found(sample.public, custody)
