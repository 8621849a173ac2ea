"""Names: what the search finds, whom `similar` suggests, and how fast both are.

`python -m benchmarks.names [--persons 1000000] [--data FOLDER]`; the folder (or CHRONIKA_TEST_DATA) holds
names-spellings/ and names-nomenklatura/.
"""

import argparse
import asyncio
import csv
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx

from app.core import pages, schema
from app.core.crud import insert, rows_of
from app.core.embedded import embedded_server
from app.core.fold import fold
from app.core.likeness import of_names
from app.core.records import Audience
from app.core.settings import Settings
from app.main import create_app
from app.persons.models import PersonIn
from app.persons.queries import PERSONS, PersonQuery
from app.persons.same import THRESHOLD
from benchmarks import people

SECRET = "a secret for benchmarks, of 32 characters or more"  # noqa: S105 -- of a server that lives for minutes
OWN = Path(__file__).with_name("spellings.csv")
"""Spellings of made-up people that were written down apart from the rules, and then measured."""

PUBLIC = {"level": "public", "publication_ground": "public_record"}


def row(name: str, value: str, goal: str = "") -> None:
    """Print one row of the table."""
    print(f"{name:<58} {value:>22}   {goal}")


# --- what is found -----------------------------------------------------------------------------------------


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


async def spellings(app: Any, owner: asyncpg.Connection, client: httpx.AsyncClient, path: Path) -> None:
    """Store one spelling of each person and search by every other; then the next spelling, until each was stored."""
    known: dict[str, list[str]] = {}
    for line in _read(path):
        known.setdefault(line["person"], []).append(line["spelling"])
    first = tried = confused = 0
    missed = []
    for turn in range(max(len(s) for s in known.values())):
        stored = {}
        transaction = await app.state.database.transaction(Audience.EDITOR)
        for person, forms in known.items():
            given = PersonIn.model_validate({"names": [{"text": forms[turn % len(forms)]}], **PUBLIC})
            given.origin, given.origin_id = "benchmark", person
            record_id = people.uuid_of(int(person))
            stored[str(record_id)] = person
            tables = {"persons": PERSONS.table, "person_names": PERSONS.parts[0].table}
            await insert(transaction, rows_of(PERSONS, record_id, given, {}), tables)
        await transaction.end(commit=True)
        for person, forms in known.items():
            for n, form in enumerate(forms):
                if n == turn % len(forms):
                    continue
                items = (await client.get("/v1/persons", params={"q": form})).json()["items"]
                best = stored[items[0]["id"]] if items else None
                tried += 1
                first += best == person
                confused += {best, person} == {"12", "13"}
                if best != person:
                    missed.append(f"{forms[turn % len(forms)]} <- {form}")
        await owner.execute("TRUNCATE persons CASCADE")
    row(f"spellings of {len(known)} people: first place", f"{first}/{tried} = {first / tried:.1%}", ">= 95 %")
    if path != OWN:
        row("spellings: Krasko first for Khrasko, or the other way", str(confused), "0")
    for line in missed[:20]:
        print("    missed:", line)


def pairs(data: Path) -> None:
    """Compare the pairs of persons' names at the threshold of `similar`."""
    cases = [c for c in _read(data / "names-nomenklatura" / "cases.csv") if c["schema"] == "Person"]
    same = [c["is_match"] == "true" for c in cases]
    alike = [of_names(c["name1"], c["name2"]) >= THRESHOLD for c in cases]
    found = sum(a and s for a, s in zip(alike, same, strict=True))
    false = sum(a and not s for a, s in zip(alike, same, strict=True))
    row(f"pairs: found at {THRESHOLD}", f"{found}/{sum(same)}", "> 141 of 247")
    row(f"pairs: false at {THRESHOLD}", f"{false}/{len(same) - sum(same)}", "< 56 of 301")


# --- how fast ----------------------------------------------------------------------------------------------


