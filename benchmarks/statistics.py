"""Statistics: two questions against the same SQL in psql, and against DuckDB on a Parquet copy of the same rows."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.place import Place
from benchmarks.results import Line
from benchmarks.sides import copied, in_turn, psql
from benchmarks.statements import longest, said

ROLE = "partner"
BIG = {"events", "participants", "statuses", "persons"}
REPEATS = 3
"""Answers in one run; the median counts."""


def _shifted(n: int) -> date:
    """Return the first of a month, another one for each n."""
    return date(2025 + n // 12, n % 12 + 1, 1)


def by_month_and_region(n: int) -> str:
    """Ask for events by month and region; the end lies behind all of them, so each n is the same work."""
    return f"/v1/statistics/events?by=month&by=region&from=2020-08-01&to={_shifted(n + 5)}"


def over_60_months(n: int) -> str:
    """Ask who was wanted at the end of each of 60 months, of another kind of year for each n."""
    end = _shifted(n)
    return f"/v1/statistics/persons_in_status?status=wanted&grain=month&from={end.replace(year=end.year - 5)}&to={end}"


def by_type(n: int) -> str:
    """Ask for events by type, as they are today."""
    return f"/v1/statistics/events?by=type&to={_shifted(n + 5)}"


QUESTIONS = {"events by month and region": by_month_and_region, "stock series of 60 months": over_60_months}

INDEX_ONLY = {
    "events by month and region": "index only scan of events",
    "stock series of 60 months": "index only scan of statuses",
}
"""What each question must be read by, where there are `MANY` events: fewer may as well be read from the table."""
MANY = 1_000_000

CHANGED = 20_000
"""Events that have changed since the day as known on which they are counted, at most."""
THAT_DAY = "2100-01-01"
CHANGE = f"""
SET LOCAL session_replication_role = replica;
INSERT INTO changes (record_type, record_id, op, version, version_partner, version_public, level_before, level_after,
                     had_partner, had_public, origin, actor, data, closed, seq, at)
SELECT record_type, record_id, 'update', version + 1, version_partner + 1, version_public + 1, level_after, level_after,
       CASE WHEN level_after <= 1 THEN true END, CASE WHEN level_after <= 0 THEN true END, origin, 'benchmark', data,
       true, -id, '2100-01-02T12:00Z'
  FROM changes WHERE record_type = 'event' AND seq > 0 ORDER BY id LIMIT {CHANGED}
"""  # noqa: S608 -- a number of ours
"""As if so many events had changed later; with numbers below zero, which no feed reads."""
CHANGE_BACK = "SET LOCAL session_replication_role = replica; DELETE FROM changes WHERE seq < 0"

IN_DUCKDB = {
    "events by month and region": "SELECT date_trunc('month', date_earliest) AS month, place_id, count(*) AS value, "
    "count(*) FILTER (date_trunc('month', date_latest) = date_trunc('month', date_earliest)) AS surely "
    "FROM events GROUP BY ALL ORDER BY ALL",
    "stock series of 60 months": "WITH steps AS (SELECT start_earliest AS day, 1 AS step FROM statuses UNION ALL "
    "SELECT end_earliest, -1 FROM statuses WHERE end_earliest IS NOT NULL), months AS (SELECT date_trunc('month', day) "
    "AS month, sum(step) AS step FROM steps GROUP BY ALL) SELECT month, sum(step) OVER (ORDER BY month) FROM months "
    "ORDER BY month DESC LIMIT 60",
}
ROWS_FOR_DUCKDB = {
    "events": "SELECT date_earliest, date_latest, place_id FROM events",
    "statuses": "SELECT start_earliest, end_earliest FROM statuses WHERE kind = 'wanted'",
}
DUCKDB = """
import json, sys, time
import duckdb
folder, asked = sys.argv[1], json.loads(sys.argv[2])
duckdb.sql("SET threads = 2")
duckdb.sql("SET enable_progress_bar = false")  # it would be shown between the figures
for table in ("events", "statuses"):
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{folder}/{table}.csv', header=true)) TO '{folder}/{table}.parquet'")
    duckdb.sql(f"CREATE VIEW {table} AS SELECT * FROM '{folder}/{table}.parquet'")
taken = {}
for name, sql in asked.items():
    duckdb.sql(sql).fetchall()
    taken[name] = []
    for _ in range(7):
        began = time.perf_counter()
        duckdb.sql(sql).fetchall()
        taken[name].append(time.perf_counter() - began)
