"""The command line, as processes of its own: what it teaches, what it serves, and how it stops and fails."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import typer

from app.cli import app
from app.core import keys
from app.main import create_app
from tests.conftest import SECRET, Site, free_port, make_site, start_server

KEY_LINE = re.compile(r"^(partner|editor|guardian) +(chr_\S+)$", re.MULTILINE)


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with these settings and no others of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CHRONIKA_")}
    return {**kept, "COLUMNS": "120", **{f"CHRONIKA_{k.upper()}": v for k, v in settings.items()}}


def chronika(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False)


# --- help ------------------------------------------------------------------------------------------------


def commands() -> list[tuple[str, ...]]:
    """Return the path of every command."""
    found = []

    def walk(group: object, path: tuple[str, ...]) -> None:
        for name, command in getattr(group, "commands", {}).items():
            (walk if hasattr(command, "commands") else lambda _, p: found.append(p))(command, (*path, name))

    walk(typer.main.get_command(app), ())
    return found


def test_every_command_teaches_by_an_example() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "app", *path, "--help"], env=environment(), stdout=subprocess.PIPE, text=True
        )
        for path in commands()
    ]
    assert len(running) >= 7
    for path, process in zip(commands(), running, strict=True):
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert re.search(rf"Example: .*chronika {' '.join(path)}", text), f"{' '.join(path)} shows no example"


def test_without_a_command_the_commands_are_listed() -> None:
    listed = chronika()
    for name in ("serve", "db", "keys"):
        assert name in listed.stdout + listed.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", chronika("--version").stdout.strip())


# --- serving on the embedded server -----------------------------------------------------------------------


@dataclass
class Served:
    """A running service: its address, its process, and where its output goes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(self.url + path, headers=headers, timeout=10)


@contextmanager
def serving(data_dir: Path, *arguments: str) -> Iterator[Served]:
    """Run `chronika serve` on a data directory until the end of the block, and then see that it stops cleanly."""
    port = free_port()
    log = data_dir.parent / f"{port}.log"
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment(data_dir=str(data_dir)), stdout=output, stderr=output)
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(served)
        yield served
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            # The convention for a process that a signal has ended: 128 and the signal's number.
            assert process.wait(30) in {0, 128 + signal.SIGTERM, -signal.SIGTERM}
            assert left_of(data_dir) == []
    finally:
        if process.poll() is None:
            process.kill()


def wait_until_ready(served: Served) -> None:
    for _ in range(600):
        if served.process.poll() is not None:
            break
        try:
            if served.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"not ready: {served.log.read_text()}")


