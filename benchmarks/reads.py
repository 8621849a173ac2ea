"""Reading: a list of 50, one person with cases and events, and what the cache answers, with a partner's key."""

import json
import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from statistics import median
from uuid import UUID

from app.core import pages
from app.core.records import Audience
from app.events.queries import EVENTS, EventQuery
from benchmarks.place import IDS, SECRET, Place
from benchmarks.results import Line
from benchmarks.sides import in_turn, load, pgbench
from benchmarks.statements import longest, said

ROLE = "partner"
AN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
A_DAY = re.compile(r"\d{4}-\d\d-\d\d")
ANY_UUID = "(lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-000000000000')"
ANY_DAY = "(date '2020-08-01' + :b::integer)::text"
DAYS = 1750
"""Days in which most synthetic events lie."""
ANY_PERSON = "(SELECT id FROM benchmark_ids WHERE n = :a)"
WITH = "?include=cases,events"


def list_urls(count: int = IDS) -> list[str]:
    """Return pages of events that begin anywhere, so that none is asked for twice."""
    query = EventQuery(limit=50)
    order = pages.order_of(EVENTS, None, Audience.PARTNER, query.used())
    scope = pages.scope_of(EVENTS, query, order)
    chance = random.Random(1)  # noqa: S311 -- no secret
    days = (date(2020, 8, 1) + timedelta(days=chance.randrange(DAYS)) for _ in range(count))
    places = (json.dumps([str(day), str(UUID(int=chance.getrandbits(128)))]) for day in days)
    return [f"/v1/events?limit=50&cursor={pages.write_cursor(scope, p, SECRET.encode())}" for p in places]


def detail_urls(place: Place) -> list[str]:
    """Return persons with their cases and events."""
    ids = place.value("SELECT array_agg(id ORDER BY n) FROM benchmark_ids")
    return [f"/v1/persons/{i}{WITH}" for i in ids]


def _compare(place: Place, name: str, urls: list[str], script: str, goals: tuple[float, float]) -> list[Line]:
    api, seconds, lines = place.api(), place.scale.seconds, []
    own: list[float] = []
    asked = 0
    place.warm()

    def ours(clients: int) -> float:
        nonlocal asked
        found = load(api, api.headers(ROLE), urls, asked, clients=clients, seconds=seconds)
        asked += int(found.rate * seconds * 1.2)  # never the same page again: it would come from the cache
        own.append(found.own)
        return found.rate

    ours(16)  # opens all connections, on which PostgreSQL then settles on its plans
    for clients, bounds in ((1, (None, None)), (16, goals)):
        a, b = in_turn(
            place.scale.runs,
            lambda _n, c=clients: ours(c),  # type: ignore[misc]
            lambda _n, c=clients: pgbench(place, ROLE, script, clients=c, seconds=seconds),  # type: ignore[misc]
        )
        note = f"the generator takes {median(own):.0f} µs of processor for each"
        lines.append(Line(f"{name}, c={clients}", "answers/s", a, b, "pgbench", bounds[0], later=bounds[1], note=note))
    return lines


def _script(place: Place, path: str, expression: str, top: int) -> str:
    """Return a pgbench script of the statement behind a path, with the id in it made up or picked anew each time."""
    statement = longest(said(place, ROLE, lambda api: api.client(ROLE).get(path)))

    def put(literal: str) -> str:
        if AN_ID.fullmatch(literal.strip("'")):
            return expression
        return ANY_DAY if A_DAY.fullmatch(literal.strip("'")) else literal

    sets = f"\\set a random(1, {top})\n\\set b random(0, {DAYS})\n"
    return f"{sets}{statement.with_parameters(put)};\n"


def listing(place: Place) -> list[Line]:
    """Measure a list of 50 events."""
    urls = list_urls()
    return _compare(place, "list of 50 events", urls, _script(place, urls[0], ANY_UUID, 2**32 - 1), (0.24, 0.40))


def detail(place: Place) -> list[Line]:
    """Measure one person with names, cases and events."""
    urls = detail_urls(place)
    name = "person with cases and events"
    return _compare(place, name, urls, _script(place, urls[0], ANY_PERSON, len(urls)), (0.22, 0.45))


def cache(place: Place) -> list[Line]:
    """Measure the same page asked for again, and asked for with its ETag, against pages that are asked for once."""
    api, seconds, fresh = place.api(), place.scale.seconds, list_urls()
    page, headers = [fresh[0]], api.headers(ROLE)
    etag = api.client(ROLE).get(page[0]).headers["etag"]
    asked = 0

    def run(urls: list[str], more: dict[str, str]) -> float:
        nonlocal asked
        found = load(api, {**headers, **more}, urls, asked, clients=16, seconds=seconds).rate
        asked += int(found * seconds * 1.2) if urls is fresh else 0
        return found

    uncached: Callable[[int], float] = lambda _n: run(fresh, {})  # noqa: E731
    hit = in_turn(place.scale.runs, lambda _n: run(page, {}), uncached)
    same = in_turn(place.scale.runs, lambda _n: run(page, {"If-None-Match": etag}), uncached)
    return [
        Line("list from the cache, c=16", "answers/s", *hit, "the same uncached", 7),
        Line("304 from the cache, c=16", "answers/s", *same, "the same uncached", 9),
    ]
