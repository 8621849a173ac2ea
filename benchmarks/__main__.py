"""Measures the service against what its own database can do, both sides in one run, and writes docs/performance.md.

Data, PostgreSQL and results are kept in the state folder: a run that was broken off goes on where it was, and a row
that was measured is not measured again unless asked for. Load comes from wrk (Debian: apt install wrk); without it,
from a slower client of this package. Nothing else should run on the machine meanwhile.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks import growth, imports, names, peers, reads, report, statistics, streams, writes
from benchmarks.place import SCALES, Place
from benchmarks.results import Kept, Line

ROWS: dict[str, Callable[[Place], list[Line]]] = {
    "list": reads.listing,
    "detail": reads.detail,
    "cache": reads.cache,
    "statistics": statistics.measure,
    "names": names.speed,
    "spellings": names.found,
    "feed": streams.feed,
    "streams": streams.streams,
    "growth": growth.growth,
    "policies": growth.policies,
    "post": writes.post,
    "bulk": writes.bulk,
    "import": imports.imports,
    "peers": peers.peers,
}

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


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
    parser.add_argument("--report", type=Path, help="where to write the page; docs/performance.md for small and full")
    given = parser.parse_args(arguments)
    if unknown := set(given.rows) - ROWS.keys():
        parser.error(f"there is no row {', '.join(sorted(unknown))}")
    place = Place((given.state / given.scale).absolute(), SCALES[given.scale], _told)
    done = measure(given.rows or list(ROWS), place, given)
    if to := given.report or (PAGE if given.scale in {"small", "full"} else None):
        report.write(given.state, to)
        _told(f"written: {to}\n")
    if not done:
        sys.exit(1)


def measure(rows: list[str], place: Place, given: argparse.Namespace) -> bool:
    """Measure rows, those that are kept only when asked to; tell whether each could be."""
    kept = Kept(given.state, given.scale)
    left = [r for r in rows if given.again or kept.get(r) is None]
    failed = False
    if left:
        sizes = place.scale.sizes if {"growth", "peers"} & set(left) else [place.scale.largest]
        with place.opened(sizes):
            for n, row in enumerate(left, 1):
                began = time.monotonic()
                _told(f"[{n}/{len(left)}] {row}")
                try:
                    kept.put(row, ROWS[row](place))
                    how = f"{time.monotonic() - began:.0f} s"
                except Exception:  # noqa: BLE001 -- the other rows are still worth having
                    failed, how = True, traceback.format_exc()
                _told(f"[{n}/{len(left)}] {row}: {how}\n")
    for row in rows:
        for line in kept.get(row) or []:
            print(line.text())
    return not failed


CONSOLE = Console(stderr=True)


def _told(doing: str) -> None:
    """Show what is going on, in place on a terminal, and line by line in a log."""
    if CONSOLE.is_terminal:
        CONSOLE.print(f"\r\x1b[K{doing}", end="", highlight=False, markup=False)
    elif doing.endswith("\n"):
        CONSOLE.print(doing, end="", highlight=False, markup=False)


if __name__ == "__main__":
    main(sys.argv[1:])
