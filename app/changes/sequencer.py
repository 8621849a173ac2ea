"""The late sequencer: gives committed changes their numbers, before each read and every now and then.

Any number of these may run, in any number of processes; the database lets one number at a time.
"""

import asyncio
import logging
from typing import NamedTuple

import asyncpg

from app.changes.queries import NUMBER
from app.core.database import AWAY, RETRYABLE, Database
from app.core.records import Audience

log = logging.getLogger("chronika")

LOGIN = "feed"
"""The login that may number changes and note confirmations, and nothing else."""

PAUSE_S = 0.25
"""How long a change waits at most for its number, while nobody reads."""


class Heads(NamedTuple):
    """The last number of each audience's feed."""

    editors: int
    partners: int
    everyone: int

    def of(self, audience: Audience) -> int:
        """Return the last number of an audience's feed."""
        if audience.sees_everything:
            return self.editors
        return self.partners if audience is Audience.PARTNER else self.everyone


class Sequencer:
    """Numbers changes for one process, and tells those who wait when their feed has moved."""

    def __init__(self, database: Database) -> None:
        """Remember the database; nothing runs yet."""
        self._database = database
        self._heads = Heads(0, 0, 0)
        self._looked = float("-inf")

    async def number(self) -> bool:
        """Number what is committed; true if there is more than was done at once. Raises what the database raises."""
        row = await self._database.row(LOGIN, NUMBER)
        self._heads = Heads(row["editors"], row["partners"], row["everyone"])
        return bool(row["more"])

    async def try_number(self) -> bool:
        """Number what is committed, unless the database is busy or away: then it is done later, and nothing is lost."""
        try:
            return await self.number()
        except (*AWAY, *RETRYABLE, asyncpg.LockNotAvailableError):
            return False

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
        """Wait until the audience's feed goes beyond a number, or until a time of the loop; hold no connection."""
        loop = asyncio.get_running_loop()
        while (now := loop.time()) < until:
            if now - self._looked >= PAUSE_S:
                self._looked = now  # set first: of all who wait in this process, one looks
                await self.try_number()
            if self._heads.of(audience) > beyond:
                return True
            await asyncio.sleep(min(PAUSE_S, max(until - loop.time(), 0)))
        return False
