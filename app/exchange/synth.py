"""Synthetic people and events, nobody's and nowhere's, in the numbers that the reports print, for benchmarks.

The first quarter of 2024 is made whole: its detentions, trials, fines, arrests, lists and prisoners are as many as were
published. With enough persons to hold them, so are the convictions since 2020. What is left of the numbers asked for is
spread over 2020 to 2025.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from app.cases.queries import CASES
from app.core import crud
from app.core.database import Database
from app.core.edtf import DateIn
from app.core.fold import fold
from app.core.records import Audience, Resource
from app.events.queries import EVENTS
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.places.queries import PLACES
from app.statuses.queries import STATUSES
from app.statutes.queries import STATUTES

ORIGIN = "synthetic"
BATCH = 500
"""Records in one transaction: every one of them has its version written at the commit."""

Row = dict[str, Any]

DETENTIONS = {1: 406, 2: 290, 3: 291}
WOMEN_DETAINED = 329
KNOWN_BY_6_FEBRUARY = 310
TRIALS = {(2023, 12): 390, (2024, 1): 349, (2024, 2): 671, (2024, 3): 582}
INCIDENTS = 560
FINES, BASE_VALUES, DOLLARS = 77, 1611, 19765
ARRESTS, DAYS = 46, 512
PRISONERS, WOMEN_IMPRISONED, YOUNG, IN_ONE_FACILITY = 1429, 170, 530, 106
MEDIA_WORKERS = 35
RECOGNISED, RELEASED = 28, 20
LISTED = {"listed_extremist_formation": 9, "listed_extremist_person": 86, "listed_extremist_material": 107}
CONVICTED, CONVICTED_WOMEN, CONVICTED_2024, CONVICTED_WOMEN_2024 = 6550, 1380, 1721, 480
LEAST_PERSONS = 1500
LEAST_EVENTS = sum(DETENTIONS.values()) + TRIALS[2024, 1] + 2 + len(LISTED)


ORDER = (PLACES, ORGANISATIONS, STATUTES, PERSONS, CASES, EVENTS, STATUSES)
"""What is stored before what refers to it."""

REQUIRED: dict[str, Row] = {"events": {"contexts": []}, "cases": {"contexts": []}, "charges": {"some_only": False}}
"""Columns that are never null; rows as JSON give each column of their table, so a default is not taken."""


class SynthError(Exception):
    """The registry cannot be filled; the message is one line that says what to do."""


@dataclass
class _Made:
    """Rows by table, in the order in which they can be stored, and one source of chance for all."""

    chance: random.Random
    rows: list[tuple[Resource, dict[str, list[Row]]]] = field(default_factory=list)
    count: int = 0

    def new_id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def add(self, resource: Resource, parts: dict[str, list[Row]] | None = None, **fields: Any) -> str:
        """Make a record with its parts; the name of a part's owner column is looked up."""
        self.count += 1
        record_id = self.new_id()
        own = {
            "id": record_id,
            "origin": ORIGIN,
            "origin_id": f"{resource.type}/{self.count}",
            "level": 0,
            "publication_ground": "public_record",
            **REQUIRED.get(resource.name, {}),
            **_flat(fields),
        }
        rows = {resource.table.name: [own]}
        owners = {n: o for n, (_, o) in crud.tables_of(resource).items()}
        for name, some in (parts or {}).items():
            for position, part in enumerate(some):
                components = part.pop("components", [])
                row = {"id": self.new_id(), "level": 0, "position": position, owners[name]: record_id}
                row |= REQUIRED.get(name, {}) | _flat(part)
                rows.setdefault(name, []).append(row)
                for n, component in enumerate(components):
                    piece = {"id": self.new_id(), "level": 0, "position": n, "sentence_id": row["id"], **component}
                    rows.setdefault("sentence_components", []).append(piece)
        self.rows.append((resource, rows))
        return record_id


def _flat(fields: Row) -> Row:
    """Return the columns of fields: a `DateIn` is five of them."""
    row: Row = {}
    for name, value in fields.items():
        if isinstance(value, DateIn):
            row |= {name: value.edtf, f"{name}_earliest": str(value.earliest), f"{name}_latest": str(value.latest)}
        else:
            row[name] = value
    return row


def _day(made: _Made, first: date, after: date) -> DateIn:
    """Return a day in [first, after)."""
    return DateIn(edtf=str(first + timedelta(days=made.chance.randrange((after - first).days))))


def _months(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)


