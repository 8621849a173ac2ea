"""Long answers: PostgreSQL writes the lines, and this process passes the bytes on at the client's pace.

Nothing is parsed or kept on the way, so memory does not grow with the number of records.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

LONGEST_S = 3600
"""The longest that one stream may take. The logins' own limits are meant for answers of one page."""

STALL_S = 60
"""How long a stream waits for a client that does not take its bytes, before it lets the connection go."""

Sink = Callable[[bytes], Awaitable[None]]
Write = Callable[[Sink], Awaitable[None]]

_PLAIN: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01", "escape": "\x01"}
"""COPY's CSV with a delimiter and a quote that JSON never holds: its bytes are the JSON texts, nothing is escaped.

PostgreSQL breaks a JSON text into lines only between rows or arrays inside of an array, and `core.shapes` aggregates
objects alone: a record is always one line.
"""


async def copy_lines(connection: Any, sql: str, *arguments: Any, sink: Sink) -> int:
    """Write the JSON text of each row to `sink`, a line each; return how many."""
    done = await connection.copy_from_query(sql, *arguments, output=sink, **_PLAIN)
    return int(done.split()[-1])


class Sealed:
    """A sink before another: hashes all bytes, and ends them with a line that confirms them."""

    def __init__(self, sink: Sink) -> None:
        """Take where the bytes go."""
        self._sink, self._digest = sink, hashlib.sha256()

    async def __call__(self, data: bytes) -> None:
        """Pass bytes on."""
        self._digest.update(data)
        await self._sink(data)

    async def end(self, count: int) -> None:
        """Write the last line: `{"end": true, "count": n, "sha256": "…"}`, of all bytes before it."""
        trailer = {"end": True, "count": count, "sha256": self._digest.hexdigest()}
        await self._sink(json.dumps(trailer).encode() + b"\n")


class StreamedResponse(Response):
    """Streams what `write` writes; a client that goes away ends it in the database too.

    An error before the first byte is a problem like any other; one after it cuts the answer short of its end.
    """

    def __init__(self, write: Write, headers: dict[str, str]) -> None:
        """Remember what to stream; nothing is asked of the database yet."""
        self._write = write
        self.background = None
        self.status_code = 200
        self.init_headers({"Cache-Control": "no-store", **headers})

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until it is done or the client is gone."""
        streaming = asyncio.ensure_future(self._stream(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({streaming, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if streaming.done():
                streaming.result()
        finally:
            streaming.cancel()
            leaving.cancel()
            await asyncio.gather(streaming, leaving, return_exceptions=True)

    async def _stream(self, send: Send) -> None:
        started = False

        async def sink(data: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.timeout(STALL_S):
                await send({"type": "http.response.body", "body": data, "more_body": True})

        await self._write(sink)
        if not started:
            await sink(b"")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
