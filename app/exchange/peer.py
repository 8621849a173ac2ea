"""Another Chronika as a source: its snapshot, its feed and its digests, asked with patience."""

import asyncio
import contextlib
import hashlib
import json
import random
import tempfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Annotated, Any, Literal, Self
from uuid import UUID

import httpx
from pydantic import BaseModel, Field, StrictBool, StrictInt, TypeAdapter

from app.changes.models import Type

TRIES = 8
LONGEST_WAIT_S = 60.0
"""How far our own pauses grow; what the other side asks for is obeyed beyond that."""
LONGEST_ASKED_S = 3600.0
"""Who asks for a longer pause is left alone."""
BUSY = {429, 502, 503, 504}
"""Statuses that mean: the same request may work later."""


class PullError(Exception):
    """The other registry cannot be pulled from; the message is one line."""


class _NotOursError(Exception):
    """Something was answered, but by no Chronika."""


class StartAgain(Exception):  # noqa: N818 -- not an error: what a 410 of the feed asks for
    """The cursor is of no more use: begin with the snapshot."""


# --- what is answered: only what is looked at here, records themselves are read by whoever stores them ------


_Version = Annotated[StrictInt, Field(ge=0, lt=2**31)]


class _Identity(BaseModel):
    origin: str
    origin_id: str


class _Record(_Identity):
    version: _Version


class _Upsert(BaseModel):
    op: Literal["upsert"]
    type: Type
    id: UUID
    version: _Version
    origin: str
    data: _Identity


class _Removal(BaseModel):
    op: Literal["remove"]
    type: Type
    id: UUID


class _Merge(BaseModel):
    op: Literal["merge"]
    type: Type
    id: UUID
    into: UUID


_Item = Annotated[_Upsert | _Removal | _Merge, Field(discriminator="op")]


class _Page(BaseModel):
    items: list[_Item]
    cursor: str
    has_more: StrictBool


class _Beginning(BaseModel):
    cursor: Annotated[str, Field(min_length=1)]


class _Bucket(BaseModel):
    bucket: str
    count: StrictInt
    checksum: str


class _Digest(BaseModel):
    level: Literal["public", "partner", "restricted"]
    buckets: list[_Bucket]


_ITEM: TypeAdapter[Any] = TypeAdapter(_Item)
NDJSON = "application/x-ndjson"


