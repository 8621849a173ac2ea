"""Administrative trials: the shipped mapping on the real file gives the file's own totals."""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.exchange.console import ImportOptions, run_import
from app.exchange.store import Outcome
from tests.conftest import Api
from tests.exchange.data import data

pytestmark = pytest.mark.anyio

MAPPING = "viasna-administrative"
TOTALS = """
SELECT (SELECT count(*) FROM cases) AS cases,
       (SELECT count(*) FROM sentence_components WHERE kind = 'administrative_arrest') AS arrests,
       (SELECT sum(days)::bigint FROM sentence_components WHERE kind = 'administrative_arrest') AS days,
       (SELECT max(days)::bigint FROM sentence_components) AS longest,
       (SELECT sum(amount)::bigint FROM sentence_components WHERE unit = 'base_value') AS base_values,
       (SELECT max(amount)::bigint FROM sentence_components WHERE unit = 'base_value') AS largest,
       (SELECT count(*) FROM cases WHERE decided IS NULL) AS undated,
       (SELECT count(*) FROM events e JOIN cases c ON c.id = e.case_id
         WHERE c.decided_earliest < e.date_earliest) AS early,
       (SELECT count(*) FROM cases WHERE court_id IS NULL) AS no_court,
       (SELECT count(*) FROM (SELECT sentence_id FROM sentence_components GROUP BY 1
                              HAVING count(DISTINCT kind) = 2) s) AS both,
       (SELECT count(*) FROM (SELECT case_id FROM charges GROUP BY 1 HAVING count(*) > 1) c) AS several
"""


async def totals(owner: asyncpg.Connection) -> dict[str, Any]:
    """Return what the registry holds, by SQL."""
    row = await owner.fetchrow(TOTALS)
    assert row is not None
    return dict(row)


