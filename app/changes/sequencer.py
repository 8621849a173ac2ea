"""The late sequencer: gives committed changes their numbers, before each read and every now and then.

Any number of these may run, in any number of processes; the database lets one number at a time.
"""

import asyncio
import logging
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from app.changes.queries import LAG, NUMBER
from app.core.database import AWAY, RETRYABLE, Database
from app.core.records import Audience

log = logging.getLogger("chronika")

LOGIN = "feed"
"""The login that may number changes and note confirmations, and nothing else."""

PAUSE_S = 0.25
"""How long a change waits at most for its number, while nobody reads."""


class Head(NamedTuple):
    """The last entry of a feed: its number and its uid; 0 and None before the first."""

    seq: int = 0
    uid: UUID | None = None


class Sequencer:
    """Numbers changes for one process, and tells those who wait when their feed has moved."""

    def __init__(self, database: Database) -> None:
        """Remember the database; nothing runs yet."""
        self._database = database
        self._heads: dict[Audience, Head] = {}
        self._looked = float("-inf")
        self._closing = False

    def close(self) -> None:
        """Keep nobody waiting any longer: the process is about to end."""
        self._closing = True

    async def number(self) -> bool:
        """Number what is committed; true if there is more than was done at once. Raises what the database raises."""
        row = await self._database.row(LOGIN, NUMBER)
        self._heads = heads_of(row)
        return bool(row["more"])

    async def horizon(self, audience: Audience) -> Head:
        """Number everything that is committed and return the last entry: whatever was read before is not beyond it."""
        while await self.number():
            pass
        return self._heads[audience]

    async def try_number(self) -> bool:
        """Number what is committed, unless the database is busy or away: then it is done later, and nothing is lost."""
        try:
            return await self.number()
        except (*AWAY, *RETRYABLE, asyncpg.LockNotAvailableError):
            return False

    async def behind(self, ceiling: int) -> bool:
        """Number what is committed; true if changes that this level sees are still without a number.

        They are where the database was too busy to number them, or where there were more than are numbered at once.
        """
        try:
            more = await self.number()
        except (*AWAY, *RETRYABLE, asyncpg.LockNotAvailableError):
            more = True
        return more and (await self._database.row(LOGIN, LAG, ceiling))[0] > 0

    async def run(self) -> None:
        """Number for as long as the process lives."""
        while True:
            try:
                more = await self.try_number()
            except Exception:  # noqa: BLE001 -- whatever it is, numbering goes on, and readers see the lag
                log.error("numbering the changes failed")  # noqa: TRY400 -- a message could name what was written
                more = False
            await asyncio.sleep(0 if more else PAUSE_S)

    async def moved(self, audience: Audience, beyond: int, until: float) -> bool:
        """Wait until the audience's feed goes beyond a number, a time of the loop, or the end; hold no connection."""
        loop = asyncio.get_running_loop()
        while (now := loop.time()) < until and not self._closing:
            if now - self._looked >= PAUSE_S:
                self._looked = now  # set first: of all who wait in this process, one looks
                await self.try_number()
            if self._heads.get(audience, Head()).seq > beyond:
                return True
            await asyncio.sleep(min(PAUSE_S, max(until - loop.time(), 0)))
        return False


def heads_of(row: Any) -> dict[Audience, Head]:
    """Return the last entry of each audience's feed from what the numbering answers."""
    names = {
        Audience.PUBLIC: "everyone",
        Audience.PARTNER: "partners",
        Audience.EDITOR: "editors",
        Audience.GUARDIAN: "editors",
    }
    return {audience: Head(row[name] or 0, row[f"{name}_uid"]) for audience, name in names.items()}
