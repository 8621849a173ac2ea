"""Where it is measured: a PostgreSQL of its own in the state folder, filled databases, and the service as a process."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from app.core import keys, schema
from app.core.embedded import embedded_server
from app.core.programs import bin_path
from app.core.settings import role_password
from app.exchange import synth_load
from benchmarks.http import Client

SECRET = "a secret for benchmarks, of 32 characters or more"  # noqa: S105 -- of a server that holds nothing real
IDS = 20_000
"""Records that are read one by one."""

ROLES = ("partner", "editor")


@dataclass(frozen=True)
class Size:
    """How many records a database holds."""

    persons: int
    events: int
    called: str = ""

    @property
    def database(self) -> str:
        """Name the database of this size."""
        return self.called or f"events_{self.events}"


@dataclass(frozen=True)
class Scale:
    """How much is measured: sizes from small to large, and how often and long each side runs."""

    name: str
    sizes: tuple[Size, Size, Size]
    runs: int
    seconds: float
    bulk: int
    large: bool = False
    """Give PostgreSQL two fifths of the memory, for all records to lie in: the embedded server takes 1 GB at most."""

    @property
    def largest(self) -> Size:
        """The size that all rows but the growing ones are measured on."""
        return self.sizes[-1]


SCALES = {
    s.name: s
    for s in (
        Scale("tiny", (Size(1500, 1500), Size(1500, 2000), Size(1500, 3000)), 2, 1, 50),
        Scale("middle", (Size(1500, 5000), Size(3000, 20_000), Size(20_000, 200_000)), 3, 2, 500),
        Scale("small", (Size(2000, 20_000), Size(20_000, 200_000), Size(200_000, 2_000_000)), 3, 3, 2000),
        Scale("names", (Size(1500, 5000), Size(20_000, 10_000), Size(1_000_000, 20_000)), 3, 3, 2000),
        Scale(
            "full", (Size(10_000, 100_000), Size(100_000, 1_000_000), Size(1_000_000, 10_000_000)), 5, 5, 10_000, True
        ),
    )
}


@dataclass
class Api:
    """The service as a process of its own on one of the databases."""

    url: str
    process: subprocess.Popen[bytes]
    keys: dict[str, str]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def headers(self, role: str) -> dict[str, str]:
        """Return the headers of a caller; `public` has no key."""
        return {} if role == "public" else {"Authorization": f"Bearer {self.keys[role]}"}

    def client(self, role: str) -> Client:
        """Return a client that keeps its connection."""
        return Client(self.port, self.headers(role))

    def pids(self) -> list[int]:
        """Return the processes that serve: the workers, or the one that is its own worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]


