"""What the command `chronika pull` shows and repeats."""

import asyncio
from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.changes.models import TYPES
from app.core.database import Database
from app.core.settings import Settings, secret_bytes
from app.exchange.peer import Peer, PullError
from app.exchange.pull import Counts, Pull


async def pull_from(  # noqa: PLR0913, PLR0917 -- the options of the command
    database_url: str,
    settings: Settings,
    url: str,
    key: str | None,
    types: list[str],
    pause: int | None,
    say: Callable[[str], None],
) -> None:
    """Pull once, or again and again with a pause of seconds; say what was done and whether the digests are equal.

    Raises:
        PullError: The other registry cannot be pulled from; with a pause, only if that is so from the beginning.
    """
    if unknown := sorted(set(types) - set(TYPES)):
        raise PullError(f"there is no type {unknown[0]}; there are: {', '.join(TYPES)}")
    database = Database(database_url, secret_bytes(settings), pool_size=2)
    try:
        async with Peer(url, key) as peer:
            name = url.rstrip("/")
            say(await _once(Pull(database, settings.origin, peer, name, types)))
            while pause is not None:
                await asyncio.sleep(pause)
                try:
                    say(await _once(Pull(database, settings.origin, peer, name, types)))
                except PullError as error:
                    say(f"chronika: {error}; trying again in {pause} s")
    finally:
        await database.close()


async def _once(pull: Pull) -> str:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("pulling", total=None)

        def advance(done: int, total: int | None) -> None:
            progress.update(task, advance=done, total=total)

        await pull.run(advance)
        progress.update(task, description="comparing")
        different = await pull.differences()
    return summary(pull.counts, different)


def summary(counts: Counts, different: dict[str, int]) -> str:
    """Return the line that a pull ends with."""
    if not different:
        return f"{counts}; the digests are equal"
    listed = ", ".join(f"{name} ({n} of 256)" for name, n in different.items())
    return f"{counts}; the digests differ: {listed}"
