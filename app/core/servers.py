"""The PostgreSQL servers of an installation: their pools, which one takes writes, how far each standby has come.

With one server nothing is ever asked: it is the one. With several, all are looked at about once a second, while there
are requests; so a promotion is found, a standby that lags is passed over, and one that is back is used again.
"""

import asyncio
import time
from collections import deque
from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy.engine import make_url

from app.core import hosts
from app.core.settings import role_password

WAIT_S = 2.0
"""How long a request waits for a connection before it is told to come back."""

STANDBY_WAIT_S = 1.0
"""How long a request waits for a connection to a standby, before the primary answers it."""

STREAMS = 3
"""How many long answers an audience may read at once from one worker; one more is told to come back."""

LOOK_S = 1.0
"""Age at which what is known of the servers is renewed, beside the requests."""

OLD_S = 3.0
"""Age at which requests wait until it is."""

ANSWER_S = 1.0
"""How long a server may take to say where it stands."""

LAG_S = 5.0
"""How far behind a standby may be and still be read from: so long may a record be seen there after it was hidden."""

SILENT = 3
"""After how many looks without an answer a standby's connections are given up, with the questions that hang on them."""

LOOKER = "auth"
"""The login that looks: it may read no record."""

OPTIONS = {"application_name": "chronika", "jit": "off"}

LOST = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver makes of a connection that breaks between two of its states
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidPasswordError,
)
"""What means that this server cannot serve, though another may."""

WHERE = """
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS line,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
        - '0/0'::pg_lsn)::bigint AS position
"""
"""The timeline that a server writes, as hexadecimal digits, NULL for a standby; and how far its log goes, in bytes."""