@dataclass
class Place:
    """A state folder, a scale, and what runs on them."""

    state: Path
    scale: Scale
    told: Callable[[str], object]
    owner: str = ""
    apis: dict[str, Api] = field(default_factory=dict)

    @contextlib.contextmanager
    def opened(self, sizes: Iterable[Size]) -> Iterator["Place"]:
        """Load what is not there yet of these sizes, then run PostgreSQL with its usual settings until the end."""
        self.state.mkdir(parents=True, exist_ok=True)
        data, secret = self.state / "database", SECRET.encode()
        with embedded_server(data, secret, fast=True) as self.owner:  # loading needs no durability
            for size in sizes:
                self._load(size)
            if self.scale.large:
                memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
                asyncio.run(_do(self.owner, f"ALTER SYSTEM SET shared_buffers = '{memory * 2 // 5 >> 20}MB'"))
        with embedded_server(data, secret) as self.owner:
            try:
                yield self
            finally:
                for name in list(self.apis):
                    self.stop(name)

    def url(self, size: Size | None = None) -> str:
        """Return the owner's URL of a database."""
        return self.owner.replace("@/chronika?", f"@/{(size or self.scale.largest).database}?")

    def make_database(self, size: Size) -> None:
        """Make a database, unless it is there."""
        asyncio.run(_create(self.owner, size.database))

    def make(self, size: Size) -> None:
        """Make a database with its tables, unless it is there."""
        self.make_database(size)
        schema.upgrade(self.url(size), SECRET.encode())

    def _load(self, size: Size) -> None:
        self.make(size)
        if asyncio.run(_value(self.url(size), "SELECT EXISTS (SELECT FROM persons)")):
            asyncio.run(_do(self.url(size), SAMPLE))  # where that was broken off
            return
        began = time.monotonic()
        what = f"loading {size.persons:,} persons and {size.events:,} events"
        told = lambda doing: self.told(f"{what}: {doing}")  # noqa: E731
        asyncio.run(synth_load.fill(self.url(size), size.persons, size.events, 1, told))
        asyncio.run(_do(self.url(size), SAMPLE))
        self.told(f"{what}: {time.monotonic() - began:.0f} s\n")

    def warm(self, size: Size | None = None) -> None:
        """Read all of a database but its versions into memory, as far as it fits: as if it had long been in use."""
        self.do("CREATE EXTENSION IF NOT EXISTS pg_prewarm", size)
        self.value(PREWARM, size=size)

    # --- the service ---

    def api(self, size: Size | None = None) -> Api:
        """Return the service on a database, started at its first use."""
        size = size or self.scale.largest
        if size.database not in self.apis:
            self.apis[size.database] = self.start(size)
        return self.apis[size.database]

    def start(self, size: Size, **settings: str) -> Api:
        """Start the service: one worker, as `chronika serve` does it."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        url = self.url(size)
        environment = {**os.environ, "CHRONIKA_DATABASE_URL": url, "CHRONIKA_SECRET": SECRET, **settings}
        environment["CHRONIKA_REQUESTS_PER_MINUTE"] = "1000000"  # counted, as always, and not reached
        log = (self.state / f"{size.database}.log").open("wb")
        command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603
        made = {r: asyncio.run(keys.create(url, "benchmark", r, "benchmark", timedelta(days=2))) for r in ROLES}
        api = Api(f"http://127.0.0.1:{port}", process, made)
        for _ in range(600):
            if process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if api.client("public").get("/readyz").status == 200:  # noqa: PLR2004
                    return api
            time.sleep(0.1)
        process.kill()
        msg = f"the service did not start; see {log.name}"
        raise RuntimeError(msg)

    def stop(self, name: str) -> None:
        """Stop the service on a database."""
        api = self.apis.pop(name)
        api.process.send_signal(signal.SIGTERM)
        api.process.wait(30)

    # --- PostgreSQL's own programs ---

    def program(
        self, name: str, role: str, *arguments: str, size: Size | None = None, stdin: str = "", stderr: bool = False
    ) -> str:
        """Run psql or pgbench as the login of an audience (or as `owner`) and return what it printed."""
        done = subprocess.run(  # noqa: S603
            [str(bin_path(name)), *arguments],
            env={**os.environ, **self.login(role, size)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or "ERROR" in done.stderr:
            msg = f"{name} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)
        return done.stdout + (done.stderr if stderr else "")

    def login(self, role: str, size: Size | None = None) -> dict[str, str]:
        """Return the environment in which libpq's programs log in."""
        to = make_url(self.url(size))
        name = str(to.username) if role == "owner" else f"chronika_{role}"
        password = str(to.password) if role == "owner" else role_password(SECRET.encode(), name)
        host = to.query["host"]
        options = "-c jit=off -c statement_timeout=0"
        names = {"PGUSER": name, "PGPASSWORD": password, "PGHOST": str(host), "PGDATABASE": str(to.database)}
        return {**names, "PGPORT": "5432", "PGOPTIONS": options}

    def value(self, sql: str, *arguments: Any, size: Size | None = None) -> Any:
        """Ask the database as its owner for one value."""
        return asyncio.run(_value(self.url(size), sql, *arguments))

    def do(self, script: str, size: Size | None = None) -> None:
        """Run statements as the owner of the database."""
        asyncio.run(_do(self.url(size), script))


async def _do(url: str, script: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def _value(url: str, sql: str, *arguments: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


async def _create(url: str, database: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database):
            await connection.execute(f"CREATE DATABASE {database}")
    finally:
        await connection.close()


PREWARM = """
SELECT sum(pg_prewarm(oid)) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND relname NOT LIKE '%changes%'
"""

SAMPLE = f"""
CREATE TABLE IF NOT EXISTS benchmark_ids (n integer PRIMARY KEY, id uuid NOT NULL);
INSERT INTO benchmark_ids SELECT row_number() OVER (), id FROM (SELECT id FROM persons ORDER BY id LIMIT {IDS}) p
ON CONFLICT DO NOTHING;
GRANT SELECT ON benchmark_ids TO PUBLIC;
ANALYZE benchmark_ids
"""  # noqa: S608 -- a number of ours
"""Ids of some persons, for pgbench to pick from: it can make up numbers, and no ids."""
