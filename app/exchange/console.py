"""Exports and imports at the command line: arguments in, files and progress out."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg
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
from app.exchange import export, loading, readers
from app.exchange.importer import Mapped, Run, UnitOf, own_record
from app.exchange.mapping import Mapping, Values
from app.exchange.queries import EXPORTABLE, ORDER
from app.exchange.readers import Form, ReadError, Row, open_file
from app.exchange.store import Outcome, Seen, Store

BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection that breaks in the middle of an export raises."""

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
        disable=not sys.stderr.isatty(),
    )


def show(progress: Progress, task: Any, done: int) -> None:
    """Move the bar to `done` and show the rate."""
    progress.update(task, completed=done)
    speed = progress.tasks[task].finished_speed or progress.tasks[task].speed
    progress.update(task, rate=f"{speed:,.0f}/s" if speed else "")


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
        none = [f"--{e['loc'][0]}" for e in found if e["type"] == "extra_forbidden"]
        if none:
            there = ", ".join(f"--{i.alias or n}" for n, i in kind.model_fields.items() if n != "format")
            raise ExchangeError(f"{', '.join(none)} is no filter of {resource}; there are: {there}") from None
        wrong = "; ".join(f"--{'.'.join(str(p) for p in e['loc'][:1])}: {e['msg']}" for e in found)
        raise ExchangeError(f"{resource} cannot be exported so: {wrong}") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file, for its owner alone, that takes its name only when it is whole."""
    if path.is_dir():
        raise ExchangeError(f"{path} is a directory; name a file in it")
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
    form: str = query.format
    counting = pages.count_statement(found, kind, query.used())
    total = await connection.fetchval(counting.sql, *counting.arguments(query.values()))
    task = progress.add_task(resource, total=total, rate="")
    done = 0

    async def sink(data: bytes) -> None:
        nonlocal done
        try:
            file.write(data)
        except OSError:
            connection.terminate()  # nobody takes the rest; to have the server break it off would wait for its answer
            raise
        done += data.count(ENDS[form])
        show(progress, task, min(done, total))

    return await export.write(connection, found, query, form, audience, sink)


async def export_one(database: Database, resource: str, query: Any, audience: Audience, file: BinaryIO) -> int:
    """Write one export to a file and return how many records it holds."""
    with progress_bar() as progress:
        async with database.stream(audience, LONGEST_S) as connection:
            return await _write(connection, resource, query, audience, (file, progress))


async def export_all(database: Database, audience: Audience, directory: Path) -> dict[str, int]:
    """Write all nine resources as NDJSON into a directory, in one snapshot; return how many records of each."""
    counts = {}
    with ExitStack() as files, progress_bar() as progress:  # all take their names or none: they are of one moment
        async with database.stream(audience, LONGEST_S) as connection:
            for resource in (r.name for r in ORDER):
                query = read_filters(resource, "ndjson", [])
                file = files.enter_context(whole_file(directory / f"{resource}.ndjson"))
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
    except BROKEN as error:
        if (own := _of_the_output(error)) is not None:
            raise own from None
        raise ExchangeError(f"the database went away: {type(error).__name__}; nothing takes its place") from None
    finally:
        await database.close()


def _of_the_output(error: BaseException | None) -> OSError | None:
    """Return what went wrong with the output, if that is why the copying from the database was broken off."""
    while error is not None:
        lost = isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, BrokenPipeError)
        if isinstance(error, OSError) and not lost:
            return error
        error = error.__context__
    return None


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


def read_options(
    mapping: str, level: str | None, ground: str | None, *, dry_run: bool, report: Path | None
) -> ImportOptions:
    """Check the options of `chronika import`."""
    if mapping == NATIVE and (level or ground):
        raise ExchangeError("files of our own export say the level of each record: no --level or --ground with them")
    level = level or "restricted"
    if level not in LEVELS:
        raise ExchangeError(f"--level is one of: {', '.join(LEVELS)}")
    if level == "public" and ground not in {"public_record", "consent"}:
        raise ExchangeError("--level public needs --ground public_record or consent")
    return ImportOptions(mapping, level, ground, dry_run, report)


def report_of(path: Path, options: ImportOptions) -> Path:
    """Return the file in which rejected rows are named."""
    path = path.resolve() if path.name in {"", ".."} else path
    return options.report or path.with_name(f"{path.name}.rejected.ndjson")


@contextmanager
def _report(path: Path) -> Iterator[BinaryIO]:
    """Open a report, for its owner alone; one that says nothing is taken away, so that no earlier one stays."""
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise ExchangeError(f"cannot write the report {path}: {error.strerror}; name another by --report") from None
    with open(opened, "wb") as file:  # noqa: PTH123 -- opened with a mode
        yield file
    if path.is_file() and not path.stat().st_size:
        path.unlink()


def _files(path: Path) -> list[tuple[Path, str]]:
    """Return the files of our own export, with the resource that each is named after, in the order they are taken."""
    found = [p for p in (sorted(path.iterdir()) if path.is_dir() else [path]) if p.is_file()]
    named = {p.name.split(".")[0]: p for p in found if p.name.removesuffix(".gz").endswith(".ndjson")}
    files = [(named[r.name], r.name) for r in ORDER if r.name in named]
    if not files:
        raise ExchangeError(f"{path} holds no file of our own export, such as persons.ndjson")
    return files


def _confirm(files: list[tuple[Path, str]]) -> int:
    """Return how many records files of our own export hold; raises `ReadError` if one is cut short or was changed."""
    total = 0
    for path, _ in files:
        digest, count, last = hashlib.sha256(), 0, b""
        with open_file(path) as file, readers.unpacking(path):
            for line in file:
                if last:
                    digest.update(last)
                    count += 1
                last = line
        confirmed = {"end": True, "count": count, "sha256": digest.hexdigest()}
        if last.rstrip(b"\n") != json.dumps(confirmed).encode():
            raise ReadError(f"{path.name} is cut short or was changed: its last line does not confirm it")
        total += count
    return total


def _own_rows(files: list[tuple[Path, str]]) -> Iterator[Row]:
    for path, resource in files:
        for row in readers.read(path, Form("ndjson", "utf-8")):
            if row.cells.keys() != {"end", "count", "sha256"}:
                row.of = resource
                yield row


def _counted(mapping: Mapping, path: Path, form: Form) -> int:
    """Return how many rows a file has; refuse it if a row has a column that the mapping does not speak of.

    A row of JSON may leave out what it has nothing of, but what tells rows apart must be somewhere.
    """
    table = (form.format or readers.format_of(path)) == "csv"
    missing, surplus = mapping.columns if table else mapping.identifying, set[str]()
    count, good = 0, False
    for row in readers.read(path, form):
        count += 1
        if row.problem:
            continue
        good = True
        surplus |= row.cells.keys() - mapping.columns
        missing -= row.cells.keys()
        if (table and missing) or len(surplus) > LISTED:
            break
    if surplus:
        raise ExchangeError(f"the mapping says nothing of: {', '.join(sorted(surplus))[:200]}; use or `ignore` them")
    if good and missing:
        raise ExchangeError(f"the file has no column: {', '.join(sorted(missing))[:200]}")
    return count


async def run_import(url: str, settings: Settings, path: Path, options: ImportOptions) -> Outcome:
    """Run `chronika import`; what is rejected goes into the report, a line each."""
    outcome, own = Outcome(), options.mapping == NATIVE
    database = Database(url, secret_bytes(settings), pool_size=1)
    store = Store(database, f"import {options.mapping}"[:100], dry=options.dry, whole=own)
    try:
        with progress_bar() as progress:
            task = progress.add_task("reading", total=None, rate="")
            rows, unit_of, total = _prepared(path, options)
            progress.update(task, description="rows", total=total)
            with _report(report_of(path, options)) as report:

                def reject(told: dict[str, Any]) -> None:
                    report.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")

                await Run(store, outcome, reject, lambda n: show(progress, task, n), unit_of, wait=own).run(rows)
    finally:
        await store.close()
        await database.close()
    return outcome


def _prepared(path: Path, options: ImportOptions) -> tuple[Callable[[], Iterator[Row]], UnitOf, int]:
    """Return the rows, what turns them into records, and how many there are: all of the file is read once before."""
    if options.mapping == NATIVE:
        files = _files(path)
        return lambda: _own_rows(files), own_record, _confirm(files)
    mapping = loading.load(options.mapping)
    form = Form(mapping.format, mapping.encoding, mapping.delimiter)
    count = _counted(mapping, path, form)
    defaults = {"level": options.level} | ({"publication_ground": options.ground} if options.ground else {})
    unit_of = Mapped(mapping, Values(mapping, path.parent), defaults, Seen())
    return lambda: readers.read(path, form), unit_of, count


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _way(unknown: str) -> str:
    """Say how what is unknown is mapped."""
    kind, _, name = unknown.partition(" ")
    ways = {
        "table": f'[tables.{name}.entries] "the word" = "what it stands for"',
        "column": f'in the `map` of column {name}: "the word" = "what it stands for"',
        "vocabulary": f'in a `map` of the column: "the word" = a code of /v1/vocabularies/{name}',
    }
    return "  " + ways.get(kind, f"record in {kind} what is unknown there, or map the word to what the registry has")


def summary(outcome: Outcome, *, dry: bool) -> Table:
    """Return what came, or would come, of an import, as a table."""
    table = Table("resource", "would be created" if dry else "created", "updated", "left as it is")
    for resource in (r.name for r in ORDER):
        counts = [c[resource] for c in (outcome.created, outcome.updated, outcome.left)]
        if any(counts):
            table.add_row(resource, *(f"{n:,}" for n in counts))
    return table


LISTED = 50
"""Unknown words that are printed, those of most rows first."""


def details(outcome: Outcome, *, dry: bool) -> Iterator[str]:
    """Yield the lines that follow the table: rows, what is unknown and how to map it, and examples of a dry run."""
    taken = f"{outcome.taken:,} {'would be taken' if dry else 'are in the registry'}"
    yield f"{_rows(outcome.rows)}: {taken}, {outcome.repeated:,} repeat others, {outcome.rejected:,} rejected"
    for (name, value), count in outcome.unknown.most_common(LISTED):
        yield f"unknown in {name}: {value[:120]!r} ({_rows(count)})"
    if (more := len(outcome.unknown) - LISTED + outcome.unlisted) > 0:
        yield f"and {more:,} unknown words more"
    if outcome.unknown:
        yield "to map it, write a mapping of your own that `extends` this one (docs/import.md):"
        yield from dict.fromkeys(_way(name) for name, _ in outcome.unknown)
    if dry:
        for kind, some in outcome.examples.items():
            yield from (f"{kind}: {text[:500]}" for text in some)
