"""Another Chronika as a source: its snapshot, its feed and its digests, asked with patience."""

import asyncio
import contextlib
import hashlib
import json
import random
import tempfile
from collections.abc import Iterator
from typing import IO, Any, Self

import httpx

TRIES = 8
LONGEST_WAIT_S = 60.0
BUSY = {429, 502, 503, 504}
"""Statuses that mean: the same request may work later."""


class PullError(Exception):
    """The other registry cannot be pulled from; the message is one line."""


class StartAgain(Exception):  # noqa: N818 -- not an error: what a 410 of the feed asks for
    """The cursor is of no more use: begin with the snapshot."""


class Peer:
    """A registry, as the holder of one key sees it."""

    def __init__(self, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Remember where it is; nothing is asked yet."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(60.0, connect=10.0)
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        """Open the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def get(self, path: str, parameters: dict[str, Any] | None = None) -> httpx.Response:
        """Ask, and ask again while the other side is away or busy, as long as it says (`Retry-After`) or longer."""
        for attempt in range(TRIES):
            retry_after: str | None = None
            try:
                answer = await self._client.get(path, params=parameters)
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code not in BUSY:
                    return _checked(answer)
                reason, retry_after = f"it answers {answer.status_code}", answer.headers.get("retry-after")
            await _pause(attempt, retry_after)
        raise PullError(f"the registry at {self._client.base_url} is not to be had: {reason}")

    async def changes(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the feed; raises `StartAgain` when the cursor is of no more use."""
        answer = await self.get("/v1/changes", parameters)
        if answer.status_code == httpx.codes.GONE:
            raise StartAgain
        page: dict[str, Any] = answer.json()
        return page

    async def snapshot(self, parameters: dict[str, Any]) -> "Snapshot":
        """Return the snapshot, fetched whole into a file and verified; memory does not grow with it."""
        reason = ""
        for attempt in range(TRIES):
            retry_after = None
            with contextlib.ExitStack() as files:
                kept = files.enter_context(tempfile.TemporaryFile())
                try:
                    async with self._client.stream("GET", "/v1/snapshot", params=parameters) as answer:
                        if answer.status_code in BUSY:
                            reason, retry_after = f"it answers {answer.status_code}", answer.headers.get("retry-after")
                        else:
                            _checked(answer)
                            async for chunk in answer.aiter_bytes():
                                kept.write(chunk)
                            if (found := Snapshot.verified(kept)) is not None:
                                files.pop_all()  # the snapshot closes it
                                return found
                            reason = "its snapshot breaks off"
                except httpx.TransportError as error:
                    reason = type(error).__name__
            await _pause(attempt, retry_after)
        raise PullError(f"the registry at {self._client.base_url} is not to be had: {reason}")


class Snapshot:
    """A snapshot that was fetched whole: its cursor, and its records one by one."""

    def __init__(self, file: IO[bytes], cursor: str, count: int) -> None:
        """Take a file that was verified."""
        self._file, self.cursor, self.count = file, cursor, count

    @classmethod
    def verified(cls, file: IO[bytes]) -> Self | None:
        """Return the snapshot if its last line counts and sums up what stands before it, else None."""
        file.seek(0)
        checksum, lines, last, cursor = hashlib.sha256(), -2, b"", ""
        for line in file:
            checksum.update(last)
            last, lines = line, lines + 1
            cursor = cursor or json.loads(line)["cursor"]
        if lines < 0 or not last.endswith(b"\n"):
            return None
        end = json.loads(last)
        if end != {"end": True, "count": lines, "sha256": checksum.hexdigest()}:
            return None
        return cls(file, cursor, lines)

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield the records, in the form that the feed has them in."""
        self._file.seek(0)
        next(self._file)
        for n, line in enumerate(self._file):
            if n < self.count:
                yield json.loads(line)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code in {401, 403}:
        raise PullError("the key is refused: it is unknown, expired or revoked")
    if not (answer.is_success or answer.status_code in {404, 410}):
        raise PullError(f"the registry answers {answer.status_code} to {answer.request.url.path}")
    return answer


async def _pause(attempt: int, retry_after: str | None) -> None:
    """Wait as long as was asked for, else twice as long each time, and a little more: not all should come at once."""
    wait = float(retry_after) if retry_after and retry_after.isdigit() else 0.5 * 2**attempt
    await asyncio.sleep(min(wait, LONGEST_WAIT_S) * random.uniform(1, 1.25))  # noqa: S311 -- no secret
