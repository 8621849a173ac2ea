"""The commands as a person runs them: processes of their own, killed and run again."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from app.cli import main
from app.core.settings import get_settings
from tests.conftest import SECRET, Api, Site

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


def test_what_goes_wrong_is_one_line(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHRONIKA_DATABASE_URL", site.url)
    monkeypatch.setenv("CHRONIKA_SECRET", SECRET)
    get_settings.cache_clear()
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "own.csv").write_text("no,name\n1,A\n")
    (tmp_path / "own.toml").write_text(MAPPING)
    own = str(tmp_path / "own.toml")
    for arguments, word in (
        (("import", str(tmp_path / "a.csv"), "--mapping", "none"), "there is no mapping"),
        (("import", str(tmp_path / "b.csv"), "--mapping", "ovdinfo-detentions"), "b.csv is not there"),
        (("import", str(tmp_path), "--mapping", "ovdinfo-detentions"), "no file that can be read more than once"),
        (("import", ".", "--mapping", "chronika"), "holds no file of our own export"),
        (("import", str(tmp_path / "a.csv"), "--mapping", "viasna-administrative"), "a.csv: it is neither a JSON"),
        (("import", str(tmp_path / "own.csv"), "--mapping", own, "--report", "/none/x"), "cannot write the report"),
        (("export", "all", "--output", str(tmp_path / "a.csv")), "File exists"),
        (("export", "events", "--output", "/none/x"), "No such file or directory"),
        (("export", "events", "--output", str(tmp_path)), "is a directory"),
        (("export", "persons", "--output", "/dev/full/x"), "Not a directory"),
        (("import", str(tmp_path / "a.csv"), "--mapping", "ovdinfo-detentions"), "says nothing of: a"),
        (("import", ".", "--mapping", "chronika", "--level", "restricted"), "no --level or --ground"),
        (("import", ".", "--mapping", "chronika", "--ground", "consent"), "no --level or --ground"),
        (("export", "people"), "there is no resource"),
        (("export", "events", "--colour", "red"), "--colour is no filter of events; there are: --"),
        (("db", "restore", str(tmp_path / "a.csv")), "not a backup"),
    ):
        monkeypatch.setattr(sys, "argv", ["chronika", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code, told.out, told.err.count("\n")) == (1, "", 1), told
        assert word in told.err
    get_settings.cache_clear()


async def test_what_is_unknown_is_listed_once_with_the_way_to_map_it(api: Api, tmp_path: Path) -> None:
    fields = '[{ text = "$name" }], sex = "$sex", groups = ["$group"] }\n'
    case = (
        '[[records]]\nname = "case"\nresource = "cases"\n'
        'fields = { kind = "criminal", charges = ['
        '{ when = "article", person = "@person", status = "charged", statute = "$article" }] }\n'
    )
    base = MAPPING.replace(
        "name = {}", 'name = {}\nsex = { map = { "m" = "male" } }\ngroup = {}\narticle = {}'
    ).replace('[{ text = "$name" }] }\n', fields)
    (tmp_path / "own.toml").write_text(base + case)
    rows = ["1,A,m,journalist,", "2,B,x,poet,", "3,C,x,journalist,", "4,D,m,poet,BY-1", "5,E,m,journalist,BY-1"]
    (tmp_path / "own.csv").write_text("no,name,sex,group,article\n" + "\n".join([*rows, "6,F,m"]) + "\n")
    arguments = ("import", str(tmp_path / "own.csv"), "--mapping")
    dry_code, dry = run(api, *arguments, str(tmp_path / "own.toml"), "--dry-run")
    code, text = run(api, *arguments, str(tmp_path / "own.toml"))
    assert (dry_code, code) == (3, 3)
    assert "6 rows: 1 are in the registry, 0 repeat others, 5 rejected" in text
    assert "6 rows: 1 would be taken, 0 repeat others, 5 rejected" in dry
    for line in (
        "unknown in column sex: 'x' (2 rows)",
        "unknown in vocabulary person_group: 'poet' (1 row)",
        "unknown in statutes: 'BY-1' (2 rows)",
        "in the `map` of column sex",
        "a code of /v1/vocabularies/person_group",
    ):
        assert line in text, text
        assert line in dry
    report = [json.loads(line) for line in (tmp_path / "own.csv.rejected.ndjson").read_text().splitlines()]
    assert [r["line"] for r in report] == [3, 4, 5, 6, 7]
    assert "Person" not in (tmp_path / "own.csv.rejected.ndjson").read_text()

    (tmp_path / "ext.toml").write_text(
        f'extends = "{tmp_path}/own.toml"\n[values.sex.map]\n"x" = "other"\n'
        '[values.group]\nmap = { "poet" = "journalist" }\nunknown = "keep"\n[values.article]\nignore = ["BY-1"]\n'
    )
    code, text = run(api, *arguments, str(tmp_path / "ext.toml"))
    assert (code, "6 rows: 5 are in the registry" in text) == (3, True), text
    (tmp_path / "own.csv").write_text("no,name,sex,group,article\n" + "\n".join(rows) + "\n")
    code, text = run(api, *arguments, str(tmp_path / "ext.toml"))
    assert (code, "5 rows: 5 are in the registry" in text) == (0, True), text
    assert not (tmp_path / "own.csv.rejected.ndjson").exists(), "a report of an earlier import stays behind"


async def test_a_terminal_shows_rate_and_time_left(api: Api, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MAPPING)
    (tmp_path / "own.csv").write_text("no,name\n" + "".join(f"{n},Person {n}\n" for n in range(1000)))
    primary, secondary = pty.openpty()
    environment = {
        **os.environ,
        "CHRONIKA_DATABASE_URL": api.site.url,
        "CHRONIKA_SECRET": SECRET,
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    command = [
        sys.executable,
        "-m",
        "app",
        "import",
        str(tmp_path / "own.csv"),
        "--mapping",
        str(tmp_path / "own.toml"),
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=secondary) as process:  # noqa: ASYNC220 -- nothing else runs here
        os.close(secondary)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone when its process is
            while some := os.read(primary, 4096):
                shown += some
    os.close(primary)
    assert process.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"rows .* [2-8]00/1000 [0-9,]+/s 0:00:[0-9]{2}", plain), plain[-500:]


async def test_a_reader_who_has_had_enough_is_no_failure(sample: Api) -> None:
    with chronika(sample, "export", "events") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == ""


async def test_an_export_that_nobody_reads_on_ends_though_the_server_takes_no_cancellation(
    sample: Api, owner: asyncpg.Connection
) -> None:
    directory = Path(await owner.fetchval("SHOW data_directory"))
    postmaster = int((directory / "postmaster.pid").read_text().splitlines()[0])
    with chronika(sample, "export", "events") as process:
        assert process.stdout is not None
        process.stdout.read(10)
        os.kill(postmaster, signal.SIGSTOP)
        try:
            process.stdout.close()
            assert process.wait(timeout=10) == 1
        finally:
            os.kill(postmaster, signal.SIGCONT)
            process.kill()


async def test_an_export_onto_a_full_disk_is_one_line(sample: Api) -> None:
    environment = {**os.environ, "CHRONIKA_DATABASE_URL": sample.site.url, "CHRONIKA_SECRET": SECRET}
    with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 -- nothing else runs here
        done = subprocess.run(  # noqa: ASYNC221 -- the same
            [sys.executable, "-m", "app", "export", "events"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"chronika: No space left on device\n")
