"""Imports beside others, of rows that name one another, and of many rows: the same end, in flat memory."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.core.records import Audience
from app.exchange.console import ImportOptions, run_export, run_import
from app.exchange.store import MOST_UNKNOWN, Outcome, StoreError
from tests.conftest import EMPTIED, SECRET, Api
from tests.factories import make

pytestmark = pytest.mark.anyio

MAPPING = """
name = "own"
origin = "own"
[identity]
columns = ["no"]
[values]
no = {}
name = {}
sex = { map = { "m" = "male" } }
[[records]]
name = "person"
resource = "persons"
id = "{no}"
fields = { names = [{ text = "$name" }], sex = "$sex" }
"""


def written(directory: Path, rows: list[str]) -> Path:
    """Write a file of rows with its mapping beside it."""
    (directory / "own.toml").write_text(MAPPING)
    path = directory / "own.csv"
    path.write_text("no,name,sex\n" + "\n".join(rows) + "\n")
    return path


async def run(api: Api, path: Path, mapping: str | None = None, **options: Any) -> Outcome:
    chosen = ImportOptions(mapping or str(path.parent / "own.toml"), **options)
    return await run_import(api.site.url, api.site.settings(), path, chosen)


async def everything(api: Api, directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Export all and return the records without what the server makes."""
    site = api.site
    await run_export(
        site.url, site.settings(), "all", form="ndjson", filters=[], output=directory, audience=Audience.EDITOR
    )
    made = {"version", "created_at", "updated_at"}
    return {
        path.name: [
            {k: v for k, v in json.loads(line).items() if k not in made} for line in path.read_text().splitlines()[:-1]
        ]
        for path in sorted(directory.iterdir())  # noqa: ASYNC240 -- nothing else runs here
    }


