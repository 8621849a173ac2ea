"""Names: what the search finds, whom `similar` suggests, and how fast both are."""

import asyncio
import csv
import json
import os
import random
import time
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

import asyncpg

from app.core import pages
from app.core.likeness import of_names
from app.core.records import Audience
from app.core.settings import role_password
from app.persons.queries import PERSONS, PersonQuery
from app.persons.same import THRESHOLD
from benchmarks.http import Client
from benchmarks.place import SECRET, Place, Size
from benchmarks.results import Line
from benchmarks.statements import Statement

PUBLIC = {"level": "public", "publication_ground": "public_record"}
OWN = Path(__file__).with_name("spellings.csv")
"""Spellings of made-up people that were written down apart from the rules, and then measured."""
ASKED = 60
"""Questions of each kind."""

# --- what is found -----------------------------------------------------------------------------------------


def found(place: Place) -> list[Line]:
    """Measure how often a person is found by another spelling, also on the lists in the folder CHRONIKA_TEST_DATA."""
    own = _spellings(place, OWN)[:1]
    data = os.environ.get("CHRONIKA_TEST_DATA")
    if data is None:
        return [*own, Line("published lists", "%", [], note="CHRONIKA_TEST_DATA is not set")]
    return [*own, *_spellings(place, Path(data) / "names-spellings" / "spellings.csv"), *_pairs(Path(data))]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def _spellings(place: Place, path: Path) -> list[Line]:
    """Store one spelling of each person and search by every other; then the next spelling, until each was stored."""
    known: dict[str, list[str]] = {}
    for one in _read(path):
        known.setdefault(one["person"], []).append(one["spelling"])
    size = Size(0, 0, "spellings")
    place.make(size)
    client = place.api(size).client("editor")
    first = tried = confused = 0
    missed: list[str] = []
    for turn in range(max(len(s) for s in known.values())):
        place.do("TRUNCATE persons CASCADE", size)
        stored = {}
        for person, forms in known.items():
            body = {"names": [{"text": forms[turn % len(forms)]}], "origin": f"turn {turn}", "origin_id": person}
            answer = client.post("/v1/persons", json.dumps({**body, **PUBLIC}).encode())
            stored[json.loads(answer.body)["id"]] = person
        for person, forms in known.items():
            for n, form in enumerate(forms):
                if n != turn % len(forms):
                    items = json.loads(client.get("/v1/persons?" + urlencode({"q": form})).body)["items"]
                    best = stored[items[0]["id"]] if items else None
                    tried, first = tried + 1, first + (best == person)
                    confused += {best, person} == {"12", "13"}
                    missed += [] if best == person else [f"{forms[turn % len(forms)]} by {form}"]
    note = f"{first} of {tried}; missed: {', '.join(missed[:10]) or 'none'}"
    return [
        Line(f"spellings of {len(known)} people: first place", "%", [100 * first / tried], goal=95, note=note),
        Line("spellings: Krasko taken for Khrasko", "times", [confused], goal=0, at_most=True),
    ]


def _pairs(data: Path) -> list[Line]:
    """Compare the pairs of persons' names at the threshold of `similar`."""
    cases = [c for c in _read(data / "names-nomenklatura" / "cases.csv") if c["schema"] == "Person"]
    same = [c["is_match"] == "true" for c in cases]
    alike = [of_names(c["name1"], c["name2"]) >= THRESHOLD for c in cases]
    hits = sum(a and s for a, s in zip(alike, same, strict=True))
    false = sum(a and not s for a, s in zip(alike, same, strict=True))
    return [
        Line("pairs of one person: found", "pairs", [hits], goal=142, note=f"of {sum(same)}, at {THRESHOLD}"),
        Line(
            "pairs of two persons: taken for one",
            "pairs",
            [false],
            goal=55,
            at_most=True,
            note=f"of {len(same) - sum(same)}",
        ),
    ]


# --- how fast ----------------------------------------------------------------------------------------------


def _mistyped(name: str, chance: random.Random) -> str:
    """Swap or change one letter inside the longest word."""
    words = name.split()
    at = max(range(len(words)), key=lambda n: len(words[n]))
    word = words[at]
    n = chance.randrange(2, len(word) - 2)
    swapped, changed = word[:n] + word[n + 1] + word[n] + word[n + 2 :], word[:n] + "м" + word[n + 1 :]
    words[at] = chance.choice((swapped, changed))
    return " ".join(words)


