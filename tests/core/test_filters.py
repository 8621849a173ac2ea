"""Filters: each field of each resource finds what it should and leaves out what it should; dates, trees and unions."""

from typing import get_args
from urllib.parse import parse_qsl

import httpx
import pytest
from pydantic import BaseModel

from app.cases.models import Tristate
from app.cases.parts import ChargeFilter, SentenceFilter
from app.cases.queries import CaseFilter
from app.core.filters import MARKS, NOT_STATED, OF_STATUTE, Day, Filter, Keys, Where
from app.events.queries import OF_PERSON, EventFilter
from app.figures.queries import FigureFilter
from app.organisations.queries import OrganisationFilter
from app.persons.queries import PersonFilter
from app.places.queries import PlaceFilter
from app.sources.queries import SourceFilter
from app.statuses.queries import StatusFilter
from app.statutes.queries import StatuteFilter
from tests.conftest import Api
from tests.core.questions import QUESTIONS
from tests.core.world import UNKNOWN, WORLD, own
from tests.factories import make

pytestmark = pytest.mark.anyio

FILTERS: dict[str, type[Filter]] = {
    "places": PlaceFilter,
    "organisations": OrganisationFilter,
    "sources": SourceFilter,
    "statutes": StatuteFilter,
    "persons": PersonFilter,
    "cases": CaseFilter,
    "charges": ChargeFilter,
    "sentences": SentenceFilter,
    "events": EventFilter,
    "statuses": StatusFilter,
    "figures": FigureFilter,
}


def fields_of(model: type[BaseModel]) -> set[str]:
    fields = model.model_fields.items()
    return {i.alias or n for n, i in fields if any(isinstance(m, Where) for m in i.metadata)}


def ways_of(model: type[Filter]) -> set[str]:
    """Name what changes the meaning of filters: what is taken literally, asked for as not stated, or another date."""
    wheres = model.wheres()
    together = {*OF_STATUTE, *OF_PERSON, "unit", "fined_in"}
    literal = {f"exact={n}" for n, where in wheres.items() if where.exact}
    unsaid = {n for n, where in wheres.items() if where.absent or (where.sees_used and n in together)}
    dates = get_args(model.model_fields["date_field"].annotation) if "date_field" in model.model_fields else ()
    return literal | {f"{n}={NOT_STATED}" for n in unsaid} | {f"date_field={d}" for d in dates}


async def make_world(api: Api) -> dict[str, str]:
    ids = {}
    for resource, label, fields in WORLD:
        record = await make(api.editor, resource, **{**own(label), **fields})
        ids[f"{resource}/{label}"] = record["id"]
    return ids


@pytest.fixture
async def world(api: Api) -> dict[str, str]:
    """Give the ids of the world's records, by resource and name."""
    return await make_world(api)


@pytest.mark.parametrize("resource", FILTERS)
def test_every_filter_is_tried(resource: str) -> None:
    tried = {field for query in QUESTIONS[resource] for field, _ in parse_qsl(query)}
    assert tried - {"exact", *MARKS} == fields_of(FILTERS[resource])


@pytest.mark.parametrize("resource", FILTERS)
def test_every_way_to_ask_is_tried(resource: str) -> None:
    tried = {f"{field}={value}" for query in QUESTIONS[resource] for field, value in parse_qsl(query)}
    assert ways_of(FILTERS[resource]) <= tried


@pytest.mark.parametrize("resource", FILTERS)
async def test_filters_find_what_they_should(api: Api, world: dict[str, str], resource: str) -> None:
    cases = {v: k.partition("/")[2] for k, v in world.items() if k.startswith("cases/")}
    wrong = {}
    for question, expected in QUESTIONS[resource].items():
        path = question
        for label, record_id in world.items():
            path = path.replace(f"{{{label}}}", record_id)
        answer = await api.public.get(f"/v1/{resource}", params=httpx.QueryParams(path))
        assert answer.status_code == 200, f"{question}: {answer.text}"
        items = answer.json()["items"]
        # Charges and sentences have no id of their recorder's; they go by their case.
        got = {cases[i["case"]["id"]] if resource in {"charges", "sentences"} else i["origin_id"] for i in items}
        if got != expected:
            wrong[question] = got
    assert wrong == {}