def processes_of(data_dir: Path) -> list[str]:
    """Return the command lines of the processes that were started for a data directory and still run."""
    found = []
    for pid in (p for p in Path("/proc").iterdir() if p.name.isdigit()):
        try:
            line = (pid / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            settings = (pid / "environ").read_bytes() if "app" in line or "multiprocessing" in line else b""
        except OSError:
            continue  # it has just ended, or is somebody else's
        if str(data_dir) in line or str(data_dir).encode() in settings:
            found.append(line)
    return found


def left_of(data_dir: Path) -> list[str]:
    """Return what still runs for a data directory after a moment in which helpers notice that their parent is gone."""
    for _ in range(100):
        if not processes_of(data_dir):
            break
        time.sleep(0.1)
    return processes_of(data_dir)


@dataclass
class Demo:
    """A data directory into which the sample was loaded, with what the first start printed and took."""

    data_dir: Path
    printed: str
    seconds: float

    @property
    def keys(self) -> dict[str, str]:
        return dict(KEY_LINE.findall(self.printed))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Start once on an empty data directory with the sample, and stop."""
    data_dir = tmp_path_factory.mktemp("demo") / "data"
    start = time.monotonic()
    with serving(data_dir, "--demo") as served:
        seconds = time.monotonic() - start
    return Demo(data_dir, served.log.read_text(), seconds)


def test_the_demo_is_there_in_ten_seconds_with_a_key_per_role(demo: Demo) -> None:
    # From nothing: server, schema, sample. Where others use the machine too, a second is worth less.
    assert demo.seconds < 10 * max(1, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert len(KEY_LINE.findall(demo.printed)) == 3
    assert sorted(demo.keys) == ["editor", "guardian", "partner"]
    for line in ("API       http://localhost:", "docs      http://localhost:", "explorer  http://localhost:"):
        assert line in demo.printed
    kept = (demo.data_dir / "secret").stat()
    assert kept.st_mode & 0o077 == 0, "for this user alone"


def test_a_second_demo_loads_nothing_and_prints_no_key(demo: Demo) -> None:
    with serving(demo.data_dir, "--demo", "--workers", "2") as served:
        printed = served.log.read_text()
        counts = {}
        for name, key in {"public": None, **demo.keys}.items():
            answer = served.get("/v1/status", key)
            assert answer.status_code == 200
            counts[name] = answer.json()["records"]["events"]
        person = served.get("/v1/persons?q=Adamovich").json()["items"][0]["id"]
        protected = {name: served.get(f"/v1/persons/{person}/protected", key) for name, key in demo.keys.items()}
    assert "not empty" in printed
    assert KEY_LINE.findall(printed) == []
    assert counts == {"public": 122, "partner": 122, "editor": 123, "guardian": 123}
    assert {n: a.status_code for n, a in protected.items()} == {"partner": 403, "editor": 403, "guardian": 200}
    assert all(key not in printed for key in demo.keys.values())


def test_what_was_killed_starts_again(demo: Demo) -> None:
    with serving(demo.data_dir) as served:
        before = served.get("/v1/status").json()
        served.process.send_signal(signal.SIGKILL)
        served.process.wait(10)
    with serving(demo.data_dir) as served:
        assert served.get("/v1/status").json() == before


# --- keys on a given server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def given(server_url: str) -> Site:
    """Give a database of this module's own."""
    return make_site(server_url, "commanded")


@pytest.fixture
def settings(given: Site) -> dict[str, str]:
    """Give the settings with which commands use that database."""
    return {"database_url": given.url, "secret": SECRET}


def test_keys_are_made_listed_and_revoked_beside_a_running_service(given: Site, settings: dict[str, str]) -> None:
    server = start_server(given, "--workers", "2")
    try:
        made = chronika("keys", "create", "--name", "Night desk", "--role", "editor", **settings)
        key = made.stdout.strip()
        assert (made.returncode, key.startswith("chr_"), made.stderr) == (0, True, "")
        key_id = key.split("_")[1]
        bearer = {"Authorization": f"Bearer {key}"}
        written = httpx.post(f"{server.url}/v1/events", json={"type": "detention"}, headers=bearer, timeout=10)
        assert written.status_code == 201
        history = httpx.get(f"{server.url}{written.headers['location']}/history", headers=bearer, timeout=10)
        assert [h["by"] for h in history.json()["items"]] == ["Night desk"]

        listed = chronika("keys", "list", **settings).stdout
        assert re.search(rf"{key_id}.*Night desk.*editor.*valid", listed)
        assert key not in listed

        assert chronika("keys", "revoke", key_id, **settings).returncode == 0
        # From the next request on, in whichever worker it lands.
        answers = [httpx.get(f"{server.url}/v1/status", headers=bearer, timeout=10) for _ in range(8)]
        assert {a.status_code for a in answers} == {401}
        assert re.search(rf"{key_id}.*revoked", chronika("keys", "list", **settings).stdout)
    finally:
        server.process.terminate()
        assert server.process.wait(30) in {0, 128 + signal.SIGTERM, -signal.SIGTERM}


def test_an_expired_key_is_refused_and_listed_as_such(given: Site, settings: dict[str, str]) -> None:
    text = asyncio.run(keys.create(given.url, "Old desk", "editor", "here", timedelta(seconds=-1)))
    assert re.search(r"Old desk.*expired", chronika("keys", "list", **settings).stdout)
    made = chronika("keys", "create", "--name", "New desk", "--role", "partner", "--expires", "1d", **settings)
    assert made.returncode == 0
    for key, code in ((text, 401), (made.stdout.strip(), 200)):
        answer = asyncio.run(_status(given, key))
        assert answer.status_code == code


async def _status(site: Site, key: str) -> httpx.Response:
    service = create_app(site.settings())
    transport = httpx.ASGITransport(app=service)
    async with httpx.AsyncClient(transport=transport, base_url="http://chronika.test") as client:
        answer = await client.get("/v1/status", headers={"Authorization": f"Bearer {key}"})
    await service.state.database.close()
    return answer


def test_db_commands_say_where_the_database_is(settings: dict[str, str]) -> None:
    for command in ("upgrade", "check"):
        done = chronika("db", command, **settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("The database is at revision 0")


# --- what goes wrong --------------------------------------------------------------------------------------

NOWHERE = "postgresql://owner:pass-word@127.0.0.1:1/chronika"


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["serve"], {"port": "eighty"}, "CHRONIKA_PORT"),
        (["serve"], {"database_url": NOWHERE}, "CHRONIKA_SECRET is required"),
        (["serve"], {"database_url": NOWHERE, "secret": SECRET}, "cannot reach PostgreSQL at 127.0.0.1"),
        (["db", "check"], {"database_url": NOWHERE, "secret": SECRET}, "cannot reach PostgreSQL"),
        (["db", "downgrade", "base", "--yes"], {"database_url": NOWHERE, "secret": SECRET}, "cannot reach"),
        (["keys", "list"], {"database_url": NOWHERE, "secret": SECRET}, "cannot reach PostgreSQL"),
        (["serve"], {"database_url": "mysql://x@y/z", "secret": SECRET}, "CHRONIKA_DATABASE_URL"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(arguments: list[str], settings: dict[str, str], said: str) -> None:
    done = chronika(*arguments, **settings)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("chronika: ")
    assert said in line
    assert "pass-word" not in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "create", "--name", "x", "--role", "king"], "partner, editor, guardian"),
        (["keys", "revoke", "0000000000"], "there is no key 0000000000"),
        (["db", "downgrade", "9999", "--yes"], "9999"),
    ],
)
def test_a_wrong_wish_is_one_line_and_exit_code_1(settings: dict[str, str], arguments: list[str], said: str) -> None:
    done = chronika(*arguments, **settings)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_going_down_is_asked_for_twice(settings: dict[str, str]) -> None:
    done = chronika("db", "downgrade", "base", **settings)
    assert done.returncode == 1, "nobody said yes"
    assert chronika("db", "check", **settings).returncode == 0
