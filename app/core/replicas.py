"""Reads on standbys: who reads only is answered by one that is recent enough, else by the primary.

A write's answer says how far the server's log went, sealed, in `Chronika-Position`; a client that sends it back reads
what it wrote. Sealed and hidden, because the length of the log tells how much is written, hidden records included.
"""

import asyncio
import base64
import hmac
import secrets
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from app.core.database import RETRYABLE, STREAM_IDLE_S, Database, open_stream
from app.core.records import Audience
from app.core.servers import LOST, STANDBY_WAIT_S, Server

T = TypeVar("T")

POSITION = "Chronika-Position"
"""The header, of answers to writes and of requests."""

CATCH_UP_S = 0.15
"""How long a request waits for a standby to come as far as it asks for, before the primary answers it."""

ELSEWHERE = (*LOST, *RETRYABLE, asyncpg.SyntaxOrAccessError)
"""What another server may get past: this one is away, or has cancelled it to replay, or lacks a migration yet."""

_FORM = struct.Struct(">8sQ8s")


def _mask(nonce: bytes, secret: bytes) -> int:
    return int.from_bytes(hmac.digest(secret, b"position:" + nonce, "sha256")[:8])


def _seal(nonce: bytes, hidden: int, secret: bytes) -> bytes:
    return hmac.digest(secret, b"position seal:" + nonce + hidden.to_bytes(8), "sha256")[:8]


def write_position(position: int, secret: bytes) -> str:
    """Write a position of the log so that only this installation can read it."""
    nonce = secrets.token_bytes(8)
    hidden = position ^ _mask(nonce, secret)
    return base64.urlsafe_b64encode(_FORM.pack(nonce, hidden, _seal(nonce, hidden, secret))).decode()


def read_position(text: str, secret: bytes) -> int | None:
    """Return the position that `write_position` wrote; None for any other text."""
    try:
        nonce, hidden, seal = _FORM.unpack(base64.b64decode(text, altchars=b"-_", validate=True))
    except (ValueError, struct.error):
        return None
    return hidden ^ _mask(nonce, secret) if hmac.compare_digest(seal, _seal(nonce, hidden, secret)) else None


def reading(database: Database, position: str | None) -> Database:
    """Return where a request reads that changes nothing; `position` is what it sent as `Chronika-Position`.

    A position that cannot be read, of another secret perhaps, is answered by the primary, which has everything.
    """
    if not database.has_standbys:
        return database
    if position is None:
        return Reader(database, 0)
    known = read_position(position, database.secret)
    return database if known is None else Reader(database, known)


class Reader(Database):
    """What one request reads: all of it from one standby, or, from where that fails, from the primary.

    Never from one standby after another: the second may be behind what the first has shown.
    """

    def __init__(self, database: Database, position: int) -> None:
        """Take the database and the position, in bytes of its log, that a standby must have reached; 0 for any."""
        self.secret, self.servers = database.secret, database.servers
        self._primary, self._position = database, position
        self._standby: Server | None = None
        self._tried: set[Server] = set()
        self._begun = self._to_primary = False

    @property
    def primary(self) -> Database:
        """Return the database as the server has it that takes writes."""
        return self._primary

    async def transaction(self, audience: Audience) -> Any:
        """Return a transaction, which only the primary can give."""
        return await self._primary.transaction(audience)

    async def acquire(self, audience: Audience | str, *, streams: bool = False) -> tuple[asyncpg.Pool, Any]:
        """Return a connection to the request's server, and the pool to give it back to."""
        while (standby := await self._chosen()) is not None:
            pool = await standby.pool(str(audience), streams=streams)
            try:
                return pool, await pool.acquire(timeout=STANDBY_WAIT_S)
            except LOST as error:
                self.failed(standby, error)
        return await self._primary.acquire(audience, streams=streams)

    async def fetch(self, audience: Audience | str, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement on the audience's pool and return its rows."""

        async def ask(connection: Any) -> list[Any]:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

        return await self._ask(audience, ask)

    async def row(self, audience: Audience | str, sql: str, *arguments: Any) -> Any:
        """Run one statement on the audience's pool and return its first row, or None."""

        async def ask(connection: Any) -> Any:
            return await connection.fetchrow(sql, *arguments)

        return await self._ask(audience, ask)

    async def _ask(self, audience: Audience | str, ask: Callable[[Any], Awaitable[T]]) -> T:
        while True:
            async with self.connection(audience) as connection:
                standby = self._standby
                try:
                    answer = await ask(connection)
                except ELSEWHERE as error:
                    if standby is None:
                        raise
                    self.failed(standby, error)
                else:
                    self.began()
                    return answer

    @asynccontextmanager
    async def stream(self, audience: Audience, longest_s: int = STREAM_IDLE_S) -> AsyncIterator[Any]:
        """Give a connection in a transaction that sees one moment, to read a long answer from."""
        while True:
            async with AsyncExitStack() as stack:
                connection = await stack.enter_async_context(self.connection(audience, streams=True))
                standby = self._standby
                try:
                    await stack.enter_async_context(open_stream(connection, longest_s))
                except ELSEWHERE as error:
                    if standby is None:
                        raise
                    self.failed(standby, error)
                    continue
                self.began()
                yield connection
                return

    async def server(self) -> Server | None:
        """Return the standby that answers this request from now on, if it can; None for the primary."""
        return await self._chosen()

    def began(self) -> None:
        """Note that the request knows by now how its server stands: no other standby may go on with it."""
        self._begun = True

    def failed(self, standby: Server, error: BaseException) -> None:
        """Pass a standby over: for this request, and, unless it was just busy or replaying, until it answers again."""
        if isinstance(error, LOST) and not isinstance(error, TimeoutError):
            standby.up = False
        self._tried.add(standby)
        self._standby, self._to_primary = None, self._begun

    async def _chosen(self) -> Server | None:
        """Return the standby that answers this request; None for the primary."""
        if self._standby is None and not self._to_primary:
            await self.servers.current()
            self._standby = await self._recent()
            self._to_primary = self._standby is None
        return self._standby

    async def _recent(self) -> Server | None:
        """Return a standby that has come as far as is asked for, waiting a moment for it."""
        until = time.monotonic() + CATCH_UP_S
        while standbys := [s for s in self.servers.standbys() if s not in self._tried]:
            if (found := next((s for s in standbys if s.position >= self._position), None)) is not None:
                return found
            if time.monotonic() > until:
                break
            await asyncio.gather(*(s.look() for s in standbys))
            await asyncio.sleep(0.005)
        return None
