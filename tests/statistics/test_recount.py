"""Every measure by every dimension, against a second count in plain Python, over registries that hypothesis makes."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.core.edtf import DateIn
from app.statistics.measures import MEASURES
from app.statistics.questions import MOST_DIMENSIONS
from tests.conftest import EMPTIED, Api
from tests.factories import PUBLIC, make
from tests.statistics.naive import Registry, bounds, count

pytestmark = pytest.mark.anyio

DATES = st.one_of(
    st.none(),
    st.sampled_from(["1999", "1999-03", "1999-03-05", "1999-02-27/1999-03-02", "1999-04", "1998-12-28/1999-01-03"]),
    st.sampled_from(
        ["1999-03-31", "1999-03-01", "1999-02-28", "../1999-02", "/1999-03-10", "1999-03-10/..", "1999-01/"]
    ),
    st.dates(date(1998, 11, 1), date(1999, 6, 30)).map(str),
)


def the_right_way_round(dates: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
    """Swap two dates of which the second surely lies before the first; the registry refuses them so."""
    first, last = (DateIn(edtf=d) if d else None for d in dates)
    if first and last and first.earliest and last.latest and last.latest < first.earliest:
        return dates[1], dates[0]
    return dates


COURSES = st.tuples(DATES, DATES).map(the_right_way_round)
PEOPLE = st.integers(0, 4)
COUNT = st.one_of(st.none(), st.integers(1, 9))


@st.composite
def participants(draw: st.DrawFn, groups: list[str]) -> dict[str, Any]:
    role = draw(st.sampled_from(["victim", "victim", "victim", "listed", "judge"]))
    kind = draw(st.sampled_from(["person", "person", "group", "group", "organisation"]))
    if kind == "person":
        return {"role": role, "person": draw(PEOPLE)}
    if kind == "organisation":
        return {"role": role, "organisation": draw(st.integers(0, 2))}
    own = str(UUID(int=0x40008000000000000000 + len(groups) * 7919 + 1))
    groups.append(own)
    return {
        "role": role,
        "count": draw(st.integers(1, 9)),
        "id": own,
        "within": draw(st.sampled_from([None, *groups])),  # itself among them: a circle of one
    }


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    groups: list[str] = []
    incidents = [None, str(UUID(int=5)), str(UUID(int=6))]
    return [
        {
            "type": draw(st.sampled_from(["detention", "raid", "listed_extremist_person", "wanted_notice"])),
            "date": draw(DATES),
            "incident": draw(st.sampled_from(incidents)),
            "place": draw(st.sampled_from([None, "XX", "XX-A", "XX-B", "town"])),
            "facility": draw(st.sampled_from([None, 0, 1])),
            "statutes": draw(st.lists(st.integers(0, 3), max_size=2, unique=True)),
            "participants": [draw(participants(groups)) for _ in range(draw(st.integers(0, 3)))],
            "cited": draw(st.lists(st.integers(0, 1), max_size=2, unique=True)),
        }
        for _ in range(draw(st.integers(1, 7)))
    ]


@st.composite
def cases(draw: st.DrawFn) -> list[dict[str, Any]]:
    who = st.one_of(st.none(), PEOPLE)
    label = st.sampled_from([None, "one lot", "another lot"])
    found = []
    for _ in range(draw(st.integers(1, 4))):
        charges = [
            {
                "person": draw(who),
                "label": draw(label),
                "count": draw(COUNT),
                "counts": draw(st.sampled_from([None, None, 3])),
                "some_only": draw(st.booleans()),
                "statute": draw(st.sampled_from([None, 0, 1, 2, 3])),
                "status": draw(st.sampled_from(["charged", "convicted", "dropped"])),
                "date": draw(DATES),
            }
            for _ in range(draw(st.integers(0, 3)))
        ]
        sentences = [
            {
                "person": draw(who),
                "label": draw(label),
                "count": draw(COUNT),
                "outcome": draw(st.sampled_from(["convicted", "convicted", "acquitted", "unknown"])),
                "components": draw(st.lists(COMPONENTS, max_size=3)),
            }
            for _ in range(draw(st.integers(0, 3)))
        ]
        opened, decided = draw(COURSES)
        found.append(
            {
                "kind": draw(st.sampled_from(["criminal", "administrative"])),
                "count": draw(COUNT),
                "stage": draw(st.sampled_from([None, "verdict", "appeal"])),
                "opened": opened,
                "decided": decided,
                "court": draw(st.sampled_from([None, 0, 1])),
                "judges": draw(st.lists(PEOPLE, max_size=2, unique=True)),
                "charges": charges,
                "sentences": sentences,
                "cited": draw(st.lists(st.integers(0, 1), max_size=1)),
            }
        )
    return found


COMPONENTS = st.one_of(
    st.builds(lambda d: {"kind": "administrative_arrest", "days": d}, st.one_of(st.none(), st.integers(1, 15))),
    st.builds(lambda y: {"kind": "imprisonment", "years": y}, st.one_of(st.none(), st.integers(1, 9))),
    st.sampled_from(
        [
            {"kind": "life_imprisonment"},
            {"kind": "fine", "amount": "10", "unit": "base_value"},
            {
                "kind": "fine",
                "amount": "10",
                "unit": "base_value",
                "converted_amount": "122.69",
                "converted_unit": "USD",
            },
            {"kind": "fine", "amount": "250.5", "unit": "USD"},
            {"kind": "fine", "amount": "99", "unit": "BYN"},
            {"kind": "fine"},
            {"kind": "home_confinement", "months": 18},
        ]
    ),
)

STATUSES = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["in_custody", "political_prisoner"]),
            "subject": st.one_of(PEOPLE, st.just("organisation")),
            "start": DATES,
            "end": DATES,
            "facility": st.sampled_from([None, 0, 1]),
        }
    ),
    min_size=1,
    max_size=8,
)
PERSONS = st.lists(
    st.fixed_dictionaries(
        {
            "sex": st.sampled_from([None, "female", "male"]),
            "groups": st.lists(st.sampled_from(["journalist", "lawyer", "medic"]), max_size=2, unique=True),
            "born": st.sampled_from([None, "1980-03-05", "1970", "1990-06/..", "1981-03-31"]),
        }
    ),
    min_size=5,
    max_size=5,
)
REGISTRIES = st.fixed_dictionaries({"persons": PERSONS, "events": events(), "cases": cases(), "statuses": STATUSES})


async def store(api: Api, registry: dict[str, Any]) -> None:
    """Record a registry through the API."""
    editor = api.editor
    places: dict[str | None, str | None] = {None: None}
    for code, kind, parent in (
        ("XX", "country", None),
        ("XX-A", "region", "XX"),
        ("XX-B", "city", "XX"),
        ("town", "town", "XX-A"),
    ):
        code_ = {"code": code} if code != "town" else {}
        places[code] = (await make(editor, "places", kind=kind, parent=places[parent], **code_))["id"]
    houses = [(await make(editor, "organisations", place=places[p]))["id"] for p in ("town", "XX-B", None)]
    law: list[dict[str, Any]] = [
        {"article": "1", "part": "1"},
        {"article": "1", "part": "2"},
        {"article": "1"},
        {"code": "AC", "article": None},
    ]
    statutes = [
        (await make(editor, "statutes", **fields, **({"key": "XX-AC-x-none"} if n == 3 else {})))["id"]
        for n, fields in enumerate(law)
    ]
    sources = [(await make(editor, "sources", title=t))["id"] for t in "ab"]
    people = [(await make(editor, "persons", **p))["id"] for p in registry["persons"]]

    def at(found: list[str], n: int | None) -> str | None:
        return None if n is None else found[n]

    def cited(record: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"source": sources[n]} for n in record.pop("cited")]

    for e in json.loads(json.dumps(registry["events"])):
        e["participants"] = [
            p
            | ({"person": people[p["person"]]} if "person" in p else {})
            | ({"organisation": houses[p["organisation"]]} if "organisation" in p else {})
            for p in e["participants"]
        ]
        e |= {"place": places[e["place"]], "facility": at(houses, e["facility"]), "citations": cited(e)}
        await make(editor, "events", **e | {"statutes": [statutes[n] for n in e["statutes"]]})
    for c in json.loads(json.dumps(registry["cases"])):
        for h in c["charges"]:
            h |= {"person": at(people, h["person"]), "statute": at(statutes, h["statute"])}
        for s in c["sentences"]:
            s |= {"person": at(people, s["person"])}
        c |= {"court": at(houses, c["court"]), "judges": [people[n] for n in c["judges"]], "citations": cited(c)}
        await make(editor, "cases", **c)
    for s in json.loads(json.dumps(registry["statuses"])):
        subject = s.pop("subject")
        whose = {"organisation": houses[0]} if subject == "organisation" else {"person": people[subject]}
        body = {**PUBLIC, **s, **whose, "facility": at(houses, s["facility"])}
        answer = await editor.post("/v1/statuses", json=body)
        assert answer.status_code in {201, 422}, answer.text  # 422: it ended before it began


async def everything(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    """Return all records of a list, page by page."""
    found: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        answer = await client.get(following, params=None)
        assert answer.status_code == 200, (following, answer.text)
        found += answer.json()["items"]
        following = answer.json()["next"]
    return found


async def exported(client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    """Return all records of a kind as its export has them, which ends with a line that counts them."""
    answer = await client.get(f"/v1/{kind}/export", params={"format": "ndjson"})
    assert answer.status_code == 200, answer.text
    *records, end = map(json.loads, answer.text.splitlines())
    assert end["end"] is True
    assert end["count"] == len(records)
    return records


async def registry_of(client: httpx.AsyncClient) -> Registry:
    """Read back what a caller can see."""
    kinds = ("persons", "places", "statutes", "organisations", "events", "cases", "statuses")
    return Registry({k: await exported(client, k) for k in kinds})


FROM, TO = date(1999, 2, 14), date(1999, 4, 20)
PERIODS = [(None, None), (FROM, TO), (None, TO), (FROM, None)]


def plain(cell: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {n: Decimal(str(cell[n])) for n in names}


async def agree(
    client: httpx.AsyncClient, registry: Registry, measure: str, by: list[str], period: Any, **more: Any
) -> None:
    """Compare one answer of the service with the second count, cell by cell."""
    start, end = period
    options = {k: v for k, v in more.items() if k in {"date_field", "unit"}}
    params = {"by": by, **({"from": str(start)} if start else {}), **({"to": str(end)} if end else {}), **more}
    answer = await client.get(f"/v1/statistics/{measure}", params=params)
    if answer.status_code == 422 and answer.json()["errors"][0]["code"] == "too_many_cells":
        assert len(by) > 1
        return
    assert answer.status_code == 200, answer.text
    body = answer.json()
    asked = body["by"]
    cells, total = count(registry, measure, asked, start, end, **options)
    names = ["value", "min", "max", *MEASURES[measure].counts]
    found = {tuple(r[d] for d in asked): plain(r, names) for r in body["rows"]}
    expected = {k: plain(v, names) for k, v in cells.items() if v["max"] or v["unknown"]}
    assert found == (expected if asked else {}), (measure, params)
    if body["total"] is not None:
        assert plain(body["total"], names) == plain(total, names), (measure, params)
        assert plain(body, ["undated"]) == plain(total, ["undated"]), (measure, params)


def of_cell(registry: Registry, row: dict[str, Any], event: dict[str, Any], person: dict[str, Any] | None) -> bool:
    """Tell whether somebody in an event is of the sex, group and age of a cell."""
    lo, hi = bounds(event["date"])
    about = [d for d in ("sex", "group", "age_band") if d in row]
    return all(row[d] in registry.person(person, d, lo or hi) for d in about)


def listed(measure: str, row: dict[str, Any], items: list[dict[str, Any]], registry: Registry) -> Any:  # noqa: C901, PLR0911 -- one line a measure
    """Count what the list of a cell holds, by what the measure counts of each record."""
    if measure == "events":
        return len(items)
    if measure == "incidents":
        return len({e["incident"] or e["id"] for e in items})
    if measure == "cases":
        return sum(c["count"] or 1 for c in items)
    if measure == "charges":
        return sum((1 if h["some_only"] else h["count"] or 1) * (h["counts"] or 1) for h in items)
    if measure in {"persons", "list_entries"}:
        role = row.get("role", "victim" if measure == "persons" else "listed")
        parts = [
            p for e in items for p in e["participants"] if p["role"] == role and of_cell(registry, row, e, p["person"])
        ]
        if measure == "list_entries":
            return len([p for p in parts if p["person"] or p["organisation"]])
        return len({p["person"]["id"] for p in parts if p["person"]})
    if measure == "persons_charged":
        return len({h["person"]["id"] for h in items if h["person"]})
    if measure == "persons_convicted":
        return len({s["person"]["id"] for s in items if s["person"]})
    if measure in {"persons_in_status", "organisations_in_status"}:
        subject = measure.partition("_")[0].removesuffix("s")
        return len({s[subject]["id"] for s in items if s[subject]})
    kinds = {"arrest_days": {"administrative_arrest"}, "imprisonment_days": {"imprisonment", "life_imprisonment"}}
    if measure == "sentences":
        kind = row.get("sentence")
        return sum(
            (s["count"] or 1)
            * (len([k for k in s["components"] if kind in (None, k["kind"])]) or (kind in (None, "not_stated")))
            for s in items
        )
    if measure == "fines":
        fines = [k for s in items for k in s["components"] if k["kind"] == "fine"]
        return sum(
            Decimal(str(k["amount"])) for k in fines if k["amount"] and (k["unit"] or "not_stated") == row["unit"]
        )
    of = {row["sentence"]} if "sentence" in row else kinds[measure]
    days = [k["normal_days"] for s in items for k in s["components"] if k["kind"] in of]
    return sum(Decimal(str(d)) for d in days if d)


NAMED = {"persons", "persons_charged", "persons_convicted", "list_entries"}
"""Measures of which a list tells those who are named; of the others it tells how many a source counts."""


async def walk(client: httpx.AsyncClient, registry: Registry, measure: str, by: list[str], period: Any) -> int:
    """Follow the list of every cell and compare; return how many were followed."""
    start, end = period
    stock = {"at": "1999-03-31"} if MEASURES[measure].kind == "stock" else {}
    params = {} if stock else {**({"from": str(start)} if start else {}), **({"to": str(end)} if end else {})}
    answer = await client.get(f"/v1/statistics/{measure}", params={"by": by, **params, **stock})
    if answer.status_code == 422 and answer.json()["errors"][0]["code"] == "too_many_cells":
        return 0
    assert answer.status_code == 200, answer.text
    for row in answer.json()["rows"]:
        items = await everything(client, row["list"] + "&limit=200")
        found = float(listed(measure, row, items, registry))
        value = row["value"] if measure not in NAMED else row["named"]
        assert found == pytest.approx(float(value)), (measure, by, row)
        if measure in {"persons", "list_entries"}:
            assert bool(items) == bool(row["value"]), (measure, by, row)
    return len(answer.json()["rows"])


Plan = tuple[Any, list[tuple[str, str, list[list[str]]]], dict[str, str]]
"""The period; of each measure its name, a dimension that every answer can have, and some to be combined; filters."""


@st.composite
def plans(draw: st.DrawFn, *, pairs: int, measures: int) -> Plan:
    """Draw all that is asked before anything is: what ends a drawing too long must not end the loop that asks."""
    asked: list[tuple[str, str, list[list[str]]]] = []
    for name in draw(st.lists(st.sampled_from(list(MEASURES)), min_size=measures, max_size=measures, unique=True)):
        dimensions = list(MEASURES[name].dimensions)
        if MEASURES[name].kind == "stock":
            asked.append((name, draw(st.sampled_from(dimensions)), []))
            continue
        grain = draw(st.sampled_from(["day", "week", "month", "quarter", "year"]))
        some = st.lists(st.sampled_from([grain, *dimensions]), min_size=2, max_size=MOST_DIMENSIONS, unique=True)
        asked.append((name, grain, [draw(some) for _ in range(pairs)]))
    filters = {
        "type": draw(st.sampled_from(["detention", "raid"])),
        "kind": draw(st.sampled_from(["criminal", "administrative"])),
    }
    return draw(st.sampled_from(PERIODS)), asked, filters


def narrowed(registry: Registry, filters: dict[str, str]) -> Registry:
    """Return the registry with the events of one type and the cases of one kind alone; groups stay what they are."""
    kept = {
        "events": [e for e in registry.records["events"] if e["type"] == filters["type"]],
        "cases": [c for c in registry.records["cases"] if c["kind"] == filters["kind"]],
    }
    found = Registry(registry.records | kept)
    found.groups = registry.groups
    return found


async def agree_on_some(
    client: httpx.AsyncClient, registry: Registry, measure: str, by: str, period: Any, **filters: str
) -> None:
    """Compare an answer about one type of events or one kind of cases; list entries are of events of listing."""
    name = "type" if MEASURES[measure].list == "events" else "kind"
    if measure != "list_entries":
        await agree(client, narrowed(registry, filters), measure, [by], period, **{name: filters[name]})


async def compare(api: Api, owner: asyncpg.Connection, plan: Plan, registry: dict[str, Any]) -> None:
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    await store(api, registry)
    found = await registry_of(api.public)
    period, asked, filters = plan
    for name, first, together in asked:
        measure = MEASURES[name]
        dimensions = list(measure.dimensions)
        if measure.kind == "stock":
            await stocks(api.public, found, name, first)
            for d in dimensions:
                await on_a_day(api.public, found, name, [d])
                await walk(api.public, found, name, [d], period)
            continue
        for by in [[], [first], *([d] for d in dimensions)]:
            await agree(api.public, found, name, by, period)
        await agree_on_some(api.public, found, name, first, period, **filters)
        for drawn in together:
            by = drawn
            if name in {"events", "incidents"} and "role" in by:
                by = [d for d in by if d not in {"sex", "group", "age_band"}]
            await agree(api.public, found, name, by, period)
            await walk(api.public, found, name, by, period)
        for d in dimensions:
            await walk(api.public, found, name, [d], period)
    for field in ("opened", "decided"):
        await agree(api.public, found, "cases", ["month"], period, date_field=field)
        await agree(api.public, found, "charges", ["month"], period, date_field=field)
    for unit in ("USD", "base_value"):
        await agree(api.public, found, "fines", ["month"], period, unit=unit)


async def on_a_day(client: httpx.AsyncClient, registry: Registry, measure: str, by: list[str]) -> None:
    for day in (date(1999, 3, 5), date(1999, 3, 31), date(2005, 1, 1)):
        answer = await client.get(f"/v1/statistics/{measure}", params={"by": by, "at": str(day)})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found = {tuple(r[d] for d in by): (r["value"], r["min"], r["max"]) for r in body["rows"]}
        assert found == registry.stock(measure, by, day), (measure, by, day)
        total = tuple(body["total"][n] for n in ("value", "min", "max"))
        assert total == registry.stock(measure, [], day).get((), (0, 0, 0))


async def stocks(client: httpx.AsyncClient, registry: Registry, measure: str, dimension: str) -> None:
    """Compare a series with the stock on the last day of each of its periods."""
    params = {"by": dimension, "from": str(FROM), "to": str(TO), "grain": "month"}
    answer = await client.get(f"/v1/statistics/{measure}", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, dict[tuple[str, ...], Any]] = {}
    for row in answer.json()["rows"]:
        if row["max"]:
            cell = (row["value"], row["min"], row["max"])
            found.setdefault(row["month"], {})[(row[dimension],)] = cell
    for month, after in (("1999-02", date(1999, 3, 1)), ("1999-03", date(1999, 4, 1)), ("1999-04", TO)):
        expected = registry.stock(measure, [dimension], after - timedelta(days=1))
        assert found.get(month, {}) == expected, (measure, dimension, month)


SLOW = [
    HealthCheck.too_slow,
    HealthCheck.function_scoped_fixture,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
]


@settings(max_examples=8, deadline=None, suppress_health_check=SLOW, phases=[Phase.generate], derandomize=True)
@given(plan=plans(pairs=2, measures=3), registry=REGISTRIES)
async def test_every_measure_by_every_dimension(
    api: Api, owner: asyncpg.Connection, plan: Plan, registry: dict[str, Any]
) -> None:
    await compare(api, owner, plan, registry)


@pytest.mark.full
@settings(max_examples=80, deadline=None, suppress_health_check=SLOW, phases=[Phase.generate])
@given(plan=plans(pairs=4, measures=len(MEASURES)), registry=REGISTRIES)
async def test_every_measure_by_every_dimension_over_many_registries(
    api: Api, owner: asyncpg.Connection, plan: Plan, registry: dict[str, Any]
) -> None:
    await compare(api, owner, plan, registry)
