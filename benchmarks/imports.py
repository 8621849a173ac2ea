"""Importing a file: its rate, again where nothing has changed, and the memory it takes."""

import asyncio
import csv
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from app.core.settings import Settings
from app.exchange.console import ImportOptions, run_import
from benchmarks.place import SECRET, Place, Size
from benchmarks.results import Line

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


def imports(place: Place) -> list[Line]:
    """Measure importing persons from a CSV file, new and then unchanged, and what memory ten times as many take."""
    size, folder = Size(0, 0, "imported"), place.state / "import"
    place.make(size)
    folder.mkdir(exist_ok=True)
    (folder / "bench.toml").write_text(MAPPING)
    few, many = place.scale.bulk, place.scale.bulk * 10
    runs = []
    for count in (few, many):
        place.do("TRUNCATE persons, changes CASCADE", size)
        with (folder / "persons.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "name", "born"])
            writer.writerows([n, f"Асоба {n}", f"19{n % 80 + 10}-0{n % 9 + 1}-1{n % 9}"] for n in range(count))
        runs.append([in_child(lambda: _run(place.url(size), folder)) for _ in ("new", "unchanged")])
    lines = [
        Line(f"import of {many:,} rows, {what}", "rows/s", [rows / took])
        for what, (took, rows, _) in zip(("new", "unchanged"), runs[1], strict=True)
    ]
    grown = [max(megabytes for _, _, megabytes in run) for run in runs]
    note = f"{grown[0]:.0f} MB for {few:,} rows, {grown[1]:.0f} MB for {many:,}"
    more = grown[1] - grown[0]
    return [*lines, Line("import, memory for ten times the rows", "MB", [more], goal=20, at_most=True, note=note)]


def _run(url: str, folder: Path) -> int:
    settings = Settings(database_url=url, secret=SECRET)  # type: ignore[arg-type]
    options = ImportOptions(str(folder / "bench.toml"))
    return asyncio.run(run_import(url, settings, folder / "persons.csv", options)).rows
