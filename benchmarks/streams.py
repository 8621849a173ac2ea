"""Long answers: exports, the snapshot and the feed, against psql copying the same rows, and what memory they take."""

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from app.changes import cursors
from app.changes.models import CEILINGS, Selection
from app.changes.queries import item_sql, seq_of
from app.core.records import Audience
from app.persons.queries import PERSONS
from benchmarks.http import Client
from benchmarks.place import SECRET, Api, Place, Size
from benchmarks.results import Line
from benchmarks.sides import copied, in_turn
from benchmarks.statements import longest, said

ROLE = "editor"
PAGE = 1000
EXPORTS = {
    "export, NDJSON": ("/v1/persons/export", 0.9),
    "export, CSV": ("/v1/persons/export?format=csv", 0.9),
    "snapshot": ("/v1/snapshot?types=person", 0.8),
}
JSON_LINES = "WITH (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ESCAPE E'\\x01')"
"""Copies JSON texts as they are."""
WHOLE = "/v1/events/export"


def streams(place: Place) -> list[Line]:
    """Measure exports of all persons as NDJSON and as CSV, the snapshot, and the memory of exporting all events."""
    lines = [_copying(place, name, path, goal) for name, (path, goal) in EXPORTS.items()]
    api = place.api()
    before = sum(_peaks(api, forget=True))
    api.client(ROLE).stream(WHOLE)
    grown = sum(_peaks(api)) - before
    count = place.value("SELECT count(*) FROM events")
    lines.append(
        Line(
            "export, memory", "MB", [grown], goal=20, at_most=True, note=f"more than {before:.0f} MB; {count:,} events"
        )
    )
    return lines


def _copying(place: Place, name: str, path: str, goal: float) -> Line:
    asked = said(place, ROLE, lambda api: api.client(ROLE).stream(path), place.scale.sizes[0])
    statement = longest(asked).sql
    selected = re.fullmatch(r"COPY \((.*)\) TO STDOUT(.*)", statement, re.DOTALL)
    if selected is None:
        msg = f"{path} is not copied: {statement[:200]}"
        raise RuntimeError(msg)
    count = place.value("SELECT count(*) FROM persons")
    client = place.api().client(ROLE)
    a, b = in_turn(
        place.scale.runs,
        lambda _: count / client.stream(path)[1],
        lambda _: count / copied(place, ROLE, selected[1], selected[2]),
    )
    return Line(name, "records/s", a, b, r"\copy", goal)


def feed(place: Place) -> list[Line]:
    """Measure the feed: the changes of all persons in pages of 1,000, and then how fast it passes over all others."""
    start, client = beginning(place), place.api().client(ROLE)
    every, count = place.value("SELECT ARRAY[count(*), count(*) FILTER (WHERE record_type = 'person')] FROM changes")
    ordered = (
        f"SELECT {item_sql(PERSONS, Audience.EDITOR)} FROM persons AS r JOIN changes c ON c.record_id = r.id "  # noqa: S608 -- our own names
        f"WHERE c.{seq_of(Audience.EDITOR)} > 0 AND c.record_type = 'person' ORDER BY c.{seq_of(Audience.EDITOR)}"
    )
    pages: list[float] = []
    passed: list[float] = []

    def ours(_: int) -> float:
        times = list(walk(client, start, PAGE))
        full = [t for t, items in times if items]
        pages.extend(full)
        if empty := [t for t, items in times if not items]:
            passed.append((every - count) / sum(empty))
        return float(count / sum(full))

    ours(0)
    passed.clear()
    a, b = in_turn(place.scale.runs, ours, lambda _: count / copied(place, ROLE, ordered, JSON_LINES))
    others = f"{every - count:,} in empty pages" if passed else "all of them fit on one page"
    return [
        Line("feed", "records/s", a, b, r"\copy", 0.8, note=f"a page takes {median(pages) * 1000:.0f} ms"),
        Line("feed, changes of what is not asked for", "passed/s", passed, note=others),
    ]


def beginning(place: Place, size: Size | None = None) -> str:
    """Return the cursor of an editor who follows persons and has seen nothing."""
    selection = Selection(types=["person"])
    nowhere: Any = (0, cursors.NOWHERE)
    types, excluded = cursors.types_of(selection), cursors.excluded_by(selection)
    identity = place.value("SELECT id FROM feed", size=size)
    at = cursors.Place(identity, CEILINGS[Audience.EDITOR], types, excluded, *nowhere, *nowhere)
    return cursors.write(at, SECRET.encode())


def walk(client: Client, cursor: str, limit: int) -> Iterator[tuple[float, int]]:
    """Read the feed to its end; yield the seconds of each page, and how many items it has."""
    more = True
    while more:
        answer = client.get(f"/v1/changes?types=person&limit={limit}&cursor={cursor}")
        end = answer.body[-500:].decode(errors="ignore")
        cursor = re.findall(r'"cursor": ?"([^"]+)"', end)[-1]
        more = '"has_more": true' in end
        yield answer.seconds, answer.body.count(b'{"seq":')


def _peaks(api: Api, *, forget: bool = False) -> Iterator[float]:
    """Yield the most memory that each process of the service held, in MB; `forget` begins anew from now."""
    for pid in api.pids():
        if forget:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        yield int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024
