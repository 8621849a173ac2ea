"""Other programs on the same data: Kinto, Datasette, Django REST framework, Directus, where they can be installed.

Each is installed into the state folder by pip or npm, serves the records of the middle size from one process, and is
asked for what it can do: a list of 50 events and one person. What cannot be installed is left out with a note.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.http import Client
from benchmarks.place import Api, Place, Size
from benchmarks.reads import ROLE, list_urls
from benchmarks.results import Line
from benchmarks.sides import in_turn, load

LISTED = 200
"""Pages and persons that are asked for by turns."""

INSTALL_S = 900
"""How long an installation may take."""

OTHERS = Path(__file__).parent / "others"


class LeftOutError(Exception):
    """The program cannot be measured here; the message says why."""


@dataclass
class Peer:
    """A running program: its port, what it is asked for, and what to know of it."""

    port: int
    lists: list[str]
    details: list[str]
    note: str
    headers: dict[str, str] = field(default_factory=dict)

    def as_api(self, process: subprocess.Popen[bytes]) -> Api:
        """Return it in the form that loads are put on."""
        return Api(f"http://127.0.0.1:{self.port}", process, {})


def peers(place: Place) -> list[Line]:
    """Measure a list of 50 events and one person beside other programs on the same records, c=16."""
    size = place.scale.sizes[1]
    found = place.value("SELECT array_agg(id ORDER BY n) FROM benchmark_ids WHERE n <= $1", LISTED, size=size)
    ids = [str(i) for i in found]
    lines: list[Line] = []
    for name, prepare in PEERS.items():
        with contextlib.ExitStack() as running:
            try:
                peer, process = running.enter_context(prepare(place, size, ids))
                lines += _compare(place, size, peer, peer.as_api(process), ids)
            except (LeftOutError, OSError) as error:
                lines.append(Line(name, "answers/s", [], note=str(error)[:300]))
    return lines


def _compare(place: Place, size: Size, peer: Peer, theirs: Api, ids: list[str]) -> list[Line]:
    api, lines, asked = place.api(size), [], 0

    def run(on: Api, urls: list[str], headers: dict[str, str]) -> float:
        nonlocal asked
        found = load(on, headers, urls, asked, clients=16, seconds=place.scale.seconds)
        asked += int(found.rate * place.scale.seconds * 1.2)
        return found.rate

    sides = {"list": (list_urls(), peer.lists), "person": ([f"/v1/persons/{i}" for i in ids], peer.details)}
    for what, (ours, others) in sides.items():
        run(theirs, others, peer.headers)
        a, b = in_turn(
            place.scale.runs,
            lambda _n, u=ours: run(api, u, api.headers(ROLE)),  # type: ignore[misc]
            lambda _n, u=others: run(theirs, u, peer.headers),  # type: ignore[misc]
        )
        name = peer.note.partition(":")[0]
        lines.append(Line(f"{what} beside {name}", "answers/s", a, b, name, 1, later=3, note=peer.note))
    return lines


# --- how each is installed and run -------------------------------------------------------------------------


def _run(command: list[str], folder: Path, **environment: str) -> None:
    """Run a command to its end; raises `LeftOutError` with the last line that it said."""
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LeftOutError(f"{' '.join(command[:2])} took more than {INSTALL_S // 60} minutes") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise LeftOutError(f"{' '.join(command[:2])} failed: {said}")


def _environment(place: Place, name: str, *packages: str) -> Path:
    """Return the folder of a virtual environment with packages, made at the first use."""
    folder = place.state.parent / "peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", str(folder)], folder)
    _run([str(folder / "bin" / "pip"), "install", "-q", *packages], folder)
    return folder


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(
    peer: Peer, command: list[str], folder: Path, **environment: str
) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """Run a program until it answers, and end it and its children afterwards."""
    log = (folder / "log").open("wb")
    process = subprocess.Popen(  # noqa: S603
        command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                answer = Client(peer.port, peer.headers).get(peer.lists[0])
                if answer.status == 200:  # noqa: PLR2004
                    yield peer, process
                    return
            time.sleep(0.2)
        raise LeftOutError(f"it did not start; see {log.name}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextlib.contextmanager
def datasette(place: Place, size: Size, ids: list[str]) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """Run Datasette on a copy in SQLite."""
    folder = _environment(place, "datasette", "datasette")
    copy = folder / f"{size.database}.db"
    copy.unlink(missing_ok=True)
    program = [str(folder / "bin" / "python"), str(OTHERS / "to_sqlite.py"), str(copy)]
    for table in ("events", "persons"):
        file = folder / f"{table}.csv"
        place.program("psql", "owner", "-qXc", rf"\copy {table} TO '{file}' WITH (FORMAT csv, HEADER)", size=size)
        _run([*program, table, str(file)], folder)
        file.unlink()
    port = _free_port()
    lists = [f"/{copy.stem}/events.json?_shape=array&_size=50&_sort_desc=date"]
    details = [f"/{copy.stem}/persons/{i}.json?_shape=array" for i in ids]
    peer = Peer(port, lists, details, "Datasette: flat rows of one table, from SQLite")
    command = [
        str(folder / "bin" / "datasette"),
        str(copy),
        "--port",
        str(port),
        "--setting",
        "max_returned_rows",
        "50",
    ]
    with _running(peer, command, folder) as running:
        yield running


@contextlib.contextmanager
def django(place: Place, size: Size, ids: list[str]) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """Run Django REST framework under gunicorn on the same tables, as their owner."""
    folder = _environment(place, "django", "djangorestframework", "psycopg[binary]", "gunicorn")
    shutil.copy(OTHERS / "drf.py", folder / "drf.py")
    port = _free_port()
    lists = [f"/events/?offset={50 * n}&limit=50" for n in range(LISTED)]
    peer = Peer(
        port, lists, [f"/persons/{i}" for i in ids], "Django REST framework: serializers with nested rows, gunicorn"
    )
    command = [str(folder / "bin" / "gunicorn"), "drf:application", "--bind", f"127.0.0.1:{port}", "--threads", "4"]
    with _running(peer, command, folder, **place.login("owner", size)) as running:
        yield running


@contextlib.contextmanager
def kinto(place: Place, size: Size, ids: list[str]) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """Run Kinto on a PostgreSQL database of its own, into which records are put by its own API."""
    folder = _environment(place, "kinto", "kinto[postgresql]", "setuptools<81", "waitress")
    own = Size(0, 0, "kinto")
    place.make_database(own)
    login = place.login("owner", own)
    url = f"postgresql://{login['PGUSER']}:{login['PGPASSWORD']}@/{login['PGDATABASE']}?host={login['PGHOST']}"
    port = _free_port()
    (folder / "kinto.ini").write_text(
        (OTHERS / "kinto.ini").read_text().replace("URL", url.replace("%", "%%")).replace("PORT", str(port))
    )
    program = [str(folder / "bin" / "kinto")]
    _run([*program, "migrate", "--ini", str(folder / "kinto.ini")], folder)
    count = min(size.events, 20_000)
    records = {
        "events": f"SELECT json_agg(to_jsonb(e)) FROM (SELECT * FROM events LIMIT {count}) e",  # noqa: S608
        "persons": "SELECT json_agg(to_jsonb(p)) FROM persons p JOIN benchmark_ids b ON b.id = p.id "  # noqa: S608
        f"WHERE b.n <= {LISTED}",
    }
    note = f"Kinto: {count:,} flat records, waitress"
    base = "/v1/buckets/b/collections"
    lists = [f"{base}/events/records?_limit=50&_sort=-date"]
    peer = Peer(port, lists, [f"{base}/persons/records/{i}" for i in ids], note)
    empty = Peer(port, ["/v1/"], [], note)
    with _running(empty, [*program, "start", "--ini", str(folder / "kinto.ini"), "--port", str(port)], folder) as (
        _,
        process,
    ):
        client = Client(port, {})
        client.put("/v1/buckets/b", b"{}")
        for collection, sql in records.items():
            client.put(f"{base}/{collection}", b"{}")
            some = json.loads(place.value(sql, size=size))
            for start in range(0, len(some), 25):
                made = [
                    {"method": "PUT", "path": f"{base}/{collection}/records/{r['id']}", "body": {"data": r}}
                    for r in some[start : start + 25]
                ]
                answer = client.post("/v1/batch", json.dumps({"requests": made}).encode())
                if answer.status != 200:  # noqa: PLR2004
                    raise LeftOutError(answer.body[:200].decode())
        yield peer, process


@contextlib.contextmanager
def directus(place: Place, size: Size, ids: list[str]) -> Iterator[tuple[Peer, subprocess.Popen[bytes]]]:
    """Run Directus on plain copies of the tables in a database of its own."""
    if shutil.which("npm") is None:
        raise LeftOutError("npm is not installed")
    folder = place.state.parent / "peers" / "directus"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "node_modules" / ".bin" / "directus"
    if not program.exists():
        _run(["npm", "install", "--no-audit", "--no-fund", "directus"], folder)
    own = Size(0, 0, "directus")
    place.make_database(own)
    for table in ("events", "persons"):
        dump = place.program("pg_dump", "owner", "-O", "-x", "--section=pre-data", "-t", table, size=size)
        plain = "\n".join(x for x in dump.splitlines() if "POLICY" not in x and "ROW LEVEL" not in x)
        place.program("psql", "owner", "-qX", size=own, stdin=f"DROP TABLE IF EXISTS {table};\n{plain}")
        file = folder / table
        place.program("psql", "owner", "-qXc", rf"\copy {table} TO '{file}'", size=size)
        place.program("psql", "owner", "-qXc", rf"\copy {table} FROM '{file}'", size=own)
        place.program("psql", "owner", "-qXc", f"ALTER TABLE {table} ADD PRIMARY KEY (id)", size=own)
        file.unlink()
    login, port, token = place.login("owner", own), _free_port(), "benchmark"
    environment = {
        "DB_CLIENT": "pg",
        "DB_HOST": login["PGHOST"],
        "DB_PORT": "5432",
        "DB_DATABASE": "directus",
        "DB_USER": login["PGUSER"],
        "DB_PASSWORD": login["PGPASSWORD"],
        "SECRET": token,
        "ADMIN_EMAIL": "benchmark@example.org",
        "ADMIN_PASSWORD": token,
        "ADMIN_TOKEN": token,
        "PORT": str(port),
        "TELEMETRY": "false",
    }
    _run([str(program), "bootstrap"], folder, **environment)
    peer = Peer(
        port,
        [f"/items/events?limit=50&sort=-date&offset={50 * n}" for n in range(LISTED)],
        [f"/items/persons/{i}" for i in ids],
        "Directus: flat rows, an administrator's token",
        {"Authorization": f"Bearer {token}"},
    )
    with _running(peer, [str(program), "start"], folder, **environment) as running:
        yield running


Prepare = Callable[[Place, Size, list[str]], contextlib.AbstractContextManager[tuple[Peer, subprocess.Popen[bytes]]]]
PEERS: dict[str, Prepare] = {
    "Django REST framework": django,
    "Datasette": datasette,
    "Kinto": kinto,
    "Directus": directus,
}