class Peer:
    """A registry, as the holder of one key sees it."""

    def __init__(self, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Remember where it is; nothing is asked yet."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(60.0, connect=10.0)
        self._key = key
        try:
            self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport)
        except (httpx.InvalidURL, ValueError):
            raise PullError(f"this is no address of a registry: {url}") from None

    async def __aenter__(self) -> Self:
        """Open the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def changes(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return a page of the feed; raises `StartAgain` when the cursor is of no more use."""
        answer = await self._get("/v1/changes", parameters, {httpx.codes.GONE})
        if answer.status_code == httpx.codes.GONE:
            raise StartAgain
        return self._read(answer, _Page)

    async def record(self, table: str, record_id: UUID) -> dict[str, Any] | None:
        """Return one record; None if it is hidden, deleted or merged."""
        missing = {httpx.codes.NOT_FOUND, httpx.codes.GONE, httpx.codes.PERMANENT_REDIRECT}
        answer = await self._get(f"/v1/{table}/{record_id}", None, missing)
        return None if answer.status_code in missing else self._read(answer, _Record)

    async def digest(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the digest of a type."""
        return self._read(await self._get("/v1/digest", parameters), _Digest)

    async def confirm(self, cursor: str) -> None:
        """Say that all up to a cursor is stored, if there is a key to say it with; what fails is said with the next."""
        if self._key is not None:
            with contextlib.suppress(httpx.RequestError):
                await self._client.post("/v1/changes/ack", json={"cursor": cursor})

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
                            self._checked(answer)
                            if not answer.headers.get("content-type", "").startswith(NDJSON):
                                raise self._not_ours(answer)
                            async for chunk in answer.aiter_bytes():
                                kept.write(chunk)
                            if (found := Snapshot.verified(kept)) is not None:
                                files.pop_all()  # the snapshot closes it
                                return found
                            reason = "its snapshot breaks off"
                except _NotOursError:
                    raise self._not_ours(answer) from None
                except httpx.UnsupportedProtocol:
                    raise self._no_address() from None
                except httpx.TransportError as error:
                    reason = type(error).__name__
            await self._pause(attempt, retry_after)
        raise self._away(reason)

    # --- asking -----------------------------------------------------------------------------------------

    async def _get(
        self, path: str, parameters: dict[str, Any] | None, allowed: AbstractSet[int] = frozenset()
    ) -> httpx.Response:
        """Ask, and ask again while the other side is away or busy, as long as it says (`Retry-After`) or longer."""
        reason = ""
        for attempt in range(TRIES):
            retry_after: str | None = None
            try:
                answer = await self._client.get(path, params=parameters)
            except httpx.UnsupportedProtocol:
                raise self._no_address() from None
            except httpx.RequestError as error:
                reason = type(error).__name__
            else:
                if answer.status_code not in BUSY:
                    return answer if answer.status_code in allowed else self._checked(answer)
                reason, retry_after = f"it answers {answer.status_code}", answer.headers.get("retry-after")
            await self._pause(attempt, retry_after)
        raise self._away(reason)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code in {401, 403}:
            raise PullError("the key is refused: it is unknown, expired or revoked")
        if not answer.is_success:
            raise PullError(f"the registry answers {answer.status_code} to {answer.request.url.path}")
        return answer

    def _read(self, answer: httpx.Response, shape: type[BaseModel]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(answer.content)
            shape.model_validate(found)
        except ValueError:  # pydantic's are such
            raise self._not_ours(answer) from None
        return found

    async def _pause(self, attempt: int, retry_after: str | None) -> None:
        """Wait twice as long each time, or as long as was asked for if that is longer; and a little more.

        Not all who wait should come at once.
        """
        asked = _seconds(retry_after)
        if asked > LONGEST_ASKED_S:
            raise PullError(f"the registry at {self._client.base_url} asks to be left alone for {asked:.0f} s")
        wait = max(asked, min(0.5 * 2**attempt, LONGEST_WAIT_S))
        await asyncio.sleep(wait * random.uniform(1, 1.25))  # noqa: S311 -- no secret

    def _away(self, reason: str) -> PullError:
        return PullError(f"the registry at {self._client.base_url} is not to be had: {reason}")

    def _no_address(self) -> PullError:
        return PullError(f"the address of a registry begins with http:// or https://: {self._client.base_url}")

    @staticmethod
    def _not_ours(answer: httpx.Response) -> PullError:
        return PullError(f"what is answered at {answer.request.url.copy_with(query=None)} is not a Chronika's")


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
            cursor = cursor or _cursor(line)
        if lines < 0 or not last.endswith(b"\n"):
            return None
        try:
            end = json.loads(last)
        except ValueError:
            return None
        if end != {"end": True, "count": lines, "sha256": checksum.hexdigest()}:
            return None
        return cls(file, cursor, lines)

    def items(self) -> Iterator[dict[str, Any]]:
        """Yield the records, in the form that the feed has them in."""
        self._file.seek(0)
        next(self._file)
        for n, line in enumerate(self._file):
            if n < self.count:
                try:
                    item: dict[str, Any] = json.loads(line)
                    _ITEM.validate_python(item)
                except ValueError:  # pydantic's are such
                    raise PullError("the snapshot holds what is no record of a Chronika") from None
                yield item

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def _cursor(line: bytes) -> str:
    """Return the cursor of a snapshot's first line, as far as that is whole; raises `_NotOursError`."""
    if not line.endswith(b"\n"):
        return ""
    try:
        return _Beginning.model_validate(json.loads(line)).cursor
    except ValueError:  # pydantic's are such
        raise _NotOursError from None


def _seconds(retry_after: str | None) -> float:
    """Read `Retry-After`, which gives seconds or a date (RFC 9110, 10.2.3); 0 for what cannot be read."""
    if retry_after is None:
        return 0
    if retry_after.isdecimal() and retry_after.isascii():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0
    # A date without a zone is meant as UTC: HTTP knows no other.
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0)