async def test_records_that_name_one_another_come_in_whatever_their_order(
    api: Api, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.exchange.importer.BATCH", 3)
    monkeypatch.setattr("app.exchange.importer.TOGETHER", 4)
    # A chain of places in which each is inside of a later one, and an organisation that cites what it has published.
    places = [await make(api.editor, "places", kind="city", code=None) for _ in range(12)]
    places.sort(key=lambda p: p["id"])
    for inner, outer in pairwise(places):
        etag = (await api.editor.get(f"/v1/places/{inner['id']}")).headers["etag"]
        answer = await api.editor.patch(
            f"/v1/places/{inner['id']}", json={"parent": {"id": outer["id"]}}, headers={"If-Match": etag}
        )
        assert answer.status_code == 200, answer.text
    house = await make(api.editor, "organisations", names=[{"text": "Publisher"}])
    sources = [await make(api.editor, "sources", publisher={"id": house["id"]}) for _ in range(12)]
    etag = (await api.editor.get(f"/v1/organisations/{house['id']}")).headers["etag"]
    cited = {"citations": [{"source": {"id": max(s["id"] for s in sources)}}]}
    answer = await api.editor.patch(f"/v1/organisations/{house['id']}", json=cited, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    first = await everything(api, tmp_path / "first")
    assert len(first["places.ndjson"]) == 12

    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    dry = await run(api, tmp_path / "first", "chronika", dry=True, report=tmp_path / "report")
    assert await owner.fetchval("SELECT count(*) FROM changes") == 0
    real = await run(api, tmp_path / "first", "chronika", report=tmp_path / "report")
    assert (dry.rows, dry.rejected, dry.created) == (real.rows, real.rejected, real.created)
    assert (real.rows, real.taken, real.rejected, real.left) == (25, 25, 0, Counter())
    assert await everything(api, tmp_path / "second") == first


async def test_a_record_that_names_what_never_comes_is_rejected_by_its_file_and_line(
    api: Api, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.exchange.importer.BATCH", 2)
    parent = await make(api.editor, "organisations", names=[{"text": "Above"}])
    child = await make(api.editor, "organisations", parent={"id": parent["id"]}, names=[{"text": "Below"}])
    for n in range(5):
        await make(api.editor, "sources", publisher={"id": child["id"]}, title=f"Report {n}")
    await everything(api, tmp_path / "all")
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    (tmp_path / "all" / "organisations.ndjson").unlink()
    outcome = await run(api, tmp_path / "all", "chronika", report=tmp_path / "report")
    assert (outcome.rows, outcome.rejected, outcome.taken) == (5, 5, 0)
    assert outcome.unknown == Counter({("organisations", child["id"]): 5})
    told = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert [(t["resource"], t["line"], t["column"]) for t in told] == [
        ("sources", n, "source.publisher") for n in range(1, 6)
    ]


async def test_an_import_that_meets_with_others_changes_tries_again(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    path = written(tmp_path, [f"{n},Person {n},m" for n in range(2)])
    await run(api, path)
    first, second = [r[0] for r in await owner.fetch("SELECT id FROM persons ORDER BY id")]
    written(tmp_path, [f"{n},Person {n}," for n in range(2)])
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'chronika_editor'"
    other = await asyncpg.connect(api.site.url)
    try:
        # The import is to be the one of the two that PostgreSQL ends: it looks for deadlocks first.
        await other.execute("SET deadlock_timeout = '20s'")
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM persons WHERE id = $1 FOR UPDATE", second)
        importing = asyncio.create_task(run(api, path))
        while not await owner.fetchval(waiting):  # noqa: ASYNC110 -- it is in another process
            await asyncio.sleep(0.01)
        await other.execute("SELECT FROM persons WHERE id = $1 FOR UPDATE", first)
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        await transaction.commit()
        outcome = await importing
        await owner.execute("SELECT pg_stat_clear_snapshot()")
        assert await owner.fetchval(deadlocks) >= 1
    finally:
        await other.close()
    assert (outcome.updated["persons"], outcome.rejected) == (2, 0)
    assert await owner.fetchval("SELECT count(*) FROM persons WHERE sex IS NULL AND version = 2") == 2


async def test_a_database_that_goes_away_is_said_and_the_next_run_goes_on(
    api: Api, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.exchange.importer.BATCH", 20)
    path = written(tmp_path, [f"{n},Person {n},m" for n in range(200)])
    importing = asyncio.create_task(run(api, path))
    while await owner.fetchval("SELECT count(*) FROM persons") == 0:  # noqa: ASYNC110 -- it is in another process
        await asyncio.sleep(0.01)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chronika_editor'"
    while not importing.done():
        await owner.execute(f"{ended} AND state <> 'idle' AND datname = current_database()")
        await asyncio.sleep(0.005)
    with pytest.raises(StoreError, match="run it again"):
        await importing
    there = await owner.fetchval("SELECT count(*) FROM persons")
    assert 0 < there < 200
    assert there % 20 == 0
    outcome = await run(api, path)
    assert (outcome.created["persons"], outcome.left["persons"]) == (200 - there, there)


GROWTH = """
import asyncio, resource, sys
from pathlib import Path
from app.core.settings import Settings
from app.exchange.console import ImportOptions, run_import

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def main(url, secret, *paths):
    settings = Settings(database_url=url, secret=secret)
    told = []
    for path in paths:
        options = ImportOptions(str(Path(path).parent / "own.toml"), dry=True)
        outcome = await run_import(url, settings, Path(path), options)
        told.append([outcome.rows, outcome.rejected, len(outcome.unknown), peak()])
    print(told)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_memory_does_not_grow_with_the_rows(api: Api, tmp_path: Path) -> None:
    """Almost all rows are rejected, each for a word of its own: what is remembered of a row is what could grow."""
    (tmp_path / "own.toml").write_text(MAPPING)
    paths = []
    for count in (12_000, 36_000):
        paths.append(tmp_path / f"{count}.csv")
        with paths[-1].open("w") as file:
            file.write("no,name,sex\n")
            file.writelines(f"{n},Person {n},{'m' if n % 100 == 0 else f'word {n}'}\n" for n in range(count))
    command = [sys.executable, "-c", GROWTH, api.site.url, SECRET, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})  # noqa: ASYNC221 -- nothing else runs here
    (rows, rejected, unknown, small), (more_rows, _, more_unknown, large) = json.loads(done.stdout)
    assert (rows, rejected, more_rows) == (12_000, 11_880, 36_000)
    assert unknown == more_unknown == MOST_UNKNOWN
    assert large - small < 5, "MB"


async def test_two_rows_that_say_different_things_of_one_record_are_not_both_taken(
    api: Api, owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later row is named, in the same batch or another; importing it again changes nothing."""
    monkeypatch.setattr("app.exchange.importer.BATCH", 3)
    path = written(tmp_path, ["1,Ann,m", "1,Ann,", "2,Bob,m", "3,Cid,m", "2,Bob,", "1,Ann,m"])
    (tmp_path / "own.toml").write_text(MAPPING.replace('columns = ["no"]', 'repeats = "separate"'))
    for _ in range(2):
        outcome = await run(api, path, report=tmp_path / "report")
        assert (outcome.rows, outcome.rejected) == (6, 2)
        told = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
        assert [(t["line"], t["column"]) for t in told] == [(3, "person"), (6, "person")]
        assert {t["problem"] for t in told} == {"an earlier row says something else of this record"}
        kept = await owner.fetch("SELECT origin_id, sex, version FROM persons ORDER BY 1")
        assert [tuple(r) for r in kept] == [("1", "male", 1), ("2", "male", 1), ("3", "male", 1)]


async def test_what_a_row_says_in_full_stays_where_another_only_names_it(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    """A shared record stands for one that another row tells of: in one batch the whole record is the one kept."""
    named = '[[records]]\nname = "other"\nresource = "persons"\nwhen = ["with"]\nid = "{with}"\nshared = true\n'
    path = written(tmp_path, [])
    (tmp_path / "own.toml").write_text(
        MAPPING.replace("sex =", "with = {}\nsex =", 1) + named + 'fields = { names = [{ text = "unknown" }] }\n'
    )
    path.write_text("no,name,sex,with\n1,Ann,m,2\n2,Bob,m,\n")
    for _ in range(2):
        outcome = await run(api, path)
        assert (outcome.rows, outcome.rejected) == (2, 0)
        kept = await owner.fetch("SELECT p.origin_id, n.text FROM persons p JOIN person_names n ON n.person_id = p.id")
        assert sorted(tuple(r) for r in kept) == [("1", "Ann"), ("2", "Bob")]