def _shares(made: _Made, total: int, number: int, least: int, most: int) -> list[int]:
    """Split a total into so many whole parts between two bounds."""
    parts = [total // number] * number
    for n in range(total % number):
        parts[n] += 1
    for _ in range(number * 4):
        a, b = made.chance.randrange(number), made.chance.randrange(number)
        if a != b and parts[a] > least and parts[b] < most:
            parts[a], parts[b] = parts[a] - 1, parts[b] + 1
    return parts


# --- the people ---------------------------------------------------------------------------------------


def _people(made: _Made, number: int) -> tuple[list[str], list[str]]:
    """Make people who have numbers for names; return women's ids and men's. Prisoners come first among them."""
    women: list[str] = []
    men: list[str] = []
    with_convicted = number >= CONVICTED
    for n in range(number):
        female = n < WOMEN_IMPRISONED or (n >= PRISONERS and n % 4 == 0)
        if with_convicted and PRISONERS <= n < CONVICTED:
            female = n - PRISONERS < CONVICTED_WOMEN - WOMEN_IMPRISONED
        groups = (["young_person"] if n < YOUNG else []) + (["media_worker"] if n < MEDIA_WORKERS else [])
        name = _name(f"Person {n + 1}")
        record = made.add(
            PERSONS,
            {"person_names": [name]},
            sex="female" if female else "male",
            groups=groups,
            born=DateIn(edtf=str(made.chance.randrange(1955, 2004))),
        )
        (women if female else men).append(record)
    return women, men


def _prisoners(made: _Made, people: list[str], place: str) -> None:
    houses = [
        made.add(ORGANISATIONS, {"organisation_names": [_name(f"Facility {n + 1}")]}, kind="prison", place_id=place)
        for n in range(12)
    ]
    for n, person in enumerate(people):
        house = houses[0] if n % PRISONERS >= PRISONERS - IN_ONE_FACILITY else houses[1 + n % 11]
        start = _day(made, date(2020, 9, 1), date(2024, 1, 25))
        made.add(STATUSES, kind="political_prisoner", person_id=person, facility_id=house, start=start)
        if n < MEDIA_WORKERS:
            made.add(STATUSES, kind="in_custody", person_id=person, facility_id=house, start=start)


def _name(text: str) -> Row:
    return {"text": text, "language": "en", "script": "Latn", "kind": "primary", "folded": fold(text)}


# --- what happened to them ------------------------------------------------------------------------------


def _detentions(made: _Made, women: list[str], men: list[str], places: list[str]) -> list[Row]:
    """Make the detentions of the quarter and return those of January: person and incident."""
    january: list[Row] = []
    left = WOMEN_DETAINED
    for month, number in DETENTIONS.items():
        for n in range(number):
            female = left > 0 and n % 3 == 0
            left -= female
            person = made.chance.choice(women if female else men)
            incident = made.new_id()
            made.add(
                EVENTS,
                {"participants": [{"person_id": person, "role": "victim"}]},
                type="detention",
                date=_day(made, *_months(2024, month)),
                place_id=made.chance.choice(places),
                incident=incident,
            )
            if month == 1:
                january.append({"person": person, "incident": incident})
    return january


def _trials(made: _Made, people: list[str], january: list[Row], law: str) -> None:
    """Make the administrative trials by month; those of January also as events, many of a detention's incident."""
    others = 2 + len(LISTED)
    shared = len(january) + TRIALS[2024, 1] + others - INCIDENTS
    fines = _shares(made, BASE_VALUES, FINES, 5, 100)
    dollars = _shares(made, DOLLARS, FINES, 60, 1200)
    arrests = _shares(made, DAYS, ARRESTS, 1, 15)
    for (year, month), number in TRIALS.items():
        for n in range(number):
            first = (year, month) == (2024, 1)
            tried = january[n] if first and n < shared else {"person": made.chance.choice(people), "incident": None}
            decided = _day(made, *_months(year, month))
            outcome, components = "unknown", []
            if first and n < FINES:
                given = {"amount": fines[n], "unit": "base_value"}
                components = [{"kind": "fine", **given, "converted_amount": dollars[n], "converted_unit": "USD"}]
            elif first and n < FINES + ARRESTS:
                components = [{"kind": "administrative_arrest", "days": arrests[n - FINES]}]
            outcome = "convicted" if components else "unknown"
            charge = {"person_id": tried["person"], "statute_id": law, "status": "tried", "date": decided}
            sentence = {"person_id": tried["person"], "outcome": outcome, "components": components}
            case = made.add(
                CASES,
                {"charges": [charge], "sentences": [sentence]},
                kind="administrative",
                in_absentia="no",
                stage="verdict",
                decided=decided,
            )
            if first:
                made.add(
                    EVENTS,
                    {"participants": [{"person_id": tried["person"], "role": "victim"}]},
                    type="administrative_trial",
                    date=decided,
                    case_id=case,
                    incident=tried["incident"],
                )


def _other_january(made: _Made) -> None:
    """Make the recognitions, releases and lists of January, each one event of a counted group."""
    month = DateIn(edtf="2024-01")
    for type_, role, count in (
        ("recognition_political_prisoner", "listed", RECOGNISED),
        ("release", "victim", RELEASED),
        *((t, "listed", c) for t, c in LISTED.items()),
    ):
        made.add(
            EVENTS, {"participants": [{"role": role, "count": count, "qualifier": "exact"}]}, type=type_, date=month
        )


def _convicted(made: _Made, women: list[str], men: list[str], law: str) -> None:
    """Make the convictions since 2020, each of another person, those of 2024 as many as that year had."""
    for people, number, late in (
        (women, CONVICTED_WOMEN, CONVICTED_WOMEN_2024),
        (men, CONVICTED - CONVICTED_WOMEN, CONVICTED_2024 - CONVICTED_WOMEN_2024),
    ):
        for n, person in enumerate(people[:number]):
            decided = _day(made, date(2024, 2, 1), date(2025, 1, 1)) if n < late else None
            decided = decided or _day(made, date(2020, 9, 1), date(2024, 1, 1))
            length = {"kind": "imprisonment", "years": made.chance.randrange(1, 12)}
            made.add(
                CASES,
                {
                    "charges": [{"person_id": person, "statute_id": law, "status": "convicted", "date": decided}],
                    "sentences": [{"person_id": person, "outcome": "convicted", "components": [length]}],
                },
                kind="criminal",
                in_absentia="no",
                stage="verdict",
                decided=decided,
            )


def _rest(made: _Made, people: list[str], places: list[str], number: int) -> None:
    """Spread more events over the years, none of them in the months whose numbers were published."""
    for _ in range(number):
        before = made.chance.random() < 0.7  # noqa: PLR2004
        span = (date(2020, 8, 1), date(2023, 12, 1)) if before else (date(2024, 4, 1), date(2025, 6, 1))
        made.add(
            EVENTS,
            {"participants": [{"person_id": made.chance.choice(people), "role": "victim"}]},
            type=made.chance.choice(("detention", "raid", "interrogation", "transfer", "denial_of_parcels")),
            date=_day(made, *span),
            place_id=made.chance.choice(places),
        )


def make(persons: int, events: int, seed: int) -> list[tuple[Resource, dict[str, list[Row]]]]:
    """Return all records, the same for the same numbers and seed."""
    if persons < LEAST_PERSONS or events < LEAST_EVENTS:
        msg = f"the numbers that were published need {LEAST_PERSONS:,} persons and {LEAST_EVENTS:,} events at least"
        raise SynthError(msg)
    made = _Made(random.Random(seed))  # noqa: S311 -- no secret is made of it
    land = made.add(PLACES, {"place_names": [_name("Somewhere")]}, kind="country", code="ZZ")
    places = [
        made.add(PLACES, {"place_names": [_name(f"Region {n}")]}, kind="region", code=f"ZZ-{n}", parent_id=land)
        for n in range(1, 8)
    ]
    administrative = made.add(STATUTES, jurisdiction="ZZ", code="AC", article="1", key="ZZ-AC-1")
    criminal = made.add(STATUTES, jurisdiction="ZZ", code="CC", article="1", part="1", key="ZZ-CC-1-1")
    women, men = _people(made, persons)
    _prisoners(made, women[:WOMEN_IMPRISONED] + men[: PRISONERS - WOMEN_IMPRISONED], places[0])
    january = _detentions(made, women, men, places)
    _trials(made, women + men, january, administrative)
    _other_january(made)
    if persons >= CONVICTED:
        _convicted(made, women, men, criminal)
    _rest(made, women + men, places, events - LEAST_EVENTS)
    return made.rows


async def fill(database: Database, persons: int, events: int, seed: int, told: Callable[[int], object]) -> int:
    """Store synthetic records in an empty registry, some hundred in a transaction; return how many there are.

    `told` is called with how many are stored so far.
    """
    empty = "SELECT NOT EXISTS (SELECT FROM places) AND NOT EXISTS (SELECT FROM persons)"
    if not (await database.row(Audience.EDITOR, empty))[0]:
        msg = "the registry holds records already: synthetic ones are only put into an empty one"
        raise SynthError(msg)
    records = make(persons, events, seed)
    for start in range(0, len(records), BATCH):
        transaction = await database.transaction(Audience.EDITOR)
        transaction.actor = "synth"
        done = False
        try:
            await _insert(transaction, records[start : start + BATCH])
            done = True
        finally:
            await transaction.end(commit=done)
        told(min(start + BATCH, len(records)))
    return len(records)


async def _insert(transaction: Any, records: list[tuple[Resource, dict[str, list[Row]]]]) -> None:
    """Insert the rows of one table together, what is referred to first."""
    tables: dict[str, Any] = {}
    rows: dict[str, list[Row]] = {}
    for resource, made in records:
        tables |= {resource.table.name: resource.table} | {n: t for n, (t, _) in crud.tables_of(resource).items()}
        for name, some in made.items():
            rows.setdefault(name, []).extend(some)
    parts = sorted(rows.keys() - {r.name for r in ORDER}, key=lambda n: n == "sentence_components")
    for name in [*(r.name for r in ORDER if r.name in rows), *parts]:
        await crud.insert(transaction, {name: rows[name]}, tables)
