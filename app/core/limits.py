"""How many requests a key may make in a minute: counted in PostgreSQL, handed to each worker a few at a time.

The count holds over all workers and restarts; a request writes only when its worker has none in hand. The fields follow
the IETF's draft "RateLimit header fields for HTTP" (draft-ietf-httpapi-ratelimit-headers).
"""

import math
import time
from dataclasses import dataclass

from app.core.database import AUTH, Database
from app.core.errors import TooManyRequests

KEPT = 10_000
"""Keys whose shares a worker remembers; beyond it, those of past minutes are forgotten."""


@dataclass
class Share:
    """What a worker has in hand of a key's minute; `ends` is on this process's monotonic clock, in seconds."""

    tokens: int
    elsewhere: int
    ends: float


class Limits:
    """The shares of one process."""

    def __init__(self, per_minute: int) -> None:
        """Take the limit; 0 is none."""
        self.per_minute = per_minute
        self._shares: dict[str, Share] = {}

    async def take(self, key_id: str, database: Database) -> dict[str, str]:
        """Count one request of a key and return the fields that tell what is left; raises `TooManyRequests`."""
        if not self.per_minute:
            return {}
        share = self._shares.get(key_id)
        if share is None or share.ends <= time.monotonic() or (share.tokens < 1 and share.elsewhere > 0):
            share = await self._lease(key_id, database)
        if share.tokens < 1:
            detail = f"A key may make {self.per_minute:,} requests in a minute; the minute ends soon, see Retry-After."
            raise TooManyRequests(detail, headers={**self._fields(share), "Retry-After": str(self._wait(share))})
        share.tokens -= 1
        return self._fields(share)

    async def _lease(self, key_id: str, database: Database) -> Share:
        row = await database.row(AUTH, "SELECT * FROM lease_requests($1, $2)", key_id, self.per_minute)
        now = time.monotonic()
        if len(self._shares) >= KEPT:
            self._shares = {k: s for k, s in self._shares.items() if s.ends > now}
        known = self._shares.get(key_id)
        # Another request may have leased while this one waited; nothing of what was counted is thrown away.
        in_hand = known.tokens if known and known.ends > now else 0
        share = Share(in_hand + row["granted"], row["remaining"], now + row["resets_in"])
        self._shares[key_id] = share
        return share

    def _wait(self, share: Share) -> int:
        return max(1, math.ceil(share.ends - time.monotonic()))

    def _fields(self, share: Share) -> dict[str, str]:
        left = share.tokens + share.elsewhere
        return {
            "RateLimit-Policy": f'"key";q={self.per_minute};w=60',
            "RateLimit": f'"key";r={left};t={self._wait(share)}',
        }