async def published(client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the totals that the service's own statistics give, as anybody would ask for them."""

    async def ask(measure: str, **asked: str) -> dict[str, Any]:
        answer = await client.get(f"/v1/statistics/{measure}", params=asked)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def total(measure: str, **asked: str) -> float:
        found = await ask(measure, **asked)
        return float(found["total"]["value"] + found["undated"])  # what has no date is in no cell

    decade = {"from": "2011-01-01", "to": "2021-01-01"}
    years = await ask("events", by="year", type="administrative_prosecution", **decade)
    sexes = await ask("events", by="sex")
    return {
        "cases": await total("cases"),
        "undated": (await ask("cases"))["undated"],
        "no_court": await total("cases", court="not_stated"),
        "arrests": await total("sentences", sentence="administrative_arrest"),
        "days": await total("arrest_days"),
        "base_values": await total("fines", unit="base_value"),
        "years": {r["year"]: r["value"] for r in years["rows"] if r["value"]},
        "sexes": {r["sex"]: r["value"] for r in sexes["rows"]},
    }


def beside(tmp_path: Path) -> Path:
    """Return a directory with the maps of the real file and without the file."""
    real = data("zubr-courts-decisions")
    for name in ("articles_translations.json", "courts_translated.json", "court.csv"):
        shutil.copy(real / name, tmp_path)
    return real / "decisions.json"


def distinct(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows that differ in more than their id."""
    kept = {tuple(sorted((k, v) for k, v in r.items() if k != "id")): r for r in rows}
    return list(kept.values())


def counted(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Count what the rows say, by the plainest means there are, apart from the import."""
    arrests = [int(r["arrest"].split()[0]) for r in rows if r["arrest"]]
    fines = [int(r["fine"].split(" б.в.")[0]) for r in rows if "б.в." in r["fine"]]
    return {
        "cases": len(rows),
        "arrests": len(arrests),
        "days": sum(arrests),
        "longest": max(arrests),
        "base_values": sum(fines),
        "largest": max(fines),
        "undated": sum(not r["court_date"] for r in rows),
        "early": sum(bool(r["court_date"]) and r["court_date"] < r["event_date"] for r in rows),
        "no_court": sum(not r["court"].strip() for r in rows),
        "both": sum(bool(r["arrest"]) and bool(r["fine"]) for r in rows),
        "several": sum(len(set(re.split(r",\s+(?=\d+\.\d+)", r["article"]))) > 1 for r in rows),
    }


def to_publish(rows: list[dict[str, str]]) -> dict[str, Any]:
    """Count what the statistics are asked for from the rows themselves."""
    found = counted(rows)
    sexes = {"м": "male", "ж": "female", "": "not_stated"}
    return {
        **{n: found[n] for n in ("cases", "undated", "no_court", "arrests", "days", "base_values")},
        "years": Counter(r["event_date"][:4] for r in rows),
        "sexes": Counter(sexes[r["sex"].strip()] for r in rows),
    }


@pytest.fixture
def imported(api: Api) -> Callable[..., Any]:
    """Give what imports a file into the empty registry of the test."""

    async def run(path: Path, **options: Any) -> Outcome:
        chosen = ImportOptions(**{"mapping": MAPPING, **options})
        return await run_import(api.site.url, api.site.settings(), path, chosen)

    return run


async def test_a_part_of_the_file_gives_its_own_totals(
    imported: Callable[..., Any], api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    rows = json.loads(beside(tmp_path).read_text())
    some = rows[:120] + [r for r in rows if r["arrest"] and r["fine"]] + [r for r in rows if r["fine"] == "810,00 руб."]
    part = tmp_path / "part.json"
    part.write_text(json.dumps([*some, {**some[0], "id": "another"}]))
    outcome = await imported(part)
    assert (outcome.rejected, outcome.repeated) == (0, len(some) + 1 - len(distinct(some)))
    assert await totals(owner) == counted(distinct(some))
    assert await published(api.editor) == to_publish(distinct(some))
    roubles = await owner.fetch("SELECT amount FROM sentence_components WHERE unit = 'BYN'")
    assert [r[0] for r in roubles] == [Decimal(810)]
    again = await imported(part)
    assert (again.created, again.updated) == (Counter(), Counter())
    assert await owner.fetchval("SELECT max(version) FROM cases") == 1


async def test_a_dry_run_writes_nothing_and_says_what_the_run_then_does(
    imported: Callable[..., Any], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    part = tmp_path / "part.json"
    rows = json.loads(beside(tmp_path).read_text())[:450]
    part.write_text(json.dumps([*rows, {**rows[0], "arrest": "10 гадоў"}, {**rows[0], "article": "0.0 нешта"}]))
    dry = await imported(part, dry=True)
    assert await owner.fetchval("SELECT count(*) FROM changes") == 0
    assert dry.examples["created cases"]
    report = [json.loads(line) for line in (tmp_path / "part.json.rejected.ndjson").read_text().splitlines()]
    assert [r["column"] for r in report] == ["arrest", "article"]
    assert dry.unknown == Counter({("table articles", "0.0 нешта"): 1})
    real = await imported(part)
    assert (dry.created, dry.updated, dry.left, dry.rejected) == (real.created, real.updated, real.left, real.rejected)
    assert real.left == Counter(), "a record that many rows tell of is counted once"
    assert real.created["cases"] == len(distinct(rows)) == await owner.fetchval("SELECT count(*) FROM cases")


async def test_nobody_is_merged_by_name_alone(
    imported: Callable[..., Any], owner: asyncpg.Connection, tmp_path: Path
) -> None:
    rows = json.loads(beside(tmp_path).read_text())
    name, count = Counter(r["full_name"] for r in distinct(rows)).most_common(1)[0]
    part = tmp_path / "part.json"
    some = [r for r in distinct(rows) if r["full_name"] == name]
    part.write_text(json.dumps(some))
    await imported(part)
    evidence = {(r["sex"], r["event_date"], r["court"]) for r in some}
    found = await owner.fetchval("SELECT count(*) FROM person_names WHERE text = $1", name)
    assert found == len(evidence) > 1
    assert count == await owner.fetchval("SELECT count(*) FROM cases")


async def test_an_import_stopped_halfway_goes_on_to_the_same_end(
    imported: Callable[..., Any], owner: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = json.loads(beside(tmp_path).read_text())[:90]
    part = tmp_path / "part.json"
    part.write_text(json.dumps(rows))
    monkeypatch.setattr("app.exchange.importer.BATCH", 20)
    from app.exchange.importer import Run  # noqa: PLC0415 -- patched here

    whole = Run._write
    calls = 0

    async def stopped(self: Run, units: Any, *, wait: bool) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise asyncio.CancelledError
        return await whole(self, units, wait=wait)

    monkeypatch.setattr(Run, "_write", stopped)
    with pytest.raises(asyncio.CancelledError):
        await imported(part)
    assert 0 < await owner.fetchval("SELECT count(*) FROM cases") < len(distinct(rows))
    await imported(part)
    assert await totals(owner) == counted(distinct(rows))
    assert await owner.fetchval("SELECT max(version) FROM cases") == 1


@pytest.mark.full
async def test_the_whole_file_gives_its_totals(
    imported: Callable[..., Any], api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    real = beside(tmp_path)
    outcome = await imported(real, report=tmp_path / "rejected.ndjson")
    assert (outcome.rows, outcome.rejected) == (6616, 0)
    found = await totals(owner)
    assert found == counted(distinct(json.loads(real.read_text())))
    assert (found["cases"], found["arrests"], found["days"], found["base_values"]) == (6498, 2788, 32747, 79738)
    assert (found["longest"], found["largest"]) == (30, 270)
    told = await published(api.editor)
    assert told == to_publish(distinct(json.loads(real.read_text())))
    assert [told[n] for n in ("cases", "arrests", "days", "base_values")] == [6498, 2788, 32747, 79738]
    again = await imported(real, report=tmp_path / "rejected.ndjson")
    assert (again.created, again.updated) == (Counter(), Counter())
