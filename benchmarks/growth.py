"""How the cost grows with the registry, and what the policies cost."""

import random
from collections.abc import Callable, Iterator
from itertools import chain, cycle, repeat
from statistics import median
from urllib.parse import quote

from benchmarks import names
from benchmarks.place import Place, Size
from benchmarks.reads import WITH, list_urls
from benchmarks.results import Line
from benchmarks.sides import in_turn, psql
from benchmarks.statements import longest, said
from benchmarks.statistics import by_month_and_region
from benchmarks.streams import beginning, walk

ROLE = "partner"
AT_ONCE = 40
"""Answers in one run; the median counts."""

WARM = 400
"""Answers before the first run, which open connections and settle plans."""

PAGE = 100
"""Items on a page of the feed."""

LEAST = 100_000
"""Events from which on a step has a goal: of less, everything lies in the processor's own cache."""


def growth(place: Place) -> list[Line]:
    """Measure a list, a detail, a search and a page of the feed at three sizes, each ten times the one before.

    Each database was read into memory, as far as it fits: what grows with the disk's part is the machine's cost. A step
    from fewer events than `LEAST` is told and not judged.
    """
    for size in place.scale.sizes:
        place.warm(size)
    asks = {size: _asks(place, size) for size in place.scale.sizes}
    lines = []
    for what in asks[place.scale.largest]:
        found: dict[Size, list[float]] = {size: [] for size in asks}
        for by_name in asks.values():
            for _ in range(WARM // AT_ONCE):
                by_name[what]()
        for _ in range(place.scale.runs):
            for size, by_name in asks.items():
                found[size].append(by_name[what]())
        for before, after in zip(place.scale.sizes, place.scale.sizes[1:], strict=False):
            name = f"{what}, {before.events:,} → {after.events:,} events"
            goal = 1.3 if before.events >= LEAST else None
            lines.append(Line(name, "ms", found[after], found[before], "the smaller", goal, at_most=True))
    return lines


def _asks(place: Place, size: Size) -> dict[str, Callable[[], float]]:
    """Return what measures each kind of question on a database of a size, in milliseconds."""
    client = place.api(size).client(ROLE)
    ids = place.value("SELECT array_agg(id ORDER BY n) FROM benchmark_ids", size=size)
    searched = names.questions(place, size)["full name"]
    random.Random(1).shuffle(searched)  # noqa: S311 -- no secret
    urls: dict[str, Iterator[str]] = {
        "list": iter(list_urls()),
        "detail": cycle(f"/v1/persons/{i}{WITH}" for i in ids),
        "search": (
            f"/v1/persons?limit={20 + n // len(searched) % 100}&q={quote(q)}" for n, q in enumerate(cycle(searched))
        ),
    }

    def ask(name: str) -> float:
        return median(client.get(next(urls[name])).seconds * 1000 for _ in range(AT_ONCE))

    editor, start = place.api(size).client("editor"), beginning(place, size)
    pages = (t for t, items in chain.from_iterable(walk(editor, start, PAGE) for _ in repeat(None)) if items == PAGE)

    def page() -> float:
        """Read on in the feed."""
        return median(next(pages) * 1000 for _ in range(AT_ONCE // 10))

    return {**{n: lambda n=n: ask(n) for n in urls}, "page of the feed": page}  # type: ignore[misc]


def policies(place: Place) -> list[Line]:
    """Measure an aggregate over public rows and a name search under row-level security and without."""
    url = by_month_and_region(0)
    aggregate = longest(said(place, "public", lambda api: api.client("public").get(url))).with_parameters()
    searches = [names.as_literals(q) for q in names.questions(place)["surname"][:10]]
    search = ";\n".join(searches)
    lines = []
    for name, sql, times in (("aggregate over public rows", aggregate, 5), ("search by surname", search, 3)):
        ours, other = in_turn(
            place.scale.runs,
            lambda _n, s=sql, t=times: median(psql(place, "public", s, t)) * 1000,  # type: ignore[misc]
            lambda _n, s=sql, t=times: median(psql(place, "owner", s, t)) * 1000,  # type: ignore[misc]
        )
        lines.append(Line(f"{name}, under policies", "ms", ours, other, "the same without", 2, at_most=True))
    return lines