print(json.dumps(taken))
"""


class TooLongError(RuntimeError):
    """A question met the time limit of its reader."""


def measure(place: Place) -> list[Line]:
    """Measure statistics by month and region, and a stock over 60 months."""
    api, lines = place.api(), []
    client = api.client(ROLE)
    beside, why_not = in_duckdb(place)
    asked = 0

    def ask(url: Any) -> float:
        nonlocal asked
        taken = []
        for _ in range(REPEATS):
            asked += 1
            answer = client.get(url(asked))
            if answer.status == 503:  # noqa: PLR2004
                raise TooLongError(answer.body)
            if answer.status != 200:  # noqa: PLR2004
                raise RuntimeError(answer.body)
            taken.append(answer.seconds)
        return median(taken) * 1000

    for name, url in QUESTIONS.items():
        statement = longest(said(place, ROLE, lambda a, u=url: a.client(ROLE).get(u(0)))).with_parameters()  # type: ignore[misc]
        ask(url)
        ours, other = in_turn(
            place.scale.runs,
            lambda _n, u=url: ask(u),  # type: ignore[misc]
            lambda _n, s=statement: median(psql(place, ROLE, s, REPEATS)) * 1000,  # type: ignore[misc]
        )
        looks = ", ".join(scans(place, statement))
        if place.scale.largest.events >= MANY and looks != INDEX_ONLY[name]:
            msg = f"{name} should be read by an {INDEX_ONLY[name]} alone, and is read by {looks}"
            raise RuntimeError(msg)
        lines.append(Line(name, "ms", ours, other, "psql", 1.2, at_most=True, note=f"it reads by {looks}"))
        if beside:
            fast = [s * 1000 for s in beside[name][: len(ours)]]
            note = "two threads; it has no levels, and leaves out the upper bounds and the links of the answer"
            lines.append(
                Line(f"{name}, DuckDB", "ms", ours, fast, "DuckDB on Parquet", later=1, at_most=True, note=note)
            )
        else:
            lines.append(Line(f"{name}, DuckDB", "ms", ours, note=why_not))
    return lines + known(place, ask)


def known(place: Place, ask: Callable[[Callable[[int], str]], float]) -> list[Line]:
    """Measure counting as known on an earlier day: with nothing changed since, and with many events changed."""
    lines = []
    try:
        for name, changes in (("nothing", None), (f"{min(CHANGED, place.scale.largest.events):,}", CHANGE)):
            if changes:
                place.do(changes)
                place.do("VACUUM ANALYZE changes")
            then = lambda n: f"{by_type(n)}&known_at={THAT_DAY}"  # noqa: E731
            told = f"events by type as known earlier, {name} changed since"
            try:
                ours, other = in_turn(place.scale.runs, lambda _n, q=then: ask(q), lambda _n: ask(by_type))  # type: ignore[misc]
            except TooLongError:
                lines.append(Line(told, "ms", [], note="the limit of a reader's statement, 10 s, answers 503"))
                break
            lines.append(Line(told, "ms", ours, other, "the same of today", at_most=True))
    finally:
        place.do(CHANGE_BACK)
        place.do("VACUUM changes")
    return lines


def scans(place: Place, statement: str) -> list[str]:
    """Return how a statement reads the tables that grow, by its plan."""
    out = place.program("psql", ROLE, "-qXAt", stdin=f"EXPLAIN (FORMAT JSON) {statement};")
    found: set[str] = set()

    def look(node: dict[str, Any]) -> None:
        if node.get("Relation Name") in BIG:
            found.add(f"{node['Node Type'].lower()} of {node['Relation Name']}")
        for child in node.get("Plans", []):
            look(child)

    look(json.loads(out)[0]["Plan"])
    return sorted(found)


def in_duckdb(place: Place) -> tuple[dict[str, list[float]], str]:
    """Copy the rows into Parquet and ask DuckDB; return the seconds by question, or nothing and why not."""
    environment = place.state.parent / "duckdb"
    python = environment / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)  # noqa: S603
    installed = subprocess.run(  # noqa: S603
        [str(python), "-m", "pip", "install", "-q", "duckdb"], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        return {}, "DuckDB could not be installed: " + installed.stderr.strip().splitlines()[-1]
    folder = place.state / "parquet"
    folder.mkdir(exist_ok=True)
    for table, sql in ROWS_FOR_DUCKDB.items():
        copied(place, ROLE, sql, "WITH (FORMAT csv, HEADER)", folder / f"{table}.csv")
    command = [str(python), "-c", DUCKDB, str(folder), json.dumps(IN_DUCKDB)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, list[float]] = json.loads(done.stdout)
    for table in ROWS_FOR_DUCKDB:
        Path(folder / f"{table}.csv").unlink()
    return found, ""
