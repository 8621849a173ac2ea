"""A client for measuring: one connection that is kept, bytes in and bytes out, no more work than that."""

import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

IDLE_S = 2
"""How long a connection may lie idle; the service closes one after five seconds."""


class Answer(NamedTuple):
    """What came back, and how many seconds after the request was sent its last byte was there."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Client:
    """Sends one request after the other."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        """Connect."""
        self._port = port
        self._connect()
        self._headers = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "127.0.0.1", **headers}.items())

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=600)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", 1 << 16)
        self._used = time.monotonic()

    def _ready(self) -> None:
        """Connect anew where the server may have closed an idle connection."""
        if time.monotonic() - self._used > IDLE_S:
            self.close()
            self._connect()
        self._used = time.monotonic()

    def get(self, path: str) -> Answer:
        """Send a GET."""
        return self.send(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())

    def post(self, path: str, body: bytes, kind: str = "application/json") -> Answer:
        """Send a POST."""
        more = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        return self.send(f"POST {path} HTTP/1.1\r\n{self._headers}{more}\r\n".encode() + body)

    def put(self, path: str, body: bytes) -> Answer:
        """Send a PUT."""
        return self.send(f"PUT {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def send(self, request: bytes) -> Answer:
        """Send a request as it is and read the whole answer."""
        self._ready()
        began = time.perf_counter()
        self._socket.sendall(request)
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self._file.read(int(headers.get("content-length", 0)))
        return Answer(status, headers, body, time.perf_counter() - began)

    def stream(self, path: str) -> tuple[int, float]:
        """Read a long answer without keeping it: its bytes and seconds."""
        self._ready()
        began = time.perf_counter()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        if not self._file.readline().startswith(b"HTTP/1.1 200"):
            msg = f"{path} did not answer 200"
            raise RuntimeError(msg)
        while self._file.readline().strip():
            pass
        return sum(len(c) for c in self._chunks()), time.perf_counter() - began

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._file.readline(), 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()