@pytest.mark.parametrize("resource", FILTERS)
async def test_unknown_values_find_nothing_and_unknown_names_are_errors(
    api: Api, world: dict[str, str], resource: str
) -> None:
    assert world
    model = FILTERS[resource]
    asked = {}
    for field, info in model.model_fields.items():
        if (shown := info.alias or field) not in fields_of(model) or info.annotation in (Day | None, list[Tristate]):
            continue
        asked[shown] = [UNKNOWN] if field == "incident" else ["zzz", UNKNOWN] if info.annotation == Keys else ["zzz"]
    for field, values in asked.items():
        for value in values:
            answer = await api.public.get(f"/v1/{resource}", params={field: value})
            assert (answer.status_code, answer.json().get("items")) == (200, []), f"{field}={value}"
    misspelt = await api.public.get(f"/v1/{resource}", params={"tipe": "x"})
    assert (misspelt.status_code, misspelt.json()["errors"][0]["pointer"]) == (422, "?tipe")


MARCH = ("1999", "1999-03", "1999-03-05", "1999-02-27/1999-03-02", "1999-04")


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("overlap", {"1999", "1999-03", "1999-03-05", "1999-02-27/1999-03-02"}),
        ("earliest", {"1999-03", "1999-03-05"}),
        ("within", {"1999-03", "1999-03-05"}),
    ],
)
async def test_uncertain_dates_meet_a_month(api: Api, match: str, expected: set[str]) -> None:
    for edtf in MARCH:
        await make(api.editor, "events", date=edtf)
    await make(api.editor, "events")
    answer = await api.public.get(f"/v1/events?from=1999-03-01&to=1999-04-01&date_match={match}")
    assert {e["date"]["edtf"] for e in answer.json()["items"]} == expected


@pytest.mark.parametrize(
    ("edtf", "period", "matches"),
    [
        ("1999-03-05", "from=1999-03-05&to=1999-03-06", {"overlap", "earliest", "within"}),
        ("1999-03-05", "from=1999-03-01&to=1999-03-05", set()),
        ("1999-03-05/..", "from=2005-01-01", {"overlap"}),
        ("1999-03-05/..", "from=1999-01-01&to=2000-01-01", {"overlap", "earliest"}),
        ("/1999-03-05", "to=1990-01-01", {"overlap"}),
        ("/1999-03-05", "from=1999-03-05&to=1999-03-06", {"overlap", "earliest"}),
        ("/1999-03-05", "from=1999-03-06", set()),
        ("1999-02-27/1999-03-02", "from=1999-02-27&to=1999-03-03", {"overlap", "earliest", "within"}),
        ("1999-02-27/1999-03-02", "from=1999-02-27&to=1999-03-02", {"overlap", "earliest"}),
    ],
)
async def test_half_open_periods_and_open_ends(api: Api, edtf: str, period: str, matches: set[str]) -> None:
    await make(api.editor, "events", date=edtf)
    got = set()
    for match in ("overlap", "earliest", "within"):
        answer = await api.public.get(f"/v1/events?{period}&date_match={match}")
        got |= {match} if answer.json()["items"] else set()
    assert got == matches


async def test_an_empty_or_reversed_period_is_an_error(api: Api) -> None:
    for period in ("from=2024-02-01&to=2024-01-01", "from=2024-01-01&to=2024-01-01", "from=2024-02-30", "on=yesterday"):
        assert (await api.public.get(f"/v1/events?{period}")).status_code == 422


async def test_a_status_without_bounds_may_hold_on_any_day(api: Api) -> None:
    unknown = await make(api.editor, "statuses")
    begun = await make(api.editor, "statuses", start="2024~", end="2025-06")
    for day, expected in (("1990-01-01", {unknown["id"]}), ("2024-01-01", {unknown["id"], begun["id"]})):
        answer = await api.public.get(f"/v1/statuses?on={day}")
        assert {s["id"] for s in answer.json()["items"]} == expected
    for day, here in (("2025-06-30", True), ("2025-07-01", False)):
        answer = await api.public.get(f"/v1/statuses?on={day}")
        assert (begun["id"] in {s["id"] for s in answer.json()["items"]}) is here
