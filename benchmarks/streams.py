"""Long answers: feed, snapshot and exports against psql's copy of the same rows, and the memory they take."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

from app.changes import cursors
from app.changes.models import Selection
from app.changes.queries import item_sql, seq_of
from app.core.records import Audience
from app.events.queries import EVENTS
from benchmarks.http import Answer, Client
from benchmarks.place import SECRET, Api, Place
from benchmarks.results import Line
from benchmarks.sides import copied, in_turn
from benchmarks.statements import longest, said

ROLE = "partner"
PAGE = 1000
JSON_LINES = "WITH (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ESCAPE E'\\x01')"
"""Copies JSON texts as they are."""


def feed(place: Place) -> list[Line]:
    """Measure pages of the feed, and a snapshot."""
    pages = max(2, min(20, place.scale.largest.events // PAGE // 2))
    seq = seq_of(Audience.PARTNER)
    sql = (
        f"SELECT {item_sql(EVENTS, Audience.PARTNER)} FROM changes c JOIN events r ON r.id = c.record_id "  # noqa: S608
        f"WHERE c.record_type = 'event' AND c.{seq} IS NOT NULL ORDER BY c.{seq} LIMIT {pages * PAGE}"
    )
    client, copy = place.api().client(ROLE), place.state / "copy"

    def read(_n: int) -> float:
        answers = islice(feed_pages(client, PAGE), pages)
        return pages * PAGE / sum(answer.seconds for answer in answers)

    def read_copy(_n: int) -> float:
        return pages * PAGE / copied(place, ROLE, sql, copy, JSON_LINES)

    lines = [Line("feed pages", "records/s", *in_turn(place.scale.runs, read, read_copy), "psql copy", 0.8)]
    path = "/v1/snapshot?types=status"
    statement = longest(said(place, ROLE, lambda api: api.client(ROLE).stream(path)))
    count = int(place.value("SELECT count(*) FROM statuses WHERE effective_level <= 1"))
    ours, other = in_turn(
        place.scale.runs,
        lambda _n: count / client.stream(path)[1],
        lambda _n: count / copied(place, ROLE, statement.with_parameters(), copy, JSON_LINES),
    )
    copy.unlink()
    return [*lines, Line("snapshot", "records/s", ours, other, "psql copy", 0.8)]


def feed_pages(client: Client, limit: int) -> Iterator[Answer]:
    """Read the feed of events from its beginning, page by page."""
    first = json.loads(client.get("/v1/snapshot?types=statute").body.split(b"\n")[0])
    place = cursors.read(first["cursor"], SECRET.encode())
    start = replace(place, types=cursors.types_of(Selection(types=["event"])), seq=0, uid=cursors.NOWHERE)
    cursor = cursors.write(start, SECRET.encode())
    while True:
        answer = client.get(f"/v1/changes?types=event&limit={limit}&cursor={cursor}")
        page = json.loads(answer.body)
        if len(page.get("items", [])) < limit:
            raise RuntimeError(answer.body[:1000])
        yield answer
        cursor = page["cursor"]


def export(place: Place) -> list[Line]:
    """Measure exports of events as NDJSON and as CSV, and what the longest one adds to the service's memory."""
    api, copy, lines = place.api(), place.state / "copy", []
    client = api.client(ROLE)
    some = "&from=2023-01-01&to=2023-04-01"
    for form, options in (("ndjson", JSON_LINES), ("csv", "WITH (FORMAT csv, HEADER)")):
        path = f"/v1/events/export?format={form}{some}"
        statement = longest(said(place, ROLE, lambda a, p=path: a.client(ROLE).stream(p)))  # type: ignore[misc]
        sql = statement.sql.partition("COPY (")[2].rpartition(") TO STDOUT")[0] or statement.with_parameters()
        ours, other, sizes = [], [], []
        for _ in range(place.scale.runs):
            size, seconds = client.stream(path)
            ours.append(size / seconds / 1e6)
            sizes.append(size / 1e6)
            other.append(size / copied(place, ROLE, sql, copy, options) / 1e6)
        lines.append(
            Line(f"export of {form}", "MB/s", ours, other, "psql copy", 0.9, note=f"{median(sizes):.0f} MB at a time")
        )
    copy.unlink()
    _forget_peak(api)
    before = _peak(api)
    client.stream("/v1/events/export?format=ndjson")
    rows = place.value("SELECT count(*) FROM events WHERE effective_level <= 1")
    grown = _peak(api) - before
    note = f"{rows:,} rows"
    return [*lines, Line("memory that a full export adds", "MB", [grown], goal=20, at_most=True, note=note)]


def _forget_peak(api: Api) -> None:
    """Let the kernel measure the peak anew."""
    for pid in api.pids():
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak(api: Api) -> float:
    """Return the most memory that the service has had, in MB."""
    lines = [x for pid in api.pids() for x in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1024
