"""The rules of counting, one by one, each on a few records."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.main import create_app
from app.statistics.measures import MEASURES
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def ask(api: Api, measure: str, role: str = "public", **params: Any) -> dict[str, Any]:
    client = getattr(api, role)
    given = {n.rstrip("_"): v for n, v in params.items()}
    answer = await client.get(f"/v1/statistics/{measure}", params=given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(cell: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(cell[n] for n in (names or ("value", "min", "max")))


MARCH = {"from_": "1999-03-01", "to": "1999-04-01"}


async def test_a_date_counts_by_its_earliest_bound_and_min_and_max_stand_beside(api: Api) -> None:
    for date in ("1999", "1999-03", "1999-03-05", "1999-02-27/1999-03-02", "1999-04", None):
        await make(api.editor, "events", date=date)
    found = await ask(api, "events", **MARCH)
    assert numbers(found["total"]) == (2, 2, 4)
    assert found["undated"] == 1
    by_month = await ask(api, "events", by="month", **MARCH)
    assert [numbers(r, "month", "value", "min", "max") for r in by_month["rows"]] == [("1999-03", 2, 2, 4)]
    assert by_month["qualifier"] == "at_least"


async def test_a_period_open_at_one_side_has_a_cell_for_what_may_lie_at_its_other(api: Api) -> None:
    """Nobody knows when the first ended, which began before the period, nor when the second began."""
    await make(api.editor, "events", date="1999-01/")
    since = await ask(api, "events", by="month", from_="1999-03-10")
    assert [numbers(r, "month", "value", "min", "max") for r in since["rows"]] == [("1999-03", 0, 0, 1)]
    await make(api.editor, "events", date="/1999-06")
    before = await ask(api, "events", by="month", to="1999-03-10")
    assert ("1999-03", 0, 0, 2) in [numbers(r, "month", "value", "min", "max") for r in before["rows"]]
    assert numbers(before["total"]) == (1, 0, 2)


async def test_an_incident_counts_once_and_an_event_of_none_is_its_own(api: Api) -> None:
    incident = str(uuid4())
    for type_ in ("detention", "administrative_trial"):
        await make(api.editor, "events", type=type_, date="2024-01-05", incident=incident)
    await make(api.editor, "events", type="raid", date="2024-01-06")
    assert (await ask(api, "events"))["total"]["value"] == 3
    found = await ask(api, "incidents", by="type")
    assert found["total"]["value"] == 2
    assert [r["value"] for r in found["rows"]] == [1, 1, 1]
    assert found["additive"] is False


async def test_entries_on_a_list_are_those_of_listing_unless_a_type_is_asked_for(api: Api) -> None:
    vera = (await make(api.editor, "persons"))["id"]
    for type_ in ("listed_extremist_person", "raid"):
        who = [{"person": vera, "role": "listed"}]
        await make(api.editor, "events", type=type_, date="2024-01-05", participants=who)
    for asked, wanted in (({}, "listed_extremist_person"), ({"type": "raid"}, "raid")):
        (row,) = (await ask(api, "list_entries", by="month", **asked))["rows"]
        assert row["value"] == 1
        assert [e["type"] for e in (await api.public.get(row["list"])).json()["items"]] == [wanted]


async def test_what_several_records_are_about_counts_once_where_none_of_them_has_a_value(api: Api) -> None:
    vera, incident = (await make(api.editor, "persons"))["id"], str(uuid4())
    for day in ("2024-01-05", "2024-01-06"):
        who = [{"person": vera, "role": "victim"}]
        await make(api.editor, "events", date=day, incident=incident, participants=who)
        charges = [{"person": vera, "status": "charged", "date": day}]
        await make(api.editor, "cases", charges=charges, sentences=[{"person": vera, "outcome": "convicted"}])
    await make(api.editor, "events", date="2024-01-07")
    for measure, dimension, value in (
        ("persons", "statute", 1),
        ("incidents", "source", 2),
        ("events", "statute", 3),
        ("persons_charged", "judge", 1),
        ("charges", "judge", 2),
    ):
        for time in ([], ["month"], ["year"]):
            found = await ask(api, measure, by=[dimension, *time])
            rows = [numbers(r, dimension, "value", "max") for r in found["rows"]]
            assert rows == [("not_stated", value, value)], (measure, time)
            assert found["total"]["value"] == value


async def test_people_count_once_and_unnamed_groups_stand_apart(api: Api) -> None:
    vera = (await make(api.editor, "persons", sex="female"))["id"]
    whole = str(uuid4())
    for date, participants in (
        ("2024-01-03", [{"person": vera, "role": "victim"}, {"id": whole, "count": 200, "role": "victim"}]),
        ("2024-01-25", [{"person": vera, "role": "victim"}, {"count": 150, "role": "victim", "within": whole}]),
        ("2024-02-02", [{"count": 7, "role": "victim"}, {"person": vera, "role": "witness"}]),
    ):
        await make(api.editor, "events", date=date, participants=participants)
    found = await ask(api, "persons", by="month")
    names = ("value", "named", "unnamed")
    assert numbers(found["total"], *names) == (208, 1, 207)
    assert [numbers(r, *names) for r in found["rows"]] == [(201, 1, 200), (7, 0, 7)]
    # A part counts by itself where the whole is not among what is asked for.
    late = await ask(api, "persons", from_="2024-01-20", to="2024-02-01")
    assert numbers(late["total"], *names) == (151, 1, 150)
    by_sex = await ask(api, "persons", by="sex")
    assert {r["sex"]: r["value"] for r in by_sex["rows"]} == {"female": 1, "not_stated": 207}
    assert by_sex["additive"] is True


async def test_groups_in_a_circle_and_groups_of_one_unseen_whole_are_not_added(api: Api) -> None:
    a, b, unseen = (str(uuid4()) for _ in range(3))
    groups = [
        {"id": a, "count": 5, "role": "victim", "within": b},
        {"id": b, "count": 8, "role": "victim", "within": a},
        {"count": 3, "role": "victim", "within": unseen},
        {"count": 2, "role": "victim", "within": unseen},
    ]
    await make(api.editor, "events", date="2024-01-03", participants=groups)
    assert (await ask(api, "persons"))["total"]["unnamed"] == 8 + 3


async def test_a_total_is_counted_by_itself_where_rows_do_not_add_up(api: Api) -> None:
    statutes = [(await make(api.editor, "statutes", article="1", part=p))["id"] for p in ("1", "2")]
    await make(api.editor, "events", date="2024-01-03", statutes=statutes)
    found = await ask(api, "events", by="statute")
    assert [(r["statute"], r["value"]) for r in found["rows"]] == [("XX-CC-1-1", 1), ("XX-CC-1-2", 1)]
    assert (found["total"]["value"], found["additive"]) == (1, False)
    for by, value in (("article", "XX-CC-1"), ("code", "XX-CC")):
        assert [(r[by], r["value"]) for r in (await ask(api, "events", by=by))["rows"]] == [(value, 1)]


async def test_places_roll_up_to_their_region(api: Api) -> None:
    land = (await make(api.editor, "places", kind="country", code="XX"))["id"]
    region = (await make(api.editor, "places", kind="region", code="XX-A", parent=land))["id"]
    town = (await make(api.editor, "places", kind="town", parent=region))["id"]
    for place in (town, region, land, None):
        await make(api.editor, "events", date="2024-01-03", place=place)
    found = await ask(api, "events", by="region")
    assert {r["region"]: r["value"] for r in found["rows"]} == {"XX-A": 2, "not_stated": 2}
    assert found["labels"]["region"] == {"XX-A": "Sampletown"}


async def test_sums_say_how_many_are_of_unknown_length(api: Api) -> None:
    parts = [{"kind": "administrative_arrest", "days": 15}, {"kind": "administrative_arrest"}, {"kind": "fine"}]
    sentences = [
        {"outcome": "convicted", "components": parts},
        {"outcome": "convicted", "count": 3, "components": [{"kind": "administrative_arrest"}]},
        {"outcome": "unknown", "count": 226},
    ]
    await make(api.editor, "cases", kind="administrative", decided="2024-01-10", sentences=sentences)
    found = await ask(api, "arrest_days", by="month")
    assert numbers(found["rows"][0], "value", "unknown") == (15, 4)
    outcomes = await ask(api, "sentences", by="outcome")
    assert {r["outcome"]: r["value"] for r in outcomes["rows"]} == {"convicted": 6, "unknown": 226}


async def test_a_sentence_known_only_to_be_later_than_the_act_counts_from_the_act_on(api: Api) -> None:
    sentence = {"outcome": "convicted", "components": [{"kind": "imprisonment", "years": 2}]}
    await make(api.editor, "cases", decided="2020-11-15/..", sentences=[sentence])
    found = await ask(api, "sentences", by="year", from_="2020-01-01", to="2023-01-01")
    years = [(r["year"], *numbers(r)) for r in found["rows"]]
    assert years == [("2020", 1, 0, 1), ("2021", 0, 0, 1), ("2022", 0, 0, 1)]


def fine(amount: str, unit: str, **more: str) -> dict[str, Any]:
    return {"outcome": "convicted", "components": [{"kind": "fine", "amount": amount, "unit": unit, **more}]}


async def test_fines_are_summed_in_one_unit_split_or_converted_by_the_rate_of_their_day(api: Api) -> None:
    for decided, sentence in (
        ("2023-12-31", fine("10", "base_value")),
        ("2024-01-01", fine("10", "base_value", converted_amount="122.69", converted_unit="USD")),
        ("2024-02-01", fine("100", "BYN")),
        ("2024-02-01", fine("5", "EUR")),
        (None, fine("1", "base_value")),
    ):
        await make(api.editor, "cases", kind="administrative", decided=decided, sentences=[sentence])
    split = await ask(api, "fines")
    assert {r["unit"]: r["value"] for r in split["rows"]} == {"BYN": 100, "EUR": 5, "base_value": 20}
    assert split["total"] is None
    assert (await ask(api, "fines", unit="base_value"))["total"]["value"] == 20
    assert (await ask(api, "fines", unit="USD"))["total"]["value"] == 122.69
    # 37 roubles until the end of 2023, 40 after: the rate of the day of the decision.
    converted = (await ask(api, "fines", currency="BYN"))["total"]
    assert numbers(converted, "value", "unknown") == (10 * 37 + 10 * 40 + 100, 1)
    # The rate that a report printed holds from the day it gives.
    await make(api.editor, "cases", decided="2024-03-01", sentences=[fine("2", "base_value")])
    dollars = (await ask(api, "fines", currency="USD", from_="2024-03-01"))["total"]
    assert dollars["value"] == pytest.approx(2 * 12.269)


async def test_a_rate_of_another_law_is_not_used(api: Api) -> None:
    statute = (await make(api.editor, "statutes", jurisdiction="YY", article="5"))["id"]
    charge = {"statute": statute, "status": "convicted"}
    await make(api.editor, "cases", decided="2024-03-01", charges=[charge], sentences=[fine("2", "base_value")])
    assert numbers((await ask(api, "fines", currency="BYN"))["total"], "value", "unknown") == (0, 1)


async def test_a_stock_counts_people_once_on_a_day_and_at_the_end_of_each_period(api: Api) -> None:
    vera = (await make(api.editor, "persons", sex="female"))["id"]
    ivan = (await make(api.editor, "persons", sex="male"))["id"]
    for person, kind, start, end in (
        (vera, "in_custody", "2023-11-15", "2024-01-31"),
        (vera, "in_custody", "2024-01-20", "2024-02-10"),  # overlaps: still one person
        (ivan, "in_custody", "2024-01", None),
        (ivan, "wanted", None, "2023-12-05"),
    ):
        await make(api.editor, "statuses", person=person, kind=kind, start=start, end=end)
    day = await ask(api, "persons_in_status", at="2024-01-25", status="in_custody", by="sex")
    assert {r["sex"]: numbers(r) for r in day["rows"]} == {"female": (1, 1, 1), "male": (1, 0, 1)}
    assert numbers(day["total"]) == (2, 1, 2)
    series = await ask(
        api, "persons_in_status", status="in_custody", from_="2023-11-01", to="2024-03-01", grain="month"
    )
    assert [(r["month"], r["value"]) for r in series["rows"]] == [
        ("2023-11", 1),
        ("2023-12", 1),
        ("2024-01", 2),
        ("2024-02", 1),
    ]
    assert series["total"] is None


@pytest.mark.parametrize(
    ("path", "pointer", "says"),
    [
        ("events?by=colour", "?by", "it has: day, week, month"),
        ("events?by=day&by=month", "?by", "one of day"),
        ("events?by=type&by=type", "?by", "once"),
        ("events?by=type&by=sex&by=month&by=region", "?by", "3"),
        ("events?colour=red", "?colour", "GET /v1/statistics"),
        ("events?at=2024-01-01", "?at", "give from and to"),
        ("events?from=2024-02-01&to=2024-01-01", "?query", "empty"),
        ("events?date_match=within", "?date_match", "earliest bound"),
        ("events?by=role&by=sex", "?by", "give role="),
        ("persons_in_status", "?at", "give at=<day>, or from, to and grain"),
        ("persons_in_status?from=2024-01-01&to=2024-02-01", "?grain", "for one day give at"),
        ("persons_in_status?at=2024-01-01&from=2024-01-01", "?at", "not both"),
        ("persons_in_status?at=2024-01-01&by=month", "?by", "by from, to and grain"),
        ("persons_in_status?at=2024-01-01&on=2024-01-01", "?on", "at=<day>"),
        ("persons_in_status?from=2024-02-01&to=2024-01-01&grain=month", "?to", "empty"),
        ("fines?unit=USD&currency=BYN", "?unit", "not both"),
        ("arrest_days?sentence=fine", "?sentence", "ask sentences"),
        ("events?exact=sex", "?query", "exact names filters"),
        ("events?from=0001-01-01&to=2024-01-01&by=day", "?by", "fewer dimensions"),
        ("persons_in_status?from=0001-01-01&to=2024-01-01&grain=day", "?by", "fewer dimensions"),
    ],
)
async def test_a_question_that_makes_no_sense_is_told_what_to_do(api: Api, path: str, pointer: str, says: str) -> None:
    answer = await api.public.get(f"/v1/statistics/{path}")
    assert answer.status_code == 422, answer.text
    problem = answer.json()["errors"][0]
    assert says.lower() in problem["detail"].lower()
    assert problem["pointer"] in {pointer, "query:", "?"}


async def test_more_cells_than_the_cap_are_refused_and_fewer_answered(api: Api, owner: asyncpg.Connection) -> None:
    """101 kinds of events on 100 days: 10,100 cells, though no day has more than one kind."""
    await owner.execute(
        "INSERT INTO events (type, date, date_earliest, date_latest, level, publication_ground, origin, origin_id) "
        "SELECT 'kind_' || n, d::text, d, d, 0, 'public_record', 'test', n::text FROM generate_series(0, 100) n, "
        "LATERAL (SELECT '2024-01-01'::date + n % 100) AS x (d)"
    )
    for bounds in ({}, {"from": "2024-01-01", "to": "2024-04-10"}, {"from": "2024-01-01"}, {"to": "2024-04-10"}):
        answer = await api.public.get("/v1/statistics/events", params={"by": ["day", "type"], **bounds})
        assert answer.status_code == 422, bounds
        assert answer.json()["errors"][0]["code"] == "too_many_cells"
    for by in ("day", "week", "month"):
        assert (await api.public.get(f"/v1/statistics/events?by={by}&from=0001-01-01")).status_code == 422
    assert len((await ask(api, "events", by="year", from_="0001-01-01", to="9999-12-31"))["rows"]) == 1
    assert (await api.public.get("/v1/statistics/persons_in_status?at=0001-01-01")).status_code == 200
    assert (await api.public.get("/v1/statistics/persons_in_status?at=9999-12-31")).status_code == 200
    assert (await api.public.get("/v1/statistics/events?to=0001-01-01&by=year")).status_code == 200
    found = await ask(api, "events", by=["day", "type"], from_="2024-01-01", to="2024-04-09")
    assert (len(found["rows"]), found["total"]["value"]) == (100, 100)  # 100 kinds on 99 days are 9,900
    assert len((await ask(api, "events", by=["week", "type"]))["rows"]) == 101


async def test_the_first_and_the_last_day_of_the_calendar_are_days_like_any_other(api: Api) -> None:
    """Nothing is before the one or after the other, and a question about them is an ordinary one."""
    await make(api.editor, "events", date="2024-01-03")
    await make(api.editor, "statuses", kind="in_custody", start="0001-01-01", end="9999-12-31")
    ever = {"from_": "0001-01-01", "to": "9999-12-31"}
    for known_at, number in (("0001-01-01", 0), ("9999-12-31", 1)):
        assert (await ask(api, "events", known_at=known_at, **ever))["total"]["value"] == number
        assert (await ask(api, "persons_in_status", known_at=known_at, at=known_at))["total"]["value"] == number
    for grain in ("quarter", "year"):
        answer = await api.public.get(f"/v1/statistics/persons_in_status?from=0001-01-01&to=9999-12-31&grain={grain}")
        assert answer.status_code == (200 if grain == "year" else 422)
    for start, end in (("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31")):
        for grain in ("day", "week", "month", "quarter", "year"):
            series = await ask(api, "persons_in_status", from_=start, to=end, grain=grain, known_at="9999-12-31")
            assert [r["value"] for r in series["rows"]] == [1], grain


async def test_a_question_that_takes_too_long_is_cut_and_the_client_told_to_come_back(
    api: Api, owner: asyncpg.Connection
) -> None:
    limit = "ALTER ROLE chronika_public IN DATABASE tests"
    await owner.execute(f"{limit} SET statement_timeout = '1ms'")
    hasty = create_app(api.site.settings())
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=hasty), base_url="http://t") as client:
            answer = await client.get("/v1/statistics/persons?by=month&by=region&by=sex")
    finally:
        await owner.execute(f"{limit} RESET statement_timeout")
        await hasty.state.database.close()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "Retry-After" in answer.headers
    assert "takes too long" in answer.json()["detail"]


async def test_a_broader_code_takes_the_narrower_ones_with_it(api: Api) -> None:
    vera = (await make(api.editor, "persons", groups=["journalist"]))["id"]
    ivan = (await make(api.editor, "persons", groups=["student"]))["id"]
    for person, kind in ((vera, "maximum_security"), (vera, "pre_trial_custody"), (ivan, "wanted")):
        await make(api.editor, "statuses", kind=kind, person=person, start="2024-01-01")
    custody = {"at": "2024-01-31", "status": "in_custody"}
    assert (await ask(api, "persons_in_status", **custody))["total"]["value"] == 1
    assert (await ask(api, "persons_in_status", group="media_worker", **custody))["total"]["value"] == 1
    assert (await ask(api, "persons_in_status", group="student", **custody))["total"]["value"] == 0
    assert (await ask(api, "persons_in_status", exact="status", **custody))["total"]["value"] == 0
    assert (await ask(api, "persons_in_status", exact="group", group="media_worker", **custody))["total"]["value"] == 0
    by_kind = await ask(api, "persons_in_status", by="status", **custody)
    assert {r["status"]: r["value"] for r in by_kind["rows"]} == {"maximum_security": 1, "pre_trial_custody": 1}
    for row in by_kind["rows"]:
        assert "exact=status" in row["list"]
        assert len((await api.public.get(row["list"])).json()["items"]) == 1

    victim = [{"person": vera, "role": "victim"}]
    for type_ in ("detention", "mass_detention", "arrest"):
        await make(api.editor, "events", type=type_, date="2024-01-03", participants=victim)
    types = {"detention": 2, "mass_detention": 1, "deprivation_of_liberty": 3}
    for type_, number in types.items():
        assert (await ask(api, "events", type=type_, group="media_worker"))["total"]["value"] == number
        assert (await api.public.get(f"/v1/events?type={type_}&count=exact")).json()["count"] == number
    assert (await ask(api, "events", type="detention", exact="type"))["total"]["value"] == 1
    by_group = await ask(api, "events", by="group", group="media_worker")
    assert [(r["group"], r["value"]) for r in by_group["rows"]] == [("journalist", 3)]
    for url in ("persons?status=in_custody&on=2024-01-31", "persons?group=media_worker", "persons?status=in_custody"):
        found = (await api.public.get(f"/v1/{url}")).json()["items"]
        assert [p["id"] for p in found] == [vera], url


async def test_an_unknown_measure_is_not_found(api: Api) -> None:
    assert (await api.public.get("/v1/statistics/happiness")).status_code == 404


async def test_the_catalogue_tells_every_measure_and_each_of_its_dimensions_works(api: Api) -> None:
    catalogue = (await api.public.get("/v1/statistics")).json()
    assert [m["name"] for m in catalogue["items"]] == list(MEASURES)
    for measure in catalogue["items"]:
        for dimension in measure["dimensions"]:
            stock = {"at": "2024-01-01"} if measure["kind"] == "stock" else {}
            answer = await api.public.get(measure["url"], params={"by": dimension["name"], **stock})
            assert answer.status_code == 200, (measure["name"], dimension["name"], answer.text)


async def test_the_catalogue_names_every_parameter_that_a_measure_takes_and_no_other(api: Api) -> None:
    """Whoever gave one that there is not is sent there. What a question cannot choose is none of them."""
    paths = (await api.public.get("/openapi.json")).json()["paths"]
    for measure in (await api.public.get("/v1/statistics")).json()["items"]:
        taken = {p["name"] for p in paths[measure["url"]]["get"]["parameters"] if p["in"] == "query"}
        for fixed, value in (("date_match", "overlap"), ("on", "2024-01-01")):
            if fixed in taken:
                day = {"at": "2024-01-01"} if measure["kind"] == "stock" else {}
                answer = await api.public.get(measure["url"], params={**day, fixed: value})
                assert answer.status_code == 422
        named = [p["name"] for p in (*measure["filters"], *measure["parameters"])]
        assert sorted(named) == sorted(taken - {"date_match", "on"}), measure["name"]
        assert all(p["description"] for p in (*measure["filters"], *measure["parameters"])), measure["name"]
        days = {"at", "from", "to", "grain"} if measure["kind"] == "stock" else {"from", "to"}
        assert days | {"by", "format", "lang", "known_at"} <= set(named)


async def test_only_what_the_caller_may_see_is_counted(api: Api) -> None:
    vera = (await make(api.editor, "persons"))["id"]
    levels = {"public": {}, "partner": {"level": "partner"}, "restricted": {"level": "restricted"}}
    for level in levels.values():
        await make(api.editor, "events", date="2024-01-03", participants=[{"person": vera, "role": "victim"}], **level)
        await make(api.editor, "statuses", kind="in_custody", start="2024-01-01", **level)
        await make(api.editor, "cases", decided="2024-01-03", **level)
    for role, seen in (("public", 1), ("partner", 2), ("editor", 3), ("guardian", 3)):
        assert (await ask(api, "events", role))["total"]["value"] == seen
        assert (await ask(api, "cases", role))["total"]["value"] == seen
        assert (await ask(api, "persons", role))["total"]["value"] == 1
        assert (await ask(api, "persons_in_status", role, at="2024-01-09"))["total"]["value"] == seen


async def test_the_client_is_told_when_it_has_the_answer_already(api: Api) -> None:
    await make(api.editor, "events", date="2024-01-03")
    first = await api.public.get("/v1/statistics/events?by=month")
    headers = {"If-None-Match": first.headers["etag"]}
    assert (await api.public.get("/v1/statistics/events?by=month", headers=headers)).status_code == 304
    # What the caller cannot see moves nothing; what it can, does.
    await make(api.editor, "events", date="2024-01-03", level="restricted")
    assert (await api.public.get("/v1/statistics/events?by=month", headers=headers)).status_code == 304
    await make(api.editor, "events", date="2024-01-03")
    assert (await api.public.get("/v1/statistics/events?by=month", headers=headers)).status_code == 200
