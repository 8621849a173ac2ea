"""The embedded PostgreSQL under the faults it must survive, in real processes."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from app.core import embedded
from app.core.embedded import HBA, embedded_server
from app.core.programs import EmbeddedServerError, bin_path
from app.core.settings import Settings, SettingsError, get_settings, role_password, secret_bytes

ROOT = Path(__file__).parents[2]
SECRET = b"s" * 40
NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")

# Becomes the user only after the imports: the interpreter may lie where that user cannot read.
HOLD = """
import os, sys
from pathlib import Path
from app.core.embedded import embedded_server
from app.core.programs import EmbeddedServerError
data_dir, uid, fast = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
try:
    with embedded_server(data_dir, b"s" * 40, fast=fast) as url:
        print(url, flush=True)
        sys.stdin.readline()
except EmbeddedServerError as error:
    sys.exit(str(error))
"""
KEEP_SECRET = """
import sys
from pathlib import Path
from app.core.settings import Settings, secret_bytes
print(secret_bytes(Settings(data_dir=Path(sys.argv[1]))).decode())
"""


class Holder:
    """Another process that uses the server until it is let go or killed."""

    def __init__(self, data_dir: Path, uid: int, *, fast: bool) -> None:  # noqa: D107  (the class says it)
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data_dir), str(uid), str(fast)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip() or pytest.fail(self.let_go())

    def let_go(self) -> str:
        """End it orderly and return what it said on standard error."""
        return self.process.communicate("\n", timeout=30)[1].strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def holding(data_dir: Path, uid: int = 0, *, fast: bool = True) -> Iterator[Holder]:
    holder = Holder(data_dir, uid, fast=fast)
    try:
        yield holder
    finally:
        if holder.process.returncode is None:
            holder.let_go()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WATCH_INTERVAL", 0.3)
    monkeypatch.setattr(embedded, "PASSING_LIMIT", 0.5)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one data directory for all tests that leave it in order."""
    path = tmp_path_factory.mktemp("embedded") / "data"
    with embedded_server(path, SECRET, fast=True) as url:
        query(url, "CREATE TABLE names (name text PRIMARY KEY, born date, CHECK (name <> ''))")
    return path


def query(url: str, statement: str, *arguments: object, password: str | None = None) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, timeout=10, password=password)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return asyncio.run(run())


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def is_running(data_dir: Path) -> bool:
    return (data_dir / "postgres" / "postmaster.pid").exists()


def kill_server(data_dir: Path) -> None:
    pid = server_pid(data_dir)
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
                time.sleep(0.01)
                continue
        return


# --- starting, stopping, sharing ---


def test_what_is_written_is_there_after_a_restart_and_nothing_runs_between(data_dir: Path) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url:
        query(url, "INSERT INTO names VALUES ('Alena') ON CONFLICT DO NOTHING")
        pid = server_pid(data_dir)
    assert not is_running(data_dir)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with embedded_server(data_dir, SECRET, fast=True) as url:
        assert query(url, "SELECT name FROM names WHERE name = 'Alena'") == "Alena"


def test_the_database_is_utf8_in_code_point_order_with_postgresql_18(data_dir: Path) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url:
        assert str(query(url, "SHOW server_version")).startswith("18.")
        found = query(url, "SELECT row(datname, encoding, datlocprovider, datlocale) FROM pg_database WHERE datname=$1",
                      "chronika")  # fmt: skip
        assert found == ("chronika", 6, b"b", "C.UTF-8")


