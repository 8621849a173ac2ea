"""The commands as a person runs them: processes of their own, killed and run again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import SECRET, Api

pytestmark = pytest.mark.anyio

MAPPING = """
name = "own"
origin = "own"
[identity]
columns = ["no"]
[values]
no = {}
name = {}
[[records]]
name = "person"
resource = "persons"
id = "{no}"
fields = { names = [{ text = "$name" }] }
"""


def chronika(api: Api, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CHRONIKA_DATABASE_URL": api.site.url, "CHRONIKA_SECRET": SECRET}
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(api: Api, *arguments: str) -> tuple[int, str]:
    process = chronika(api, *arguments)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return process.returncode, out + err


async def test_an_import_that_is_killed_is_run_again_to_the_same_end(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(MAPPING)
    count = 1500
    (tmp_path / "own.csv").write_text("no,name\n" + "".join(f"{n},Person {n}\n" for n in range(count)))
    arguments = ("import", str(tmp_path / "own.csv"), "--mapping", str(tmp_path / "own.toml"))
    process = chronika(api, *arguments)
    deadline = time.monotonic() + 60
    while await owner.fetchval("SELECT count(*) FROM persons") == 0 and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 -- nothing else runs here
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = await owner.fetchval("SELECT count(*) FROM persons")
    assert 0 < there < count
    assert there % 200 == 0, "a batch is whole or absent"
    code, text = run(api, *arguments)
    assert code == 0, text
    found = await owner.fetchrow("SELECT count(*), max(version) FROM persons")
    names = await owner.fetchval("SELECT count(*) FROM person_names")
    assert found is not None
    assert (found[0], found[1], names) == (count, 1, count)


async def test_what_goes_wrong_is_one_line(api: Api, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    for arguments, word in (
        (("import", str(tmp_path / "a.csv"), "--mapping", "none"), "there is no mapping"),
        (("import", str(tmp_path / "b.csv"), "--mapping", "ovdinfo-detentions"), "there is no file"),
        (("import", str(tmp_path / "a.csv"), "--mapping", "ovdinfo-detentions"), "says nothing of: a"),
        (("export", "people"), "there is no resource"),
        (("export", "events", "--colour", "red"), "--colour"),
        (("db", "restore", str(tmp_path / "a.csv")), "not a backup"),
    ):
        code, text = run(api, *arguments)
        assert (code, word in text) == (1, True), text
