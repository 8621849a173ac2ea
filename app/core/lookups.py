"""Whose a key is, and which moment the database is at: one statement for all requests that arrived before it began."""

import asyncio
from typing import Any, NamedTuple, Protocol, cast

from app.core.database import AUTH, Database
from app.core.replicas import ELSEWHERE, Reader
from app.core.servers import Server

OVERDUE_S = 0.05
"""How long a look-up may take before those who came after it are looked up beside it, rather than after it."""

LONGEST_S = 60
"""How long one may take at all."""

MOMENT = """concat_ws(' ', pg_current_snapshot(), pg_last_wal_replay_lsn(), pg_postmaster_start_time(),
    (now() AT TIME ZONE 'UTC')::date) AS moment"""
"""What is the same for two statements only if both see the same commits, on the same day.

A standby's snapshot leaves out what runs, but it sees what it has replayed. A server promoted in the place of another
may number other commits alike; it was started at another time.
"""

ONLY_MOMENT = f"SELECT {MOMENT}"
KEYS = (
    ONLY_MOMENT + ", asked.id, found.* FROM unnest($1::varchar[]) AS asked(id) "
    "LEFT JOIN LATERAL key_lookup(asked.id) AS found ON true"
)


class Moment(NamedTuple):
    """Which server was asked, None for the one that takes writes, and at which moment it was."""

    server: Server | None
    text: str


class Asked(Protocol):
    """Where to look: the database, or one standby."""

    async def row(self, login: str, sql: str, /) -> Any:
        """Run one statement and return its first row."""

    async def fetch(self, login: str, sql: str, /, *arguments: Any) -> list[Any]:
        """Run one statement and return its rows."""


class _Batch:
    """What the next statement asks for."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.answer: asyncio.Future[dict[str | None, Any]] = asyncio.get_running_loop().create_future()


class Lookups:
    """The look-ups of one process: nothing is remembered, so a revocation or a commit holds from the next request."""

    def __init__(self, database: Asked) -> None:
        """Remember where to look."""
        self._database = database
        self._standbys: dict[Server, Lookups] = {}
        self._next: _Batch | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._began = 0.0

    async def look(self, key_id: str | None) -> Any:
        """Return `moment`, and for a key also its `name`, `role`, `origin`, `digest` and `valid`, null if unknown."""
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = _Batch()
        batch = self._next
        if key_id is not None:
            batch.keys.add(key_id)
        if not self._running or loop.time() - self._began > OVERDUE_S:
            task = asyncio.create_task(self._run())
            self._running.add(task)
        found = await asyncio.shield(batch.answer)
        return found[key_id]

    async def moment(self, database: Database) -> Moment:
        """Return the moment that a request's server is at: a standby's own, which is the one that it answers from."""
        while isinstance(database, Reader) and (standby := await database.server()) is not None:
            beside = self._standbys.setdefault(standby, Lookups(standby))
            try:
                text = (await beside.look(None))["moment"]
            except ELSEWHERE as error:
                database.failed(standby, error)
            else:
                database.began()
                return Moment(standby, text)
        return Moment(None, (await self.look(None))["moment"])

    async def _run(self) -> None:
        """Ask for what has gathered, and then for what has gathered meanwhile."""
        try:
            while (batch := self._next) is not None:
                self._next, self._began = None, asyncio.get_running_loop().time()
                await self._answer(batch)
        finally:  # before anything else runs, so that who comes next begins anew
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answer(self, batch: _Batch) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                found = await self._ask(sorted(batch.keys))
        except Exception as error:  # noqa: BLE001 -- each of those who wait raises it
            batch.answer.set_exception(error)
            batch.answer.exception()  # seen, even if nobody waits any more
        except asyncio.CancelledError:
            batch.answer.cancel()
            raise
        else:
            batch.answer.set_result(found)

    async def _ask(self, keys: list[str]) -> dict[str | None, Any]:
        if not keys:
            return {None: await self._database.row(AUTH, ONLY_MOMENT)}
        rows = await self._database.fetch(AUTH, KEYS, keys)
        return {None: rows[0], **{row["id"]: row for row in rows}}
