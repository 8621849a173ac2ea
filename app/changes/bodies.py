"""Long bodies, read row by row: NDJSON, or one JSON array taken apart as it arrives."""

import re
from collections.abc import AsyncIterator, Iterator

from fastapi import Request

from app.core.errors import BadJson, TooLarge, UnsupportedMedia

MAX_ROW = 1_000_000
MAX_BYTES = 100_000_000
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_TOKEN = re.compile(rb'\\.|["\[\]{},]', re.DOTALL)


async def read_rows(request: Request) -> AsyncIterator[bytes]:
    """Yield the JSON text of each row; raises 413 for a row over a megabyte or a body over a hundred."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {*NDJSON, "application/json"}:
        detail = "Send application/x-ndjson, one row a line, or application/json, an array of rows."
        raise UnsupportedMedia(detail)
    parts: Lines | Elements = Elements() if kind == "application/json" else Lines()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        for row in parts.feed(chunk):
            yield row
        if size > MAX_BYTES or len(parts.buffer) > MAX_ROW:
            detail = f"A row has at most {MAX_ROW:,} bytes, a body {MAX_BYTES:,}."
            raise TooLarge(detail)
    for row in parts.finish():
        yield row


class Lines:
    """NDJSON: a row a line; empty lines are passed over."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the rows that are now complete."""
        *whole, rest = (bytes(self.buffer) + chunk).split(b"\n")
        self.buffer = bytearray(rest)
        yield from (line for line in whole if line.strip())

    def finish(self) -> Iterator[bytes]:
        """Yield the last row, which need not end in a newline."""
        if self.buffer.strip():
            yield bytes(self.buffer)


class Elements:
    """A JSON array: its elements are found by brackets and quotes alone, and each is parsed strictly afterwards."""

    def __init__(self) -> None:
        """Begin before the array."""
        self.buffer = bytearray()
        self._at, self._depth, self._any = 0, 0, False
        self._quoted = self._ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the elements that are now complete."""
        self.buffer += chunk
        start, end = 0, self._at
        for token in _TOKEN.finditer(self.buffer, self._at):
            end = token.end()
            mark = token.group()
            if mark == b'"':
                self._quoted = not self._quoted
            if self._quoted or len(mark) > 1 or mark == b'"':
                continue
            before = self._depth
            self._depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(mark, 0)
            if before == 0:
                if mark != b"[" or self._ended or self.buffer[start : token.start()].strip():
                    raise BadJson(_FORM)
                start = end
            elif before == 1 and (self._depth == 0 or mark == b","):
                element = bytes(self.buffer[start : token.start()])
                if element.strip() or self._any or mark == b",":
                    yield element
                self._any, self._ended, start = True, self._depth == 0, end
        # A backslash at the very end belongs to what comes next.
        hanging = self._quoted and end < len(self.buffer) and self.buffer.endswith(b"\\")
        self._at = len(self.buffer) - hanging - start
        del self.buffer[:start]

    def finish(self) -> Iterator[bytes]:
        """Check that the array was closed and nothing follows it."""
        if not self._ended or self.buffer.strip():
            raise BadJson(_FORM)
        return iter(())


_FORM = "The body must be one JSON array of rows."