async def _times(run: Any, questions: list[str]) -> tuple[float, float]:
    """Return the median and the 95th percentile in milliseconds; each question once before, and then once timed."""
    for q in questions:
        await run(q)
    taken = []
    for q in questions:
        start = time.perf_counter()
        await run(q)
        taken.append((time.perf_counter() - start) * 1000)
    cut = quantiles(taken, n=20)
    return cut[9], cut[18]


async def ask(app: Any, path: str, query: str) -> None:
    """Send one request to the application itself, without the cost of a client or a socket."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"benchmark")],
        "server": ("benchmark", 80),
        "client": ("benchmark", 1),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent  # noqa: S101, PLR2004


async def speed(app: Any, some: list[people.Person]) -> None:
    """Time searches by HTTP in this process beside the same SQL on a bare connection of the same login."""
    database = app.state.database
    bare = await (await database.pool(Audience.PUBLIC)).acquire()

    async def by_http(q: str) -> None:
        await ask(app, "/v1/persons", urlencode({"q": q, "limit": 20}))

    async def by_sql(q: str) -> None:
        query = PersonQuery(q=q, limit=20)
        statement = pages.list_statement(
            PERSONS,
            PersonQuery,
            Audience.PUBLIC,
            query.used(),
            pages.BEST_FIRST,
            resumed=False,
            include=frozenset(),
            only=None,
        )
        await bare.fetch(statement.sql, *statement.arguments({**query.values(), "limit": 21}))

    async def suggest(person: str) -> None:
        await ask(app, f"/v1/persons/{person}/similar", "")

    for kind, questions in people.questions(some).items():
        http, sql = await _times(by_http, questions), await _times(by_sql, questions)
        goal = "typo <= 150" if kind.startswith("typing") else "<= 2x, 3x"
        row(
            f"search, {kind}: p50, p95 ms (same SQL, bare)",
            f"{http[0]:.1f}, {http[1]:.1f} ({sql[0]:.1f}, {sql[1]:.1f})",
            f"{http[0] / sql[0]:.2f}x, {http[1] / sql[1]:.2f}x; {goal}",
        )
    took = await _times(suggest, [str(p.id) for p in some[:20]])
    row("similar: p50, p95 ms", f"{took[0]:.1f}, {took[1]:.1f}")
    await (await database.pool(Audience.PUBLIC)).release(bare)


async def _run(url: str, data: Path | None, persons: int) -> None:
    # Without the cache, which would answer what was asked before.
    app = create_app(Settings(database_url=url, secret=SECRET, requests_per_minute=0, cache_mb=0))  # type: ignore[arg-type]
    owner = await asyncpg.connect(url)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://benchmark") as client:
        await spellings(app, owner, client, OWN)
        if data is None:
            print("CHRONIKA_TEST_DATA is not set: spellings and pairs are left out")
        else:
            await spellings(app, owner, client, data / "names-spellings" / "spellings.csv")
            pairs(data)
        if persons:
            start = time.perf_counter()
            some = await people.fill(owner, persons)
            size = await owner.fetchval(
                "SELECT pg_size_pretty(sum(pg_relation_size(indexrelid))) FROM pg_stat_user_indexes "
                "WHERE indexrelname LIKE 'person_keys_public_words%'"
            )
            took = f"{time.perf_counter() - start:.0f}, {size}"
            row(f"{persons:,} persons x 5 names: s to fill, index of words", took)
            await speed(app, some)
    await owner.close()
    await app.state.database.close()


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.names", description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000, help="how many to make for the timings; 0 for none")
    parser.add_argument("--data", type=Path, default=os.environ.get("CHRONIKA_TEST_DATA"), help="folder of the lists")
    given = parser.parse_args(arguments)
    assert fold("Ціхан") == "tigan"  # noqa: S101 -- the fold that is measured is this one
    with tempfile.TemporaryDirectory() as folder, embedded_server(Path(folder), SECRET.encode(), fast=True) as url:
        schema.upgrade(url, SECRET.encode())
        asyncio.run(_run(url, given.data, given.persons))


if __name__ == "__main__":
    main(sys.argv[1:])