def test_a_set_up_that_is_not_fast_is_durable(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "data", SECRET) as url:
        settings = [query(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert settings == ["on", "on", "on"]


def test_processes_that_start_at_once_share_one_server_that_the_last_one_stops(tmp_path: Path) -> None:
    with holding(tmp_path / "data") as one, holding(tmp_path / "data") as two:
        assert one.url() == (url := two.url())
        pid = server_pid(tmp_path / "data")
        one.let_go()
        assert query(url, "SELECT 1") == 1
        assert server_pid(tmp_path / "data") == pid
        assert two.let_go() == ""
    assert not is_running(tmp_path / "data")


def test_two_uses_in_one_process_count_as_two(data_dir: Path) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url:
        with embedded_server(data_dir, SECRET, fast=True) as same:
            assert same == url
        assert query(url, "SELECT 1") == 1
    assert not is_running(data_dir)


def test_an_exit_without_leaving_the_context_stops_the_server(data_dir: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.core.embedded import embedded_server\n"
        "used = embedded_server(Path(sys.argv[1]), b's' * 40, fast=True); used.__enter__()"
    )
    subprocess.run([sys.executable, "-c", script, str(data_dir)], cwd=ROOT, check=True)
    assert not is_running(data_dir)


# --- killed processes ---


def test_the_server_of_a_killed_process_is_used_and_then_stopped_by_the_next(data_dir: Path) -> None:
    with holding(data_dir) as holder:
        holder.url()
        pid = server_pid(data_dir)
        holder.kill()
    with embedded_server(data_dir, SECRET, fast=True) as url:
        assert query(url, "SELECT 1") == 1
        assert server_pid(data_dir) == pid
    assert not is_running(data_dir)


def test_a_process_killed_beside_a_living_one_does_not_keep_the_server_up(data_dir: Path) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url, holding(data_dir) as holder:
        holder.url()
        holder.kill()
        assert query(url, "SELECT 1") == 1
    assert not is_running(data_dir)


def test_a_commit_survives_a_killed_server_and_its_killed_user(data_dir: Path) -> None:
    with holding(data_dir, fast=False) as holder:
        query(holder.url(), "INSERT INTO names VALUES ('Vasil') ON CONFLICT DO NOTHING")
        holder.kill()
        kill_server(data_dir)
    with embedded_server(data_dir, SECRET, fast=True) as url:
        assert query(url, "SELECT name FROM names WHERE name = 'Vasil'") == "Vasil"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_under_its_user_is_back_within_ten_seconds(data_dir: Path, how: signal.Signals) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url:
        pid = server_pid(data_dir)
        os.kill(pid, how)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                if server_pid(data_dir) != pid and query(url, "SELECT 1") == 1:
                    return
            time.sleep(0.1)
    pytest.fail("the server did not come back")


def test_a_process_id_that_another_process_has_got_does_not_prevent_the_start(data_dir: Path) -> None:
    with holding(data_dir) as holder:
        holder.url()
        holder.kill()
        kill_server(data_dir)
    owner = (data_dir / "postgres").stat()
    user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["/bin/sleep", "60"], **user)  # type: ignore[call-overload]
    try:
        for path in (data_dir / "postgres" / "postmaster.pid", data_dir / "postgres" / ".s.PGSQL.5432.lock"):
            path.write_text("\n".join([str(other.pid), *path.read_text().splitlines()[1:], ""]))
        with embedded_server(data_dir, SECRET, fast=True) as url:
            assert query(url, "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_empty_pid_file_does_not_prevent_the_start(data_dir: Path) -> None:
    (data_dir / "postgres" / "postmaster.pid").touch()
    with embedded_server(data_dir, SECRET, fast=True) as url:
        assert query(url, "SELECT 1") == 1


# --- setting up ---


def test_a_set_up_killed_at_any_moment_is_finished_by_the_next_start(tmp_path: Path) -> None:
    for delay in (0.15, 0.4, 0.8):
        with holding(tmp_path / "data") as holder:
            time.sleep(delay)
            holder.kill()
    with embedded_server(tmp_path / "data", SECRET, fast=True) as url:
        assert query(url, "SELECT current_database()") == "chronika"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "postgres",
        "postgres.log",
        "server.lock",
        "users.lock",
    ]


def test_a_start_that_ended_before_the_database_was_made_makes_it_the_next_time(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "data", SECRET, fast=True) as url:
        query(url.replace("/chronika?", "/postgres?"), "DROP DATABASE chronika")
    with embedded_server(tmp_path / "data", SECRET, fast=True) as url:
        assert query(url, "SELECT current_database()") == "chronika"


@pytest.mark.parametrize("name", ["deep/" * 30, "a, b: c", 'it\'s "quoted" $HOME', "Хроніка"])
def test_any_path_will_do(tmp_path: Path, data_dir: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/bin/cp", "-a", data_dir, path], check=True)
    with embedded_server(path, SECRET, fast=True) as url:
        assert query(url, "SELECT 1") == 1
        assert query(url.replace("postgresql:", "postgres:"), "SELECT 1") == 1
        environment = {**os.environ, "PGPORT": "1", "LC_ALL": "C"}
        said = subprocess.run([bin_path("psql"), url, "-XAtc", "SELECT 2"], env=environment, capture_output=True, text=True, check=False)  # fmt: skip  # noqa: E501
        assert "," in name or said.stdout == "2\n", said.stderr
    socket_dir = Path(parse_qs(urlsplit(url).query)["host"][0])
    assert socket_dir == path / "postgres" or not socket_dir.exists()


# --- who may connect ---


def test_nobody_connects_without_the_owners_password(data_dir: Path) -> None:
    with embedded_server(data_dir, SECRET, fast=True) as url:
        for password in ("wrong", "", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                query(url.replace(role_password(SECRET, "postgres"), ""), "SELECT 1", password=password)
        assert (data_dir / "postgres" / "pg_hba.conf").read_text() == HBA
        assert query(url, "SHOW listen_addresses") == ""


def test_another_secret_is_refused_in_one_line(data_dir: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="made with another secret: give its CHRONIKA_SECRET") as raised:
        embedded_server(data_dir, b"another" * 8, fast=True).__enter__()
    assert "\n" not in str(raised.value)
    assert not is_running(data_dir)


@as_root
def test_another_user_reaches_neither_the_socket_nor_a_file(data_dir: Path) -> None:
    data_dir.parent.chmod(0o755)
    with embedded_server(data_dir, SECRET, fast=True) as url:
        for arguments in (
            [str(bin_path("psql")), url, "-c", "SELECT 1"],
            ["/bin/ls", str(data_dir / "postgres")],
            ["/bin/ls", str(data_dir)],
        ):
            said = subprocess.run(
                arguments, user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], cwd="/", capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            assert said.returncode != 0
            assert "Permission denied" in said.stderr


@as_root
def test_root_opens_a_closed_directory_to_the_servers_account_alone(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded_server(closed / "data", SECRET, fast=True):
        owner = (closed / "data" / "postgres").stat()
    assert owner.st_uid != 0
    assert closed.stat().st_mode & 0o007 == 0
    passed = subprocess.run(["/usr/bin/test", "-x", closed], user=owner.st_uid, group=owner.st_gid, check=False)
    assert passed.returncode == 0


@as_root
def test_an_ordinary_user_and_then_root_run_the_same_server_as_that_user() -> None:
    base = Path("/tmp", f"chronika-test-{os.getpid()}")  # noqa: S108  (pytest's own directories are closed to others)
    base.mkdir(mode=0o700)
    os.chown(base, NOBODY.pw_uid, NOBODY.pw_gid)
    try:
        with holding(base / "data", NOBODY.pw_uid) as holder:
            holder.url()
            assert Path(f"/proc/{server_pid(base / 'data')}").stat().st_uid == NOBODY.pw_uid
            assert holder.let_go() == ""
        assert not is_running(base / "data")
        with embedded_server(base / "data", SECRET, fast=True) as url:
            assert query(url, "SELECT 1") == 1
            assert Path(f"/proc/{server_pid(base / 'data')}").stat().st_uid == NOBODY.pw_uid
    finally:
        shutil.rmtree(base)


def test_the_log_keeps_no_value_of_any_failed_statement(data_dir: Path) -> None:
    canary = "Kanarka"
    log_file = data_dir / "postgres.log"
    log_file.write_text("")
    failing: list[tuple[str, list[object]]] = [
        ("INSERT INTO names VALUES ($1), ($1)", [canary]),
        ("INSERT INTO names VALUES ($1, '1-1-1')", [canary]),
        ("INSERT INTO names SELECT '' WHERE $1::text <> ''", [canary]),
        ("SELECT $1::text::date", [canary]),
        ("SELECT $1::text::int", [canary]),
        ("SELECT 1/0 WHERE $1::text <> ''", [canary]),
        (f"SELECT {canary}", []),
        (f"SELECT '{canary}' FROM", []),
        (f"DO $$ BEGIN RAISE WARNING '{canary}'; RAISE LOG 'seen'; END $$", []),
        (f"SET statement_timeout = 1; SELECT pg_sleep(1), '{canary}'", []),
    ]
    with embedded_server(data_dir, SECRET, fast=True) as url:
        for statement, arguments in failing:
            with contextlib.suppress(asyncpg.PostgresError):
                query(url, statement, *arguments)
    written = log_file.read_text()
    assert "seen" in written
    assert canary not in written


# --- errors ---


def refusal(path: Path) -> str:
    with pytest.raises(EmbeddedServerError) as raised:
        embedded_server(path, SECRET, fast=True).__enter__()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_cluster_of_another_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("17\n")
    assert "was made by PostgreSQL 17, this is 18" in refusal(tmp_path)


def test_a_directory_that_is_no_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "letter.txt").write_text("mine")
    assert "is not a PostgreSQL cluster" in refusal(tmp_path)
    assert (tmp_path / "postgres" / "letter.txt").read_text() == "mine"


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refusal(tmp_path / "file")


@as_root
def test_an_unwritable_data_directory_is_named_with_what_to_do() -> None:
    with holding(Path("/etc/chronika"), NOBODY.pw_uid) as holder:
        said = holder.let_go()
    assert "Permission denied: /etc/chronika" in said
    assert "set another CHRONIKA_DATA_DIR" in said
    assert "\n" not in said


def test_a_start_that_fails_shows_the_log(tmp_path: Path, data_dir: Path) -> None:
    subprocess.run(["/bin/cp", "-a", data_dir, tmp_path / "data"], check=True)
    with (tmp_path / "data" / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = 'plenty'\n")
    said = refusal(tmp_path / "data")
    assert str(tmp_path / "data" / "postgres.log") in said
    assert 'invalid value for parameter "shared_buffers"' in said


# --- the kept secret ---


def test_processes_that_race_for_the_secret_keep_the_same_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEP_SECRET, str(tmp_path / "data")]
    racing = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    made = {process.communicate()[0].strip() for process in racing}
    assert made == {secret_bytes(Settings(data_dir=tmp_path / "data")).decode()}
    assert len(made.pop()) >= 32
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "99999", "CHRONIKA_PORT: Input should be less than or equal to 65535"),
        ("ORIGIN", "Not A Name", "CHRONIKA_ORIGIN: "),
        ("SECRET", "short", "CHRONIKA_SECRET: "),
        ("DATABASE_URL", "mysql://u:hidden@server/db", "CHRONIKA_DATABASE_URL: must be postgresql://"),
        ("DATABASE_URL", "postgresql://u:hidden@server/db", "CHRONIKA_SECRET is required with CHRONIKA_DATABASE_URL"),
        ("CORS_ORIGINS", "https://example.org/", "CHRONIKA_CORS_ORIGINS: must be web origins"),
        ("METRICS", "perhaps", "CHRONIKA_METRICS: "),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("CHRONIKA_" + name, value)
    with pytest.raises(SettingsError) as raised:
        get_settings.__wrapped__()
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_blank_settings_are_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv("CHRONIKA_" + name.upper(), "" if name == "host" else "  ")
    settings = get_settings.__wrapped__()
    assert (settings.database_url, settings.secret, settings.port) == (None, None, 8000)
    assert settings.cors_origins == ["*"]
