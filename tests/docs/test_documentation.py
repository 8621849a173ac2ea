"""The documentation is tried: settings, links, commands, and every curl against a real server with the sample."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app import cli
from app.core.settings import PREFIX, Settings
from tests.conftest import SECRET, Server, make_site, start_server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
SOMETHING = "…"
"""What stands in a shown answer for any value."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- settings, links, commands ---------------------------------------------------------------------


def test_the_table_of_settings_names_every_setting_and_nothing_else() -> None:
    rows = re.findall(rf"^\| `({PREFIX}[A-Z_]+)` \| (.+?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in rows] == [PREFIX + field.upper() for field in Settings.model_fields]
    for name, default in rows:
        field = Settings.model_fields[name.removeprefix(PREFIX).lower()]
        if default.startswith("`"):
            shown = default.strip("`")
            real = field.default
            assert shown == (str(real).lower() if isinstance(real, bool) else str(real[0] if real == ["*"] else real))
        else:
            assert field.default_factory is not None or field.default is None, f"{name} has a default to show"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_setting_is_named_that_does_not_exist(page: Path) -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text()))
    assert named <= known


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_in_code_style_exist(page: Path) -> None:
    for path in re.findall(r"`((?:app|docs|deploy|migrations|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


def shown_commands() -> dict[str, set[str]]:
    """Return command → options shown with it, from code and fences of all pages."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        text = page.read_text()
        fences = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines = [line for fence in fences for line in fence.splitlines()]
        lines += re.findall(r"`(chronika [^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in lines:
            called = re.search(
                r"(?:^|/)chronika((?: [a-z][a-z-]*)+)|run --rm migrate((?: [a-z][a-z-]*)+)", line.split(" #")[0]
            )
            if called:
                words = (called[1] or called[2]).split()
                rest = line[called.end() :]
                command = " ".join(words[:2] if words[0] in {"db", "keys"} else words[:1])
                found.setdefault(command, set()).update(re.findall(r"(?<!\S)--[a-z-]+", rest))
    return found


@pytest.mark.parametrize(("command", "options"), sorted(shown_commands().items()))
def test_every_command_that_is_shown_exists_with_its_options(command: str, options: set[str]) -> None:
    done = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(cli.app, [*command.split(), "--help"])
    assert done.exit_code == 0, done.output
    for option in options:
        assert option in done.output, f"{command} has no {option}"


# --- every curl --------------------------------------------------------------------------------------


@dataclass
class Example:
    """A block of commands in a page, and the answer that is shown below it."""

    page: Path
    line: int
    script: str
    answer: Any

    @property
    def statuses(self) -> list[int]:
        """The statuses that the page promises: those it names, else any success."""
        return [int(s) for s in re.findall(r"# answers (\d{3})$", self.script, re.MULTILINE)]

    def __str__(self) -> str:
        """Say where it stands, as the test's id."""
        return f"{name_of(self.page)}:{self.line}"


FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = page.read_text()
        fences = list(FENCE.finditer(text))
        for fence, following in itertools.zip_longest(fences, fences[1:]):
            if fence[1] == "sh":
                shown = following if following is not None and following[1] == "json" else None
                line = text.count("\n", 0, fence.start()) + 1
                yield Example(page, line, fence[2], json.loads(shown[2]) if shown is not None else None)


def shows(answer: Any, shown: Any) -> bool:
    """Tell whether an answer holds what is shown of it.

    An object may have more members than are shown. A list has just the items shown, in any order, or more where it
    ends in "…".
    """
    if shown == SOMETHING:
        return answer is not None
    if isinstance(shown, dict):
        return isinstance(answer, dict) and all(k in answer and shows(answer[k], v) for k, v in shown.items())
    if isinstance(shown, list):
        items = [s for s in shown if s != SOMETHING]
        complete = isinstance(answer, list) and (len(items) < len(shown) or len(answer) == len(items))
        return complete and all(any(shows(a, s) for a in answer) for s in items)
    return bool(answer == shown)


@pytest.mark.parametrize(
    ("answer", "shown", "held"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [2, SOMETHING]}, True),
        ({"b": [1, 2]}, {"b": [2, 1]}, True),
        ({"b": [1, 2]}, {"b": [2]}, False),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"b": SOMETHING}, False),
        ({"a": None}, {"a": SOMETHING}, False),
        ([{"a": 1}], [{"a": 1}, {"a": 3}], False),
    ],
)
def test_an_answer_is_compared_with_what_is_shown_of_it(answer: Any, shown: Any, held: bool) -> None:
    assert shows(answer, shown) is held


# Tells the status of each request beside its answer, without a change of the command that the reader sees.
TOLD = """
set -euo pipefail
curl() {
    case " $* " in
        *" -w "*) command curl -sS --fail-with-body "$@" ;;
        *) command curl -sS -w '%{stderr}status %{http_code}\\n' "$@" ;;
    esac
}
"""


@pytest.fixture(scope="module")
def documented(server_url: str) -> Iterator[Server]:
    """Run the service as the README has it run: with the sample."""
    running = start_server(make_site(server_url, "documented"), "--demo")
    yield running
    running.process.terminate()
    running.process.wait(30)


def test_every_curl_is_tried() -> None:
    tried = sum(example.script.count("curl ") for example in examples())
    assert tried >= 20
    for page in PAGES:
        everywhere = [line for fence in FENCE.finditer(page.read_text()) for line in fence[2].splitlines()]
        of_page = "".join(e.script for e in examples() if e.page == page)
        assert [line for line in everywhere if "curl " in line and line not in of_page] == []


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_every_curl_answers_as_shown(example: Example, documented: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed: apt-get install curl")
    if "jq " in example.script and shutil.which("jq") is None and not os.environ.get("CI"):
        pytest.skip("jq is not installed: apt-get install jq")
    assert "localhost:8000" in example.script, "every example runs against the demo"
    script = TOLD + example.script.replace("localhost:8000", documented.url.removeprefix("http://"))
    keys = {"KEY": documented.site.keys["editor"], "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **keys},
    )
    assert done.returncode == 0, done.stderr
    statuses = [int(s) for s in re.findall(r"^status (\d+)$", done.stderr, re.MULTILINE)]
    assert statuses, "no request was made"
    if example.statuses:
        assert statuses == example.statuses
    else:
        assert all(200 <= status < 300 for status in statuses), done.stdout
    if example.answer is not None:
        answer = json.loads(done.stdout)
        assert shows(answer, example.answer), done.stdout[:3000]


def test_secrets_of_tests_are_not_in_the_documentation() -> None:
    for page in PAGES:
        assert SECRET not in page.read_text()
        assert not re.search(r"chr_[0-9a-f]{10}_[0-9a-f]{48}", page.read_text()), "a real key is shown"