class Server:
    """One PostgreSQL server: a pool for each login, and what was last seen of it."""

    def __init__(self, url: str, secret: bytes, size: int, *, target: SessionAttribute | None = None) -> None:
        """Take its URL, of which the user is not used; `target` is what its pools insist on, e.g. `primary`."""
        self._url = make_url(url).set(drivername="postgresql")
        self._secret, self._size, self._target = secret, size, target
        self._pools: dict[str, asyncpg.Pool] = {}
        self._opening = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._watch: asyncpg.Connection | None = None
        self.up = True
        self.silent = 0
        self.timeline: str | None = None
        self.position = 0
        self.ahead: deque[tuple[float, int]] = deque()
        """When the primary was seen where this server has not yet come, and where."""

    async def pool(self, login: str, *, streams: bool = False) -> asyncpg.Pool:
        """Return the pool of a login, or its pool for long answers, made at its first use."""
        name = f"{login}:streams" if streams else login
        if (found := self._pools.get(name)) is None:
            async with self._opening:
                if (found := self._pools.get(name)) is None:
                    found = self._pools[name] = await self._open(login, STREAMS if streams else self._size)
        return found

    async def _open(self, login: str, size: int) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            self._dsn(login),
            min_size=0,
            max_size=size,
            timeout=WAIT_S,
            # Every statement outside a transaction is its own, and nothing changes the session: there is nothing
            # to reset, and not resetting saves each read a round trip.
            reset=_nothing,
            # A record with all that it includes is a statement of more than the 15 kB that are kept otherwise.
            max_cacheable_statement_size=0,
            server_settings=OPTIONS,
            target_session_attrs=self._target,
        )

    def _dsn(self, login: str) -> str:
        role = f"chronika_{login}"
        url = self._url.set(username=role, password=role_password(self._secret, role))
        return url.render_as_string(hide_password=False)

    async def fetch(self, login: str, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement under a login and return its rows."""
        async with (await self.pool(login)).acquire(timeout=STANDBY_WAIT_S) as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

    async def row(self, login: str, sql: str) -> Any:
        """Run one statement under a login and return its first row."""
        return (await self.fetch(login, sql))[0]

    async def look(self) -> None:
        """Ask where the server stands; whoever asks meanwhile gets the same answer. Raises nothing."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                # A connection of its own: busy pools must not look like a silent server.
                if self._watch is None or self._watch.is_closed():
                    self._watch = await asyncpg.connect(self._dsn(LOOKER), server_settings=OPTIONS)
                (row,) = await self._watch.fetch(WHERE)
        except (*LOST, asyncpg.PostgresError):
            self.up, self.timeline = False, None
            self.silent += 1
            self._hang_up()
        else:
            self.up, self.silent = True, 0
            self.timeline, self.position = row["line"], row["position"] or 0

    def _hang_up(self) -> None:
        if self._watch is not None:
            self._watch.terminate()
            self._watch = None

    def must_reach(self, position: int, seen: float) -> None:
        """Note where the primary was seen, and when, to know how far this server is behind."""
        if len(self.ahead) < LAG_S / LOOK_S + 1:
            self.ahead.append((seen, position))
        else:  # lagging for long: when it has come this far is all that counts
            self.ahead[-1] = (self.ahead[-1][0], position)
        while self.ahead and self.ahead[0][1] <= self.position:
            self.ahead.popleft()

    def lags(self) -> bool:
        """Tell whether the server lacks what the primary had too long ago."""
        return bool(self.ahead) and time.monotonic() - self.ahead[0][0] > LAG_S

    def abandon(self) -> None:
        """Cut all connections, so that whoever waits for an answer on them is told; the next use makes new ones."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.terminate()

    async def close(self) -> None:
        """Close all pools, waiting a moment for what is still running."""
        if self._looking is not None:
            self._looking.cancel()
        self._hang_up()
        for pool in self._pools.values():
            try:
                await asyncio.wait_for(pool.close(), timeout=WAIT_S)
            except TimeoutError:
                pool.terminate()
        self._pools.clear()


class Servers:
    """All servers: those of which one takes writes, and those that are only read from."""

    def __init__(self, url: str, read_url: str | None, secret: bytes, size: int) -> None:
        """Take the URLs, each of one server or of several."""
        urls = hosts.split(url)
        target = SessionAttribute.primary if len(urls) > 1 else None
        self._writers = [Server(one, secret, size, target=target) for one in urls]
        self.readers = [Server(one, secret, size) for one in hosts.split(read_url)] if read_url else []
        self.several = len(self._writers) + len(self.readers) > 1
        self.writable = self._writers[0]
        self._turn = 0
        self._looked = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def current(self) -> None:
        """See to it that what is known of the servers is not old."""
        age = time.monotonic() - self._looked
        if not self.several or age <= LOOK_S:
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        if age > OLD_S:
            await asyncio.shield(self._looking)

    async def replaced(self, server: Server) -> bool:
        """Look again, because a server failed that was taken to be writable; true if another is."""
        if len(self._writers) == 1:
            return False
        if self.writable is server:
            self._looked = float("-inf")
            await self.current()
        return self.writable is not server

    async def _look(self) -> None:
        began = time.monotonic()
        await asyncio.gather(*(s.look() for s in (*self._writers, *self.readers)))
        # Two that take writes are an old primary that came back and the one promoted in its place, whose timeline is
        # the newer one: to write into the old would be to lose it.
        candidates = [s for s in self._writers if s.timeline is not None]
        newest = max(candidates, key=lambda s: (s.timeline, s is self.writable), default=None)
        if newest is not None and newest is not self.writable:
            self.writable.abandon()
            self.writable = newest
            for reader in self.readers:
                reader.ahead.clear()  # positions count on one timeline only
        for reader in self.readers:
            if newest is not None:
                reader.must_reach(newest.position, began)
            if reader.silent == SILENT:
                reader.abandon()
        self._looked = time.monotonic()

    def standbys(self) -> list[Server]:
        """Return the standbys that may be read from now, each time beginning with the next one."""
        found = [s for s in self.readers if s.up and s.timeline is None and not s.lags()]
        self._turn += 1
        start = self._turn % len(found) if found else 0
        return found[start:] + found[:start]

    async def close(self) -> None:
        """Close all pools."""
        if self._looking is not None:
            self._looking.cancel()
        for server in (*self._writers, *self.readers):
            await server.close()


async def _nothing(_connection: Any) -> None:
    """Reset nothing when a connection goes back to its pool."""
