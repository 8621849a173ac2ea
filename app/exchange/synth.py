"""Synthetic people and events, nobody's and nowhere's, in the numbers that the reports print, for benchmarks.

The first quarter of 2024 is made whole: its detentions, trials, fines, arrests, lists and prisoners are as many as were
published. With enough persons to hold them, so are the convictions since 2020. What is left of the numbers asked for is
spread over 2020 to 2025, and a tenth of that is not public; three statuses come on two persons.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from app.cases.queries import CASES
from app.core.edtf import DateIn
from app.core.records import Resource
from app.core.rows import tables_of
from app.events.queries import EVENTS
from app.exchange import made_up
from app.organisations.queries import ORGANISATIONS
from app.places.queries import PLACES
from app.statuses.queries import STATUSES
from app.statutes.queries import STATUTES

ORIGIN = "synthetic"
AT_ONCE = 20_000
"""Records in one batch."""

Row = dict[str, Any]
Batch = dict[str, list[Row]]
"""Rows by table; what they refer to is in the same batch or an earlier one."""

DETENTIONS = {1: 406, 2: 290, 3: 291}
WOMEN_DETAINED = 329
TRIALS = {(2023, 12): 390, (2024, 1): 349, (2024, 2): 671, (2024, 3): 582}
INCIDENTS = 560
FINES, BASE_VALUES, DOLLARS = 77, 1611, 19765
ARRESTS, DAYS = 46, 512
PRISONERS, WOMEN_IMPRISONED, YOUNG, IN_ONE_FACILITY = 1429, 170, 530, 106
MEDIA_WORKERS = 35
RECOGNISED, RELEASED = 28, 20
LISTED = {"listed_extremist_formation": 9, "listed_extremist_person": 86, "listed_extremist_material": 107}
CONVICTED, CONVICTED_WOMEN, CONVICTED_2024, CONVICTED_WOMEN_2024 = 6550, 1380, 1721, 480
OTHER_EVENTS = ("detention", "raid", "interrogation", "transfer", "denial_of_parcels")
LEAST_PERSONS = 1500
LEAST_EVENTS = sum(DETENTIONS.values()) + TRIALS[2024, 1] + 2 + len(LISTED)


class SynthError(Exception):
    """The registry cannot be filled; the message is one line that says what to do."""


@dataclass
class _Made:
    """Rows by table, and one source of chance for all."""

    chance: random.Random
    rows: Batch = field(default_factory=dict)
    count: int = 0

    def new_id(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def add(self, resource: Resource, parts: dict[str, list[Row]] | None = None, **fields: Any) -> UUID:
        """Make a record with its parts; the name of a part's owner column is looked up."""
        self.count += 1
        record_id = self.new_id()
        own = {**_own(record_id, f"{resource.type}/{self.count}", 0), **_flat(fields)}
        self.rows.setdefault(resource.table.name, []).append(own)
        owners = {n: o for n, (_, o) in tables_of(resource).items()}
        for name, some in (parts or {}).items():
            for position, part in enumerate(some):
                components = part.pop("components", [])
                row = {"id": self.new_id(), "level": 0, "position": position, owners[name]: record_id, **_flat(part)}
                self.rows.setdefault(name, []).append(row)
                for n, component in enumerate(components):
                    piece = {"id": self.new_id(), "level": 0, "position": n, "sentence_id": row["id"], **component}
                    self.rows.setdefault("sentence_components", []).append(piece)
        return record_id


def _own(record_id: UUID, origin_id: str, level: int) -> Row:
    """Return the columns that every record has."""
    ground = {"publication_ground": "public_record"}
    return {"id": record_id, "origin": ORIGIN, "origin_id": origin_id, "level": level, **ground}


def _flat(fields: Row) -> Row:
    """Return the columns of fields: a `DateIn` is five of them, two of which are never made up."""
    row: Row = {}
    for name, value in fields.items():
        if isinstance(value, DateIn):
            row |= {name: value.edtf, f"{name}_earliest": value.earliest, f"{name}_latest": value.latest}
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


