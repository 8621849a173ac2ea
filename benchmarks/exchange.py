"""Export rate against the copy command of psql of the same rows in the same run, import rate, and peak memory of each.

Run with `python -m benchmarks exchange [persons]`; both sides see the same rows as the same login.
"""

import asyncio
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from app.core import schema
from app.core.database import Database
from app.core.embedded import bin_path, embedded_server
from app.core.records import Audience
from app.core.schema import connect_owner
from app.core.settings import Settings, role_password
from app.exchange import export
from app.exchange.console import ImportOptions, read_filters, run_import
from app.exchange.queries import EXPORTABLE

SECRET = "a secret of the benchmark, long enough"  # noqa: S105
MAPPING = """
name = "bench"
origin = "bench"
[identity]
columns = ["no"]
[values]
no = {}
name = {}
born = { date = ["%Y-%m-%d"] }
[[records]]
name = "person"
resource = "persons"
id = "{no}"
fields = { names = [{ text = "$name" }], born = "$born" }
"""


def in_child(work: Callable[[], int]) -> tuple[float, int, float]:
    """Run work in a process of its own; return seconds, its count, and by how many MB its memory grew at most."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        count = work()
        took = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        os.write(writing, json.dumps([took, count, grown]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told: tuple[float, int, float] = tuple(json.loads(pipe.read()))
    os.waitpid(child, 0)
    return told


def settings(url: str) -> Settings:
    """Return the settings of an application on the benchmark's database."""
    return Settings(database_url=url, secret=SECRET)  # type: ignore[arg-type]


async def export_to(url: str, form: str, path: Path) -> int:
    """Export all persons as the API does, into a file."""
    database = Database(url, SECRET.encode(), 1)
    with path.open("wb") as file:

        async def sink(data: bytes) -> None:
            file.write(data)

        async with export.snapshot(database, Audience.EDITOR) as connection:
            query: Any = read_filters("persons", form, [])
            count = await export.write(connection, EXPORTABLE["persons"][0], query, Audience.EDITOR, sink)
    await database.close()
    return count


def copy_to(url: str, sql: str, path: Path, options: str) -> float:
    """Have psql copy the same rows as the same login; return seconds."""
    to = make_url(url)
    environment = {"PGPASSWORD": role_password(SECRET.encode(), "chronika_editor"), "PGUSER": "chronika_editor"}
    environment |= {
        "PGHOST": to.host or str(to.query["host"]),
        "PGDATABASE": to.database or "",
        "PGOPTIONS": "-c statement_timeout=0",
    }
    began = time.perf_counter()
    command = rf"\copy ({' '.join(sql.split())}) TO '{path}' {options}"
    subprocess.run([str(bin_path("psql")), "-qc", command], env=environment, check=True)  # noqa: S603
    return time.perf_counter() - began


async def spread(url: str, times: int) -> None:
    """Multiply the imported persons, past the triggers, which the import's rate has measured already."""
    connection = await connect_owner(url)
    await connection.execute("SET session_replication_role = replica")
    for _ in range(times):
        await connection.execute("""
            WITH made AS (
                INSERT INTO persons (origin, origin_id, level, effective_level, born, born_earliest, born_latest)
                SELECT origin, gen_random_uuid()::text, level, effective_level, born, born_earliest, born_latest
                  FROM persons RETURNING id)
            INSERT INTO person_names (person_id, text, kind, level, effective_level, position)
            SELECT id, 'Имя Фамилия ' || id, 'primary', 2, 2, 0 FROM made""")
    await connection.execute("ANALYZE")
    await connection.close()


def compare(url: str, directory: Path) -> None:
    """Print each format's rate beside psql's, three runs of each, the best of them."""
    query = read_filters("persons", "ndjson", [])
    found, kind = EXPORTABLE["persons"]
    statements = {
        "ndjson": (export._statement, "WITH (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ESCAPE E'\\x01')"),  # noqa: SLF001
        "csv": (export._table_statement, "WITH (FORMAT csv, HEADER)"),  # noqa: SLF001
    }
    for form, (statement, options) in statements.items():
        prepared = statement(found, kind, Audience.EDITOR, query.used())
        sql = prepared.sql
        for n, value in reversed(list(enumerate(prepared.arguments(query.values()), 1))):
            sql = sql.replace(f"${n}::", f"'{value}'::")
        ours, theirs, count, grown = [], [], 0, 0.0
        for _ in range(3):
            took, count, grown = in_child(lambda form=form: asyncio.run(export_to(url, form, directory / "ours")))  # type: ignore[misc]
            ours.append(took)
            theirs.append(copy_to(url, sql, directory / "theirs", options))
        ratio = min(theirs) / min(ours)
        size = (directory / "ours").stat().st_size / 1e6
        print(
            f"export {form:<7} {count:>9,} records {size:7.1f} MB  {count / min(ours):>9,.0f}/s  "
            f"{ratio:.2f} of psql \\copy  memory +{grown:.1f} MB"
        )


def main(arguments: list[str]) -> None:
    """Import persons, multiply them, export them."""
    persons = int(arguments[0]) if arguments else 5000
    with tempfile.TemporaryDirectory() as name, embedded_server(Path(name) / "pg", SECRET.encode(), fast=True) as url:
        directory = Path(name)
        schema.upgrade(url, SECRET.encode())
        (directory / "bench.toml").write_text(MAPPING)
        with (directory / "persons.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "name", "born"])
            writer.writerows([n, f"Асоба {n}", f"19{n % 80 + 10}-0{n % 9 + 1}-1{n % 9}"] for n in range(persons))
        for what in ("first", "again"):
            options = ImportOptions(str(directory / "bench.toml"))
            run = lambda o=options: asyncio.run(run_import(url, settings(url), directory / "persons.csv", o)).rows  # noqa: E731
            took, count, grown = in_child(run)
            print(f"import {what:<7} {count:>9,} rows {count / took:>24,.0f}/s  memory +{grown:.1f} MB")
        asyncio.run(spread(url, 5))
        compare(url, directory)


if __name__ == "__main__":
    main(sys.argv[1:])
