"""Exports and imports at the command line: arguments in, files and progress out."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.core import pages
from app.core.database import Database
from app.core.filters import Filter
from app.core.records import Audience
from app.core.settings import Settings, secret_bytes
from app.exchange import export
from app.exchange.queries import EXPORTABLE, ORDER

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
        async with export.snapshot(database, audience) as connection:
            return await _write(connection, resource, query, audience, (file, progress))


async def export_all(database: Database, audience: Audience, directory: Path) -> dict[str, int]:
    """Write all nine resources as NDJSON into a directory, in one snapshot; return how many records of each."""
    counts = {}
    with progress_bar() as progress:
        async with export.snapshot(database, audience) as connection:
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
