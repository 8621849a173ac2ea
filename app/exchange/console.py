"""Exports and imports at the command line: arguments in, files and progress out."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.core import pages
from app.core.database import Database
from app.core.filters import Filter
from app.core.records import LEVELS, Audience, Level
from app.core.settings import Settings, secret_bytes
from app.core.streams import LONGEST_S
from app.exchange import export, readers
from app.exchange import mapping as mappings
from app.exchange.importer import Mapped, Run, own_records
from app.exchange.mapping import Mapping, Values
from app.exchange.queries import EXPORTABLE, ORDER
from app.exchange.readers import Form, ReadError, Row, open_file
from app.exchange.store import Outcome, Seen, Store, Unit

UnitsOf = Callable[[Row, Outcome], Unit | None]

ENDS = {"ndjson": b"\n", "csv": b"\r\n", "ftm": b"\n"}


class ExchangeError(Exception):
    """An import or export cannot be done as asked; the message is one line."""


def progress_bar() -> Progress:
    """Return a bar with rate and time left, on the standard error stream so that data may go to the other."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def show(progress: Progress, task: Any, done: int) -> None:
    """Move the bar to `done` and show the rate."""
    speed = progress.tasks[task].finished_speed or progress.tasks[task].speed
    progress.update(task, completed=done, rate=f"{speed:,.0f}/s" if speed else "")


def read_filters(resource: str, form: str, arguments: Sequence[str]) -> Any:
    """Return an export as asked for by `--name value` or `--name=value`, each name as often as wanted."""
    kind = EXPORTABLE[resource][1]
    lists = {i.alias or n for n, i in kind.model_fields.items() if i.default == [] or i.default_factory is list}
    given: dict[str, Any] = {"format": form}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not argument.startswith("--"):
            raise ExchangeError(f"filters are given as --name value; what is {argument[:40]!r}?")
        if not equals and (value := next(rest, "")) == "":
            raise ExchangeError(f"--{name} needs a value")
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            raise ExchangeError(f"--{name} may be given once")
        else:
            given[name] = value
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        wrong = "; ".join(f"--{'.'.join(str(p) for p in e['loc'][:1])}: {e['msg']}" for e in found)
        raise ExchangeError(f"{resource} cannot be exported so: {wrong}") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file, for its owner alone, that takes its name only when it is whole."""
    unfinished = path.with_name(path.name + ".part")
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 -- a mode is given
        yield file
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


async def _write(connection: Any, resource: str, query: Any, audience: Audience, to: tuple[BinaryIO, Progress]) -> int:
    file, progress = to
    found, _ = EXPORTABLE[resource]
    kind: type[Filter] = type(query)
    counting = pages.count_statement(found, kind, query.used())
    total = await connection.fetchval(counting.sql, *counting.arguments(query.values()))
    task = progress.add_task(resource, total=total, rate="")
    done = 0

    async def sink(data: bytes) -> None:
        nonlocal done
        file.write(data)
        done += data.count(ENDS[query.format])
        show(progress, task, min(done, total))

    return await export.write(connection, found, query, audience, sink)


async def export_one(database: Database, resource: str, query: Any, audience: Audience, file: BinaryIO) -> int:
    """Write one export to a file and return how many records it holds."""
    with progress_bar() as progress:
        async with database.stream(audience, LONGEST_S) as connection:
            return await _write(connection, resource, query, audience, (file, progress))


async def export_all(database: Database, audience: Audience, directory: Path) -> dict[str, int]:
    """Write all nine resources as NDJSON into a directory, in one snapshot; return how many records of each."""
    counts = {}
    with progress_bar() as progress:
        async with database.stream(audience, LONGEST_S) as connection:
            for resource in (r.name for r in ORDER):
                query = read_filters(resource, "ndjson", [])
                with whole_file(directory / f"{resource}.ndjson") as file:
                    counts[resource] = await _write(connection, resource, query, audience, (file, progress))
    return counts


async def run_export(  # noqa: PLR0913 -- the command's own options
    url: str,
    settings: Settings,
    resource: str,
    *,
    form: str,
    filters: Sequence[str],
    output: Path | None,
    audience: Audience,
) -> int:
    """Run `chronika export` and return how many records were written."""
    if resource != "all" and resource not in EXPORTABLE:
        raise ExchangeError(f"there is no resource {resource[:40]!r}; take one of: all, {', '.join(EXPORTABLE)}")
    if resource == "all" and (output is None or filters or form != "ndjson"):
        raise ExchangeError("`all` takes --output DIRECTORY, the format ndjson, and no filters")
    query = None if resource == "all" else read_filters(resource, form, filters)
    database = Database(url, secret_bytes(settings), pool_size=1)
    try:
        if query is None:
            assert output is not None  # noqa: S101 -- refused above
            output.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 -- nothing else runs here
            return sum((await export_all(database, audience, output)).values())
        if output is None:
            return await export_one(database, resource, query, audience, sys.stdout.buffer)
        with whole_file(output) as file:
            return await export_one(database, resource, query, audience, file)
    finally:
        await database.close()


# --- imports ------------------------------------------------------------------------------------------

NATIVE = "chronika"
"""Name of the mapping that is none: files of our own export, each named after its resource."""


@dataclass(frozen=True)
class ImportOptions:
    """The options of `chronika import`."""

    mapping: str
    level: Level = "restricted"
    ground: str | None = None
    dry: bool = False
    report: Path | None = None


def read_options(mapping: str, level: str, ground: str | None, *, dry_run: bool, report: Path | None) -> ImportOptions:
    """Check the options of `chronika import`."""
    if level not in LEVELS:
        raise ExchangeError(f"--level is one of: {', '.join(LEVELS)}")
    if level == "public" and ground not in {"public_record", "consent"}:
        raise ExchangeError("--level public needs --ground public_record or consent")
    return ImportOptions(mapping, level, ground, dry_run, report)


def report_of(path: Path, options: ImportOptions) -> Path:
    """Return the file in which rejected rows are named."""
    return options.report or path.with_name(f"{path.name}.rejected.ndjson")


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return the files of our own export, with the resource that each is named after, in the order they are taken."""
    found = [p for p in (sorted(path.iterdir()) if path.is_dir() else [path]) if p.is_file()]
    named = {p.name.split(".")[0]: p for p in found if p.name.removesuffix(".gz").endswith(".ndjson")}
    files = [(named[r.name], r.name) for r in ORDER if r.name in named]
    if not files:
        raise ExchangeError(f"{path} holds no file of our own export, such as persons.ndjson")
    return files