def questions(place: Place, size: Size | None = None) -> dict[str, list[str]]:
    """Return what might be typed to find some of the people, by kind."""
    chance = random.Random(2)  # noqa: S311 -- no secret
    sql = """
        SELECT json_agg(x.texts) FROM (
          SELECT array_agg(text ORDER BY position) AS texts FROM person_names
           WHERE person_id IN (SELECT id FROM persons ORDER BY id LIMIT $1) GROUP BY person_id ORDER BY person_id) AS x
    """
    some: list[list[str]] = json.loads(place.value(sql, ASKED, size=size))
    return {
        "full name": [names[n % 4] for n, names in enumerate(some)],
        "surname": [names[n % 2 * 2].split()[1] for n, names in enumerate(some)],
        "half a surname": [names[0].split()[1][:5] for names in some],
        "given name alone": [names[0].split()[0] for names in some[:20]],
        "given name and two letters": [f"{(w := names[0].split())[0]} {w[1][:2]}" for names in some[:20]],
        "two letters": [names[0].split()[1][:2] for names in some[:20]],
        "typing error": [_mistyped(names[0], chance) for names in some],
        "typing error, surname alone": [_mistyped(names[0].split()[1] + "а", chance) for names in some],
        "nobody's name": ["Zzyzx Qwertyuiop", "Пржевальский Николай Михайлович", "ффффф", "Ломоноска", "a b c d"],
        "odd": ["%", "\\", "'\"", "😀", "علي", "a", "Я", "ch" * 150, "Ў" * 300, "Вера " * 60],
    }


def statement(q: str) -> tuple[Any, list[Any]]:
    """Return the statement of a search and its arguments."""
    query = PersonQuery(q=q, limit=20)
    built = pages.list_statement(
        PERSONS,
        PersonQuery,
        Audience.PUBLIC,
        query.used(),
        pages.BEST_FIRST,
        resumed=False,
        include=frozenset(),
        only=None,
    )
    return built.sql, built.arguments({**query.values(), "limit": 21})


def as_literals(q: str) -> str:
    """Return the SQL of a search with its arguments in place."""
    sql, arguments = statement(q)
    return Statement(sql, {n: _literal(v) for n, v in enumerate(arguments, 1)}).with_parameters()


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    text = "{" + ",".join(json.dumps(v, ensure_ascii=False) for v in value) + "}" if isinstance(value, list) else value
    return "'" + str(text).replace("'", "''") + "'"


def speed(place: Place) -> list[Line]:
    """Measure searches by name, of which each is asked once before, beside the same SQL on a bare connection."""
    client = place.api().client("public")
    asked, lines = questions(place), []
    size = place.value(
        "SELECT sum(pg_relation_size(indexrelid)) / 1e6 FROM pg_stat_user_indexes "
        "WHERE indexrelname LIKE 'person_keys_public_words%'"
    )
    for kind, some in asked.items():
        runs = [asyncio.run(_both(place, client, some, n)) for n in range(place.scale.runs)]
        for part, bound in ((0, 2.0), (1, 3.0)):
            ours, bare = [r[0][part] for r in runs], [r[1][part] for r in runs]
            name = f"search by {kind}, {('p50', 'p95')[part]}"
            lines.append(Line(name, "ms", ours, bare, "the bare SQL", bound, at_most=True))
        if kind.startswith("typing"):
            lines.append(Line(f"search by {kind}, at most", "ms", [r[0][2] for r in runs], goal=150, at_most=True))
    ids = place.value("SELECT array_agg(id) FROM (SELECT id FROM benchmark_ids ORDER BY n LIMIT 40) AS x")
    taken = [client.get(f"/v1/persons/{i}/similar").seconds * 1000 for i in ids]
    marks = quantiles(taken, n=20)
    note = f"each asked once; the index of words has {size:.0f} MB"
    lines.append(Line("persons alike, p50", "ms", [marks[9]], goal=100, at_most=True, note=note))
    lines.append(Line("persons alike, p95", "ms", [marks[18]]))
    return lines


Times = tuple[float, float, float]
"""The median, the 95th percentile and the most."""


async def _both(place: Place, client: Client, some: list[str], turn: int) -> tuple[Times, Times]:
    """Ask each question of both sides; return the times of each in milliseconds."""
    login = place.login("public")
    bare = await asyncpg.connect(
        host=login["PGHOST"],
        user=login["PGUSER"],
        database=login["PGDATABASE"],
        password=role_password(SECRET.encode(), login["PGUSER"]),
        server_settings={"jit": "off"},
    )
    ours, theirs = [], []
    try:
        for n in range(2):
            for q in some:
                sql, arguments = statement(q)
                # A limit of its own in each run: the answer to the very same question may come from the cache.
                answer = client.get("/v1/persons?" + urlencode({"q": q, "limit": 20 + 2 * turn + n}))
                began = time.perf_counter()
                await bare.fetch(sql, *arguments)
                if n:
                    theirs.append((time.perf_counter() - began) * 1000)
                    ours.append(answer.seconds * 1000)
    finally:
        await bare.close()
    a, b = quantiles(ours, n=20), quantiles(theirs, n=20)
    return (a[9], a[18], max(ours)), (b[9], b[18], max(theirs))
