"""What tests share: a PostgreSQL 18 per worker, the application on it, a client and a key per audience."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.core import keys, schema
from app.core.embedded import embedded_server
from app.core.settings import Settings
from app.main import create_app
from app.sample.load import load

SECRET = "a secret for tests, of 32 characters or more"
# Public test data whose licences keep it out of this repository; what needs it is skipped where it is not at hand.
DATA = Path(__file__).parents[2] / "shared" / "data"
if DATA.is_dir():
    os.environ.setdefault("CHRONIKA_TEST_DATA", str(DATA))

ROLES = {"partner": "partner", "other_partner": "partner", "editor": "editor", "guardian": "guardian"}

STANDBYS: dict[str, str] = {}
"""Server → its standby, from which everything is read when TEST_WITH_STANDBY is set."""

EMPTIED = (
    "places, organisations, sources, statutes, persons, cases, events, statuses, figures, changes, tombstones, "
    "idempotency_keys, protected_reads, erasures, merges, not_same, pulls, pulled, intake, proposals, feed_acks"
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for the session, as in a server process: pools belong to their loop."""
    return "asyncio"


@dataclass
class Site:
    """A database of its own, with a key per role."""

    url: str
    keys: dict[str, str] = field(default_factory=dict)
    read_url: str | None = None

    def settings(self) -> Settings:
        """Return the settings of an application on this database."""
        # No limit: a suite asks more in a minute than people do. Metrics are on, so that what they say is looked at.
        return Settings(
            database_url=self.url,
            read_database_url=self.read_url,
            secret=SECRET,  # type: ignore[arg-type]
            requests_per_minute=0,
            metrics=True,
        )

    def headers(self, role: str) -> dict[str, str]:
        """Return the headers of a caller; none for `public`."""
        return {} if role == "public" else {"Authorization": f"Bearer {self.keys[role]}"}


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL 18 for this worker; give the owner's URL."""
    with embedded_server(tmp_path_factory.mktemp("pg"), SECRET.encode(), fast=True) as url:
        if "TEST_WITH_STANDBY" in os.environ:
            from tests.standby import synchronous_standby  # noqa: PLC0415 -- it imports from here

            with synchronous_standby(url, tmp_path_factory.mktemp("standby")) as STANDBYS[url]:
                yield url
        else:
            yield url


def make_site(server_url: str, name: str) -> Site:
    """Make a database with the schema at head and a key per role."""

    async def create() -> None:
        connection = await asyncpg.connect(server_url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())
    standby = STANDBYS.get(server_url)
    read_url = standby.replace("@/chronika?", f"@/{name}?") if standby else None
    site = Site(server_url.replace("@/chronika?", f"@/{name}?"), read_url=read_url)
    schema.upgrade(site.url, SECRET.encode())
    for holder, role in ROLES.items():
        site.keys[holder] = asyncio.run(
            keys.create(site.url, holder, role, holder.replace("_", "-"), timedelta(days=1))
        )
    return site


@pytest.fixture(scope="session")
def site(server_url: str) -> Site:
    """Give the database that most tests use; it is emptied after each of them."""
    return make_site(server_url, "tests")


@dataclass
class Api:
    """The application in this process, and a client for each kind of caller."""

    app: FastAPI
    site: Site
    public: httpx.AsyncClient
    partner: httpx.AsyncClient
    other_partner: httpx.AsyncClient
    editor: httpx.AsyncClient
    guardian: httpx.AsyncClient


async def _serve(site: Site) -> AsyncIterator[Api]:
    """Give the application on a database, and its clients."""
    app = create_app(site.settings())
    clients = {
        role: httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://chronika.test", headers=site.headers(role)
        )
        for role in ("public", *ROLES)
    }
    yield Api(app, site, **clients)
    for client in clients.values():
        await client.aclose()
    await app.state.database.close()


@pytest.fixture(scope="session")
async def _api(site: Site) -> AsyncIterator[Api]:
    async for api in _serve(site):
        yield api


@pytest.fixture(scope="session")
async def owner(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the database's owner, who is a superuser here: to look behind the API."""
    connection = await asyncpg.connect(site.url)
    yield connection
    await connection.close()


@pytest.fixture
async def api(_api: Api, owner: asyncpg.Connection) -> AsyncIterator[Api]:
    """Give the application on an empty registry."""
    yield _api
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")


@pytest.fixture
async def alone(api: Api) -> AsyncIterator[Api]:
    """Give the application on the empty registry once more, with the primary alone: for what one server is asked."""
    async for one in _serve(replace(api.site, read_url=None)):
        yield one


@pytest.fixture(scope="session")
def sample_site(server_url: str) -> Site:
    """Give a database that holds the sample; tests only read it."""
    return make_site(server_url, "sample")


@pytest.fixture(scope="session")
async def sample(sample_site: Site) -> AsyncIterator[Api]:
    """Give the application on the sample."""
    async for api in _serve(sample_site):
        await load(api.app.state.database)
        yield api


@dataclass
class Server:
    """The service as a process of its own."""

    url: str
    process: subprocess.Popen[bytes]
    site: Site


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_server(
    site: Site, *arguments: str, log: Path | None = None, port: int | None = None, origin: str = "local"
) -> Server:
    """Start `chronika serve` on a database, on a free port unless said, and wait until it is ready."""
    port = port or free_port()
    environment = {
        **os.environ,
        "CHRONIKA_DATABASE_URL": site.url,
        "CHRONIKA_SECRET": SECRET,
        "CHRONIKA_ORIGIN": origin,
        "CHRONIKA_READ_DATABASE_URL": site.read_url or "",
    }
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), *arguments]
    url = f"http://127.0.0.1:{port}"
    with log.open("w+b") if log else tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        for _ in range(300):
            if process.poll() is not None:
                break
            try:
                if httpx.get(f"{url}/readyz", timeout=2).is_success:
                    return Server(url, process, site)
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        ended = process.poll()
        process.kill()
        output.seek(0)
        said = output.read().decode()[-2000:]
    pytest.fail(f"the server did not become ready, exit status {ended}: {said}")


@pytest.fixture(scope="session")
def server(server_url: str) -> Iterator[Server]:
    """Run the service as a process on a database of its own."""
    running = start_server(make_site(server_url, "served"))
    yield running
    running.process.terminate()
    running.process.wait(30)
