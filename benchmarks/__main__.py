"""Measures the service against what its own database can do, both sides in one run, and writes docs/performance.md.

Data, PostgreSQL and results are kept in the state folder: a run that was broken off goes on where it was, and a row
that was measured is not measured again unless asked for. Load comes from wrk (Debian: apt install wrk); without it,
from a slower client of this package. Nothing else should run on the machine meanwhile.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import reads, streams
from benchmarks.place import SCALES, Place
from benchmarks.results import Kept, Line

ROWS: dict[str, Callable[[Place], list[Line]]] = {
    "list": reads.listing,
    "detail": reads.detail,
    "cache": reads.cache,
    "streams": streams.streams,
    "feed": streams.feed,
}


def main(arguments: list[str]) -> None:
    """Measure the rows asked for and write them down."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="rows:\n" + "\n".join(f"  {name:<11} {row.__doc__}" for name, row in ROWS.items()),
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which rows; all unless said")
    sizes = "; ".join(f"{s.name}: {s.largest.persons:,} persons, {s.largest.events:,} events" for s in SCALES.values())
    parser.add_argument("--scale", choices=SCALES, default="small", help=f"how much data ({sizes})")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--state", type=Path, default=Path(".benchmarks"), help="the state folder")
    given = parser.parse_args(arguments)
    if unknown := set(given.rows) - ROWS.keys():
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    measure(given.rows or list(ROWS), Place((given.state / given.scale).absolute(), SCALES[given.scale], _told), given)


def measure(rows: list[str], place: Place, given: argparse.Namespace) -> None:
    """Measure rows, those that are kept only when asked to."""
    kept = Kept(given.state, given.scale)
    left = [r for r in rows if given.again or kept.get(r) is None]
    if left:
        with place.opened():
            for n, row in enumerate(left, 1):
                began = time.monotonic()
                _told(f"[{n}/{len(left)}] {row}")
                kept.put(row, ROWS[row](place))
                _told(f"[{n}/{len(left)}] {row}: {time.monotonic() - began:.0f} s\n")
    for row in rows:
        for line in kept.get(row) or []:
            print(line.text())


CONSOLE = Console(stderr=True)


def _told(doing: str) -> None:
    """Show what is going on, in place on a terminal, and line by line in a log."""
    if CONSOLE.is_terminal:
        CONSOLE.print(f"\r\x1b[K{doing}", end="", highlight=False, markup=False)
    elif doing.endswith("\n"):
        CONSOLE.print(doing, end="", highlight=False, markup=False)


if __name__ == "__main__":
    main(sys.argv[1:])
