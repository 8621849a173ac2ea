"""The benchmarks run from one command, keep what they measured, and write the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import ROWS, main
from benchmarks.report import write
from benchmarks.results import Kept, Line
from benchmarks.statements import read

ROOT = Path(__file__).parents[2]
LOG = """\
2026-01-01 10:00:00.000 UTC [1] LOG:  duration: 0.1 ms  parse __asyncpg_stmt_1__: SELECT $1
2026-01-01 10:00:00.000 UTC [1] LOG:  duration: 0.1 ms  bind __asyncpg_stmt_1__: SELECT $1
2026-01-01 10:00:00.000 UTC [1] DETAIL:  Parameters: $1 = 'of the binding'
2026-01-01 10:00:00.000 UTC [1] LOG:  duration: 0.1 ms  execute __asyncpg_stmt_1__: SELECT $1::text,
\t $2::int, $11
2026-01-01 10:00:00.000 UTC [1] DETAIL:  Parameters: $1 = 'it''s $2', $2 = NULL, $11 = '{a,b}'
2026-01-01 10:00:00.000 UTC [1] LOG:  duration: 0.1 ms  statement: COMMIT;
"""


def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--scale", "tiny", "--state", str(state)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def check(state: Path, page: Path, rows: set[str]) -> str:
    """Return the page, after looking at what was kept."""
    kept = Kept(state, "tiny").all()
    assert kept.keys() == rows
    for line in (x for lines in kept.values() for x in lines):
        assert line.ours or line.note, line.name
        assert all(v >= 0 for v in line.ours + line.other), line.name
        assert not line.other or len(line.ours) == len(line.other) == 2, line.name
    assert "<svg" in page.with_suffix(".svg").read_text()
    return page.read_text()


def test_a_row_is_measured_once_and_the_page_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, state = tmp_path / "page.md", tmp_path / "state"
    done = run(state, "list", "--report", str(page))
    assert done.returncode == 0, done.stderr
    text = check(state, page, {"list"})
    assert "## Tiny scale: 1,500 persons, 3,000 events" in text
    assert "| list of 50 events, c=16 |" in text
    main(["list", "--scale", "tiny", "--state", str(state)])  # which needs no database: it is kept
    again = capsys.readouterr()
    assert again.err == ""
    assert "list of 50 events, c=16: " in again.out


@pytest.mark.full
def test_all_rows_are_measured(tmp_path: Path) -> None:
    page, state = tmp_path / "page.md", tmp_path / "state"
    done = run(state, "--report", str(page))
    assert done.returncode == 0, done.stderr
    check(state, page, set(ROWS))


def test_an_unknown_row_is_refused_and_help_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lists"])
    assert "there is no row lists" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Measure a list of 50 events." in capsys.readouterr().out


def test_statements_are_read_out_of_the_log_with_their_own_parameters() -> None:
    first, second = read(LOG)
    assert first.with_parameters() == "SELECT 'it''s $2'::text,\n NULL::int, '{a,b}'"
    assert second.with_parameters() == "COMMIT"


def test_a_line_is_judged_by_the_median_of_its_ratios(tmp_path: Path) -> None:
    fast = Line("fast", "answers/s", [30, 10, 20], [100, 100, 100], "pgbench", 0.2, later=0.4)
    slow = Line("slow", "ms", [30, 10, 26], [20, 20, 20], "psql", 1.2, at_most=True)
    assert (fast.met, slow.met) == (True, False)
    nothing = Line("nothing at all", "MB", [0], goal=20, at_most=True)
    Kept(tmp_path, "small").put("list", [fast, slow, nothing, Line("none", "%", [], note="there were no data")])
    write(tmp_path, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "**0.20** (0.10 to 0.30) | ≥ 0.2 → ≥ 0.4 | reached |" in text
    assert "**1.30** (0.50 to 1.50) | ≤ 1.2 | short |" in text
    assert "none: not measured, there were no data." in text
    assert json.loads((tmp_path / "results/small/list.json").read_text())[0]["name"] == "fast"