def _own_rows(files: list[tuple[Path, str]]) -> Iterator[tuple[Row, str]]:
    """Yield the rows of our own export; raises `ReadError` for one that is cut short or was changed."""
    for path, resource in files:
        digest, trailer = hashlib.sha256(), None
        with open_file(path) as file:
            for line in file:
                if line.startswith(b'{"end": true'):
                    trailer = json.loads(line)
                else:
                    digest.update(line)
        if trailer is None or trailer["sha256"] != digest.hexdigest():
            raise ReadError(f"{path.name} is cut short or was changed: its last line does not confirm it")
        yield from ((row, resource) for row in readers.read(path, Form("ndjson", "utf-8")))


def _check_columns(mapping: Mapping, path: Path, form: Form) -> None:
    """Refuse a file whose columns are not those that the mapping speaks of: nothing is dropped without a word."""
    first = next((r for r in readers.read(path, form) if not r.problem), None)
    if first is None:
        return
    needed = mapping.columns
    surplus, missing = first.cells.keys() - needed, needed - first.cells.keys()
    if surplus:
        raise ExchangeError(f"the mapping says nothing of: {', '.join(sorted(surplus))[:200]}; use or `ignore` them")
    if missing and form.format != "ndjson":
        raise ExchangeError(f"the file has no column: {', '.join(sorted(missing))[:200]}")


async def run_import(url: str, settings: Settings, path: Path, options: ImportOptions) -> Outcome:
    """Run `chronika import`; what is rejected goes into the report, a line each."""
    database = Database(url, secret_bytes(settings), pool_size=1)
    report = report_of(path, options)
    rejected: list[BinaryIO] = []

    def reject(line: int, column: str, problem: str) -> None:
        if not rejected:
            rejected.append(open(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"))  # noqa: SIM115, PTH123
        told = {"line": line, "column": column, "problem": problem}
        rejected[0].write(json.dumps(told, ensure_ascii=False).encode() + b"\n")

    outcome = Outcome()
    store = Store(database, f"import {options.mapping}"[:100], dry=options.dry)
    try:
        with progress_bar() as progress:
            rows, units_of, total = _prepared(path, options)
            task = progress.add_task("rows", total=total, rate="")
            run = Run(store, outcome, reject, lambda done: show(progress, task, done), wait=options.mapping == NATIVE)
            await run.run(rows, units_of)
    finally:
        await database.close()
        for file in rejected:
            file.close()
    return outcome


def _prepared(path: Path, options: ImportOptions) -> tuple[Iterator[Row], UnitsOf, int]:
    """Return the rows, what turns them into records, and how many there are: all of the file is read once before."""
    if options.mapping == NATIVE:
        files = _files(path)
        makers = {resource: own_records(resource) for _, resource in files}
        total = sum(1 for _ in _own_rows(files))
        current = ""

        def rows() -> Iterator[Row]:
            nonlocal current
            for row, resource in _own_rows(files):
                current = resource
                yield row

        def unit_of(row: Row, outcome: Outcome) -> Unit | None:
            return makers[current](row, outcome)

        return rows(), unit_of, total
    mapping = mappings.load(options.mapping)
    form = Form(mapping.format, mapping.encoding, mapping.delimiter)
    _check_columns(mapping, path, form)
    defaults = {"level": options.level} | ({"publication_ground": options.ground} if options.ground else {})
    units_of = Mapped(mapping, Values(mapping, path.parent), defaults, Seen())
    return readers.read(path, form), units_of, sum(1 for _ in readers.read(path, form))


def summary(outcome: Outcome, *, dry: bool) -> Table:
    """Return what came, or would come, of an import, as a table."""
    table = Table("resource", "would be created" if dry else "created", "updated", "left as it is")
    for resource in (r.name for r in ORDER):
        counts = [c[resource] for c in (outcome.created, outcome.updated, outcome.left)]
        if any(counts):
            table.add_row(resource, *(f"{n:,}" for n in counts))
    return table


def details(outcome: Outcome, *, dry: bool) -> Iterator[str]:
    """Yield the lines that follow the table: rows, what is unknown and how to map it, and examples of a dry run."""
    yield f"{outcome.rows:,} rows: {outcome.repeated:,} repeat others, {outcome.rejected:,} rejected"
    for (name, value), count in outcome.unknown.most_common(50):
        yield f"unknown in {name}: {value[:120]!r} ({count:,} rows)"
    if outcome.unknown:
        yield "map what is unknown in a mapping of your own that `extends` this one; see docs/import.md"
    if dry:
        for kind, some in outcome.examples.items():
            yield from (f"{kind}: {text[:500]}" for text in some)
