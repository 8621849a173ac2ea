"""The road to PostgreSQL: one pool and one login role per audience, and a transaction per writing request.

Nothing here sets visibility: the login role does, through row-level security. A request's key picks the pool.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.engine import make_url

from app.core.errors import Conflict, FieldProblem, Gone, Invalid, Problem, Unavailable
from app.core.pages import Statement
from app.core.records import Audience
from app.core.settings import role_password

T = TypeVar("T")

AUTH = "auth"
"""The login that may only look keys up."""

WAIT_S = 2.0
"""How long a request waits for a connection before it is told to come back."""

STREAMS = 3
"""How many long answers an audience may read at once from one worker; one more is told to come back."""

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
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidPasswordError,
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


class Transaction:
    """The one transaction of a writing request: begun at its first statement, ended by the route, never by a verb."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Remember where to begin; nothing is opened yet."""
        self._pool = pool
        self._connection: asyncpg.pool.PoolConnectionProxy | None = None
        self._transaction: asyncpg.transaction.Transaction | None = None
        self.actor: str | None = None
        self.read_write = False
        """Whether it writes under a login whose transactions read only, unless they say otherwise."""

    async def _begun(self) -> Any:
        if self._connection is None:
            self._connection = await self._pool.acquire(timeout=WAIT_S)
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
        if self._connection is None:
            return
        try:
            if self._transaction is not None:
                await (self._transaction.commit() if commit else self._transaction.rollback())
        finally:
            connection, self._connection, self._transaction = self._connection, None, None
            await self._pool.release(connection)


class Database:
    """The pools of one process. Nothing connects before it is used, so the API starts without its database too."""

    def __init__(self, url: str, secret: bytes, pool_size: int) -> None:
        """Take the server's URL; the owner named in it is not used, each audience logs in by itself."""
        self._url = make_url(url).set(drivername="postgresql")
        self.secret = secret
        self._size = pool_size
        self._pools: dict[str, asyncpg.Pool] = {}
        self._opening = asyncio.Lock()

    async def pool(self, audience: Audience | str, *, streams: bool = False) -> asyncpg.Pool:
        """Return the pool of an audience, or its pool for long answers, made at its first use."""
        name = f"{audience}:streams" if streams else str(audience)
        if (found := self._pools.get(name)) is not None:
            return found
        async with self._opening:
            if name not in self._pools:
                size = STREAMS if streams else self._size
                self._pools[name] = await self._open(f"chronika_{audience}", size)
        return self._pools[name]

    async def _open(self, role: str, size: int) -> asyncpg.Pool:
        url = self._url.set(username=role, password=role_password(self.secret, role))
        return await asyncpg.create_pool(
            url.render_as_string(hide_password=False),
            min_size=0,
            max_size=size,
            timeout=WAIT_S,
            # Every statement outside a transaction is its own, and nothing changes the session: there is nothing
            # to reset, and not resetting saves each read a round trip.
            reset=_nothing,
            server_settings={"application_name": "chronika", "jit": "off"},
        )

    @asynccontextmanager
    async def _connection(self, audience: Audience | str) -> AsyncIterator[Any]:
        pool = await self.pool(audience)
        async with pool.acquire(timeout=WAIT_S) as connection:
            yield connection

    async def fetch(self, audience: Audience | str, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement on the audience's pool and return its rows."""
        async with self._connection(audience) as connection:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows

    async def row(self, audience: Audience | str, sql: str, *arguments: Any) -> Any:
        """Run one statement on the audience's pool and return its first row, or None."""
        async with self._connection(audience) as connection:
            return await connection.fetchrow(sql, *arguments)

    async def transaction(self, audience: Audience) -> Transaction:
        """Return a transaction on the audience's pool; it begins at its first statement."""
        return Transaction(await self.pool(audience))

    @asynccontextmanager
    async def stream(self, audience: Audience, longest_s: int = STREAM_IDLE_S) -> AsyncIterator[Any]:
        """Give a connection in a transaction that sees one moment, to read a long answer from.

        It comes from a small pool of its own: readers who take their time never take an ordinary request's connection.
        A reader who takes nothing at all for a minute loses it, and so does a statement of more than `longest_s`.
        """
        pool = await self.pool(audience, streams=True)
        async with (
            pool.acquire(timeout=WAIT_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(
                f"SET LOCAL idle_in_transaction_session_timeout = '{STREAM_IDLE_S}s'; "
                f"SET LOCAL statement_timeout = '{longest_s}s'"
            )
            yield connection

    async def close(self) -> None:
        """Close all pools, waiting a moment for what is still running."""
        for pool in self._pools.values():
            try:
                await asyncio.wait_for(pool.close(), timeout=WAIT_S)
            except TimeoutError:
                pool.terminate()
        self._pools.clear()


async def _nothing(_connection: Any) -> None:
    """Reset nothing when a connection goes back to its pool."""
