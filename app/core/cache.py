"""Answers kept in memory until the next commit: never older than what the database would say, and for one audience.

An answer is kept with the moment that the database was at before it was read; whoever asks the same gets it as long as
the database is at that moment still. Nobody is told by the database and nothing is written: each request asks, many
with one statement (`app/core/lookups.py`), and that statement looks up its key as well.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.access import admit
from app.core.direct import Readings
from app.core.http import has_already
from app.core.servers import Server

MEANT = frozenset({b"accept", b"accept-language", b"accept-encoding"})
"""Headers that an answer varies by, besides the audience that the key stands for."""

WITHOUT_BODY = frozenset({b"content-length", b"content-type", b"content-encoding"})
"""Headers that a 304 leaves out."""

OVERHEAD = 1000
"""Bytes that an answer takes besides its body, its headers and its URL, about."""

LARGEST = 8
"""No answer takes more than this part of the whole."""

Headers = list[tuple[bytes, bytes]]
Asked = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer."""

    headers: Headers
    body: bytes
    etag: str
    size: int

    async def send(self, known: str | None, send: Send) -> None:
        """Answer with it, or with 304 where the client has it already."""
        has = known is not None and has_already(known, self.etag)
        headers = [h for h in self.headers if h[0] not in WITHOUT_BODY] if has else list(self.headers)
        await send({"type": "http.response.start", "status": 304 if has else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if has else self.body})


@dataclass
class Answers:
    """The answers of one moment, at most `room` bytes of them; the longest unasked goes first."""

    room: int
    size: int = 0
    _moment: object = None
    _kept: OrderedDict[Asked, Kept] = field(default_factory=OrderedDict)

    def at(self, moment: object, asked: Asked) -> Kept | None:
        """Return the answer to what is asked at a moment; the answers of any other moment are forgotten."""
        if moment != self._moment:
            self._kept.clear()
            self.size, self._moment = 0, moment
        if (found := self._kept.get(asked)) is not None:
            self._kept.move_to_end(asked)
        return found

    def keep(self, moment: object, asked: Asked, answer: Kept) -> None:
        """Keep an answer, unless the database has moved on or it is too large."""
        if moment != self._moment or answer.size > self.room // LARGEST:
            return
        if (old := self._kept.pop(asked, None)) is not None:
            self.size -= old.size
        self._kept[asked] = answer
        self.size += answer.size
        while self.size > self.room:
            self.size -= self._kept.popitem(last=False)[1].size


def _size(asked: Asked, headers: Headers, body: bytes) -> int:
    return OVERHEAD + len(body) + sum(len(n) + len(v) for n, v in headers) + len(repr(asked))


def _one(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((v.decode("latin-1") for n, v in headers if n == name), None)


class Cache:
    """Pure ASGI: answers readings that were answered since the last commit, and keeps the answers of the others."""

    def __init__(self, app: ASGIApp, readings: Readings, room: int) -> None:
        """Wrap the application; `room` is how many bytes the answers may take."""
        self.app, self.readings, self.room = app, readings, room
        self.answers: dict[Server | None, Answers] = {}
        """Those of each server that is read from; None stands for the one that takes writes."""

    def _of(self, server: Server | None, known: int) -> Answers:
        """Return a server's answers, which may take an equal part of the room."""
        if (found := self.answers.get(server)) is None:
            found = self.answers[server] = Answers(self.room // known)
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its key is looked up, and counted, whether it is answered from here or not."""
        found = self.readings.find(scope)
        if found is None or not found[0].kept:
            await self.app(scope, receive, send)
            return
        scope["route"] = found[0].route
        admitted = await admit(Request(scope), moment=True)
        scope["state"]["admitted"] = admitted
        assert admitted.moment is not None  # noqa: S101 -- it was asked for
        server, at = admitted.moment
        answers = self._of(server, 1 + len(admitted.database.servers.readers))
        # The day as this process has it too: some answers name it, and clocks differ.
        moment = (at, datetime.now(UTC).date())
        headers = scope["headers"]
        meant = tuple(h for h in headers if h[0] in MEANT)
        asked = (admitted.audience, scope["path"], scope["query_string"], meant)
        known = _one(headers, b"if-none-match")
        if (kept := answers.at(moment, asked)) is not None:
            await kept.send(known, send)
            return
        # Below, everything is answered in full; whether the client has it already is told here.
        asking = {**scope, "headers": [h for h in headers if h[0] != b"if-none-match"]}
        await self.app(asking, receive, self._keeping(answers, moment, asked, known, send))

    def _keeping(self, answers: Answers, moment: object, asked: Asked, known: str | None, send: Send) -> Send:
        """Return where to send an answer to, so that it is kept if it is whole, right, and has a tag."""
        start: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                first, start = start, None
                headers, body = list(first["headers"]), message.get("body", b"")
                etag = _one(headers, b"etag")
                if first["status"] == 200 and etag is not None and not message.get("more_body", False):  # noqa: PLR2004
                    answer = Kept(headers, body, etag, _size(asked, headers, body))
                    answers.keep(moment, asked, answer)
                    await answer.send(known, send)
                    return
                await send(first)
            await send(message)

        return sending
