"""The road to PostgreSQL: one pool and one login role per audience, and a transaction per writing request.

Nothing here sets visibility: the login role does, through row-level security. A request's key picks the pool.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.core.errors import Conflict, FieldProblem, Gone, Invalid, Problem, Unavailable
from app.core.pages import Statement
from app.core.records import Audience
from app.core.servers import LOST, WAIT_S, Servers

AUTH = "auth"
"""The login that may only look keys up."""

STREAM_IDLE_S = 60
"""How long a long answer may stand still, or one of its statements take unless said, before it loses its connection."""

SIMPLE_ERRORS: dict[str, tuple[type[Problem], str]] = {
    "23505": (Conflict, "A record with that key, code or origin id exists already."),
    "23503": (Conflict, "Other records refer to it, or a record that it refers to is gone."),
    "23001": (Conflict, "Other records still refer to it; change or delete those first."),
    "23514": (Invalid, "A value is outside what the registry accepts."),
    "23502": (Invalid, "A required value is missing."),
    "22003": (Invalid, "A number is too large."),
    "22P05": (Invalid, "A text holds a character that cannot be stored."),
    "CH001": (Invalid, "The record would contain itself."),
    "CH410": (Gone, "A record with that id was deleted and cannot be made again."),
    "CH422": (Invalid, "The database refused the record."),
}
"""SQLSTATE → what the client is told. PostgreSQL's own messages may name values and are never passed on."""