@dataclass
class _People:
    """Everybody: ids in the order in which they were made, and which of them are women's and men's."""

    ids: list[UUID]
    women: list[UUID] = field(default_factory=list)
    men: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Part them, prisoners first among both."""
        for n, record_id in enumerate(self.ids):
            (self.women if self.female(n) else self.men).append(record_id)

    def female(self, n: int) -> bool:
        if len(self.ids) >= CONVICTED and PRISONERS <= n < CONVICTED:
            return n - PRISONERS < CONVICTED_WOMEN - WOMEN_IMPRISONED
        return n < WOMEN_IMPRISONED or (n >= PRISONERS and n % 4 == 0)

    def batches(self, seed: int) -> Iterator[Batch]:
        """Yield their records, each with a name in five spellings."""
        chance = random.Random(f"people {seed}")  # noqa: S311 -- of its own: else ids come twice
        born = {year: _flat({"born": DateIn(edtf=str(year))}) for year in range(1955, 2004)}
        named = enumerate(zip(self.ids, made_up.names(len(self.ids), seed), strict=True))
        while some := list(islice(named, AT_ONCE)):
            persons, names = [], []
            for n, (record_id, spellings) in some:
                groups = (["young_person"] if n < YOUNG else []) + (["journalist"] if n < MEDIA_WORKERS else [])
                own = _own(record_id, f"person/{n + 1}", 0)
                sex = "female" if self.female(n) else "male"
                persons.append({**own, "sex": sex, "groups": groups, **born[chance.randrange(1955, 2004)]})
                for position, name in enumerate(made_up.rows(spellings)):
                    part = {"id": UUID(int=chance.getrandbits(128), version=4), "level": 0, "position": position}
                    names.append({**part, "person_id": record_id, **name})
            yield {"persons": persons, "person_names": names}


def _prisoners(made: _Made, people: list[UUID], place: UUID) -> None:
    houses = [
        made.add(ORGANISATIONS, {"organisation_names": [_name(f"Facility {n + 1}")]}, kind="prison", place_id=place)
        for n in range(12)
    ]
    for n, person in enumerate(people):
        house = houses[0] if n % PRISONERS >= PRISONERS - IN_ONE_FACILITY else houses[1 + n % 11]
        start = _day(made, date(2020, 9, 1), date(2024, 1, 25))
        made.add(STATUSES, kind="political_prisoner", person_id=person, facility_id=house, start=start)
        if n < MEDIA_WORKERS:
            made.add(STATUSES, kind="serving_sentence", person_id=person, facility_id=house, start=start)


def _name(text: str) -> Row:
    return {"text": text, "language": "en", "script": "Latn", "kind": "primary", "folded": made_up.folded(text)}


# --- what happened to them ------------------------------------------------------------------------------


def _detentions(made: _Made, women: list[UUID], men: list[UUID], places: list[UUID]) -> list[Row]:
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


def _trials(made: _Made, people: list[UUID], january: list[Row], law: UUID) -> None:
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


def _convicted(made: _Made, women: list[UUID], men: list[UUID], law: UUID) -> None:
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


def _rest(seed: int, people: list[UUID], places: list[UUID], number: int) -> Iterator[Batch]:
    """Spread more events over the years, none of them in the months whose numbers were published.

    One in twenty is for partners and one in twenty restricted.
    """
    chance = random.Random(f"rest {seed}")  # noqa: S311 -- of its own: else ids come twice
    before, after = _days(date(2020, 8, 1), date(2023, 12, 1)), _days(date(2024, 4, 1), date(2025, 6, 1))
    weights = [0.7 / len(before)] * len(before) + [0.3 / len(after)] * len(after)
    for start in range(0, number, AT_ONCE):
        size = min(AT_ONCE, number - start)
        days = chance.choices(before + after, weights, k=size)
        victims, at = chance.choices(people, k=size), chance.choices(places, k=size)
        types, levels = chance.choices(OTHER_EVENTS, k=size), chance.choices((0, 1, 2), (18, 1, 1), k=size)
        events, participants = [], []
        for n in range(size):
            record_id = UUID(int=chance.getrandbits(128), version=4)
            own = _own(record_id, f"event/more/{start + n + 1}", levels[n])
            events.append({**own, "type": types[n], "place_id": at[n], **days[n]})
            part = {"id": UUID(int=chance.getrandbits(128), version=4), "level": levels[n], "position": 0}
            participants.append({**part, "event_id": record_id, "person_id": victims[n], "role": "victim"})
        yield {"events": events, "participants": participants}


def _periods(seed: int, people: list[UUID]) -> Iterator[Batch]:
    """Give everybody a time in which they were wanted, and half of them one in which they could not travel."""
    chance = random.Random(f"periods {seed}")  # noqa: S311 -- of its own: else ids come twice
    first = date(2020, 8, 1)
    days = [first + timedelta(days=n) for n in range(3000)]
    subjects = [("wanted", p) for p in people] + [("travel_ban", p) for p in people[::2]]
    for begun in range(0, len(subjects), AT_ONCE):
        rows = []
        for n, (kind, person) in enumerate(subjects[begun : begun + AT_ONCE], begun + 1):
            own = _own(UUID(int=chance.getrandbits(128), version=4), f"status/more/{n}", 0)
            start = chance.randrange(1900)
            row = {**own, "kind": kind, "person_id": person, "start": str(days[start])}
            row |= {"start_earliest": days[start], "start_latest": days[start]}
            if n % 5:
                end = days[start + chance.randrange(20, 900)]
                row |= {"end": str(end), "end_earliest": end, "end_latest": end}
            rows.append(row)
        yield {"statuses": rows}


def _days(first: date, after: date) -> list[Row]:
    """Return the columns of every day in [first, after)."""
    days = (first + timedelta(days=n) for n in range((after - first).days))
    return [{"date": str(d), "date_earliest": d, "date_latest": d} for d in days]


def make(persons: int, events: int, seed: int) -> Iterator[Batch]:
    """Yield all records, the same for the same numbers and seed; raises `SynthError` for too few."""
    if persons < LEAST_PERSONS or events < LEAST_EVENTS:
        msg = f"the numbers that were published need {LEAST_PERSONS:,} persons and {LEAST_EVENTS:,} events at least"
        raise SynthError(msg)
    return _make(persons, events, seed)


def _make(persons: int, events: int, seed: int) -> Iterator[Batch]:
    made = _Made(random.Random(seed))  # noqa: S311 -- no secret is made of it
    land = made.add(PLACES, {"place_names": [_name("Somewhere")]}, kind="country", code="ZZ")
    places = [
        made.add(PLACES, {"place_names": [_name(f"Region {n}")]}, kind="region", code=f"ZZ-{n}", parent_id=land)
        for n in range(1, 8)
    ]
    administrative = made.add(STATUTES, jurisdiction="ZZ", code="AC", article="1", key="ZZ-AC-1")
    criminal = made.add(STATUTES, jurisdiction="ZZ", code="CC", article="1", part="1", key="ZZ-CC-1-1")
    people = _People([made.new_id() for _ in range(persons)])
    yield from people.batches(seed)
    women, men = people.women, people.men
    _prisoners(made, women[:WOMEN_IMPRISONED] + men[: PRISONERS - WOMEN_IMPRISONED], places[0])
    january = _detentions(made, women, men, places)
    _trials(made, women + men, january, administrative)
    _other_january(made)
    if persons >= CONVICTED:
        _convicted(made, women, men, criminal)
    yield made.rows
    yield from _rest(seed, people.ids, places, events - LEAST_EVENTS)
    yield from _periods(seed, people.ids)


def expected(persons: int, events: int) -> int:
    """Return about how many records `make` makes: everybody has one and a half periods besides."""
    return events + persons * 5 // 2 + sum(TRIALS.values()) + (CONVICTED if persons >= CONVICTED else 0)
