"""Whose a key is, and which moment the database is at: one statement for all requests that arrived before it began."""

import asyncio
from typing import Any, cast

from app.core.database import AUTH, Database

OVERDUE_S = 0.05
"""How long a look-up may take before those who came after it are looked up beside it, rather than after it."""

LONGEST_S = 60
"""How long one may take at all."""

MOMENT = "(pg_current_snapshot()::text || (now() AT TIME ZONE 'UTC')::date) AS moment"
"""What is the same for two statements only if both see the same commits, on the same day."""

ONLY_MOMENT = f"SELECT {MOMENT}"
KEYS = (
    ONLY_MOMENT + ", asked.id, found.* FROM unnest($1::varchar[]) AS asked(id) "
    "LEFT JOIN LATERAL key_lookup(asked.id) AS found ON true"
)


class _Batch:
    """What the next statement asks for."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.answer: asyncio.Future[dict[str | None, Any]] = asyncio.get_running_loop().create_future()


class Lookups:
    """The look-ups of one process: nothing is remembered, so a revocation or a commit holds from the next request."""

    def __init__(self, database: Database) -> None:
        """Remember where to look."""
        self._database = database
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