AWAY = (
    *LOST,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What means that the database cannot serve this request now, though it may soon."""

RETRYABLE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What another try of the whole request may get past."""


def problem_of(error: BaseException) -> Problem | None:
    """Return what a client is told of a database error; None for an error that is our own bug."""
    if isinstance(error, RETRYABLE):
        return Unavailable("Too many changes at once met on the same records; try again.")
    if isinstance(error, AWAY):
        return Unavailable("The database is not available right now, or the question takes too long.")
    if isinstance(error, asyncpg.PostgresError) and (known := SIMPLE_ERRORS.get(error.sqlstate or "")):
        kind, detail = known
        if issubclass(kind, Invalid):
            broken = getattr(error, "constraint_name", None) or ""
            hint = next((rule for name, rule in CONSTRAINTS.items() if broken.endswith(name)), detail)
            return kind(hint, errors=[FieldProblem(pointer="", code="refused", detail=hint)])
        return kind(detail)
    return None


CONSTRAINTS: dict[str, str] = {
    "public_needs_ground": "level public needs a publication_ground: public_record or consent",
    "one_person_or_group": "give a person, an organisation or a counted group",
    "status_one_subject": "a status belongs to either a person or an organisation",
    "fine_has_unit": "an amount needs its unit",
    "person_counted_only": "children, parents of minors and recipients of aid are counted and never public by name",
    "person_private_alone": "somebody known only as a relative, a witness or a recipient is public by consent alone",
}
"""End of a constraint's name → the rule in words."""


POSITION = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
"""How far the log of the server goes, in bytes: a standby that has come so far has all that was committed here."""


class Transaction:
    """The one transaction of a writing request: begun at its first statement, ended by the route, never by a verb."""

    def __init__(self, database: "Database", audience: Audience) -> None:
        """Remember where to begin; nothing is opened yet."""
        self._database, self._audience = database, audience
        self._pool: asyncpg.Pool | None = None
        self._connection: asyncpg.pool.PoolConnectionProxy | None = None
        self._transaction: asyncpg.transaction.Transaction | None = None
        self.actor: str | None = None
        self.position: int | None = None
        """Where the server's log stood after the commit, where there are standbys that must come so far."""
        self.read_write = False
        """Whether it writes under a login whose transactions read only, unless they say otherwise."""

    async def _begun(self) -> Any:
        if self._connection is None:
            self._pool, self._connection = await self._database.acquire(self._audience)
            self._transaction = self._connection.transaction()
            await self._transaction.start()
            if self.read_write:
                await self._connection.execute("SET TRANSACTION READ WRITE")
            await self._connection.execute("SELECT set_config('chronika.actor', $1, true)", self.actor or "")
        return self._connection

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement and return its rows."""
        rows: list[Any] = await (await self._begun()).fetch(sql, *arguments)
        return rows

    async def row(self, sql: str, *arguments: Any) -> Any:
        """Run one statement and return its first row, or None."""
        return await (await self._begun()).fetchrow(sql, *arguments)

    async def run(self, statement: Statement, values: dict[str, Any]) -> Any:
        """Run a prebuilt statement and return its first row, or None."""
        return await self.row(statement.sql, *statement.arguments(values))

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo what is done inside, and only that, when it raises."""
        connection = await self._begun()
        async with connection.transaction():
            yield

    async def settle(self) -> None:
        """Have the database number the versions now rather than at the commit, so that the answer can show them."""
        connection = await self._begun()
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    async def end(self, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back."""
        if self._connection is None or self._pool is None:
            return
        try:
            if self._transaction is not None:
                await (self._transaction.commit() if commit else self._transaction.rollback())
            if commit and self._database.has_standbys:
                self.position = await _reached(self._connection)
        finally:
            connection, self._connection, self._transaction = self._connection, None, None
            await self._pool.release(connection)


async def _reached(connection: Any) -> int | None:
    """Return where the server's log stands; None if it cannot be asked: what was committed stays so."""
    try:
        return int(await connection.fetchval(POSITION))
    except (*AWAY, *RETRYABLE):
        return None


class Database:
    """The pools of one process. Nothing connects before it is used, so the API starts without its database too.

    All that is asked of it goes to the server that takes writes; `reading` gives the one for a request that only reads.
    """

    def __init__(self, url: str, secret: bytes, pool_size: int, read_url: str | None = None) -> None:
        """Take the servers' URLs; the owner named in them is not used, each audience logs in by itself."""
        self.secret = secret
        self.servers = Servers(url, read_url, secret, pool_size)

    @property
    def primary(self) -> "Database":
        """Return the database as the server has it that takes writes."""
        return self

    @property
    def has_standbys(self) -> bool:
        """Tell whether there are servers that are only read from."""
        return bool(self.servers.readers)

    async def pool(self, audience: Audience | str, *, streams: bool = False) -> asyncpg.Pool:
        """Return the pool of an audience, or its pool for long answers, made at its first use."""
        await self.servers.current()
        return await self.servers.writable.pool(str(audience), streams=streams)

    async def acquire(self, audience: Audience | str, *, streams: bool = False) -> tuple[asyncpg.Pool, Any]:
        """Return a connection, and the pool to give it back to.

        Where a server has failed and another taken its place, it is of that one. Raises what `AWAY` names.
        """
        await self.servers.current()
        server = self.servers.writable
        pool = await server.pool(str(audience), streams=streams)
        try:
            return pool, await pool.acquire(timeout=WAIT_S)
        except LOST:
            if not await self.servers.replaced(server):
                raise
        pool = await self.pool(audience, streams=streams)
        return pool, await pool.acquire(timeout=WAIT_S)

    @asynccontextmanager
    async def connection(self, audience: Audience | str, *, streams: bool = False) -> AsyncIterator[Any]:
        """Lend a connection of the audience's pool."""
        pool, connection = await self.acquire(audience, streams=streams)
        try:
            yield connection
        finally:
            await pool.release(connection)

    async def fetch(self, audience: Audience | str, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement on the audience's pool and return its rows."""
        async with self.connection(audience) as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

    async def row(self, audience: Audience | str, sql: str, *arguments: Any) -> Any:
        """Run one statement on the audience's pool and return its first row, or None."""
        async with self.connection(audience) as connection:
            return await connection.fetchrow(sql, *arguments)

    async def transaction(self, audience: Audience) -> Transaction:
        """Return a transaction on the audience's pool; it begins at its first statement."""
        return Transaction(self, audience)

    @asynccontextmanager
    async def stream(self, audience: Audience, longest_s: int = STREAM_IDLE_S) -> AsyncIterator[Any]:
        """Give a connection in a transaction that sees one moment, to read a long answer from.

        It comes from a small pool of its own: readers who take their time never take an ordinary request's connection.
        A reader who takes nothing at all for a minute loses it, and so does a statement of more than `longest_s`.
        """
        async with self.connection(audience, streams=True) as connection, open_stream(connection, longest_s):
            yield connection

    async def close(self) -> None:
        """Close all pools, waiting a moment for what is still running."""
        await self.servers.close()


@asynccontextmanager
async def open_stream(connection: Any, longest_s: int) -> AsyncIterator[None]:
    """Hold a transaction that sees one moment, for as long as the reader goes on reading."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(
            f"SET LOCAL idle_in_transaction_session_timeout = '{STREAM_IDLE_S}s'; "
            f"SET LOCAL statement_timeout = '{longest_s}s'"
        )
        yield
