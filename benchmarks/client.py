"""Load without wrk: asks for the URLs of a file in turn over several connections, and prints what wrk would."""

import argparse
import asyncio
import time
from itertools import cycle, islice
from pathlib import Path


async def main() -> None:
    """Ask until the time is over; every answer must be a success or 304."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("port", int), ("urls", Path), ("start", int), ("clients", int), ("seconds", float)):
        parser.add_argument(name, type=kind)
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("--body", default="")
    given = parser.parse_args()
    headers = "".join(f"{h}\r\n" for h in ["Host: 127.0.0.1", *given.headers])
    body = given.body.encode()
    if body:
        headers += f"Content-Length: {len(body)}\r\n"
    urls = islice(cycle(given.urls.read_text().split()), given.start, None)
    requests = (f"{'POST' if body else 'GET'} {url} HTTP/1.1\r\n{headers}\r\n".encode() + body for url in urls)
    began = time.perf_counter()

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", given.port)
        count = 0
        while time.perf_counter() - began < given.seconds:
            writer.write(next(requests))
            await _answer(reader)
            count += 1
        writer.close()
        return count

    count = sum(await asyncio.gather(*(ask() for _ in range(given.clients))))
    taken = time.perf_counter() - began
    print(f"{count} requests in {taken:.2f}s\nRequests/sec: {count / taken:.2f}")


async def _answer(reader: asyncio.StreamReader) -> None:
    """Read one answer, of a known length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = head.split()[1]
    if not (status.startswith("2") or status == "304"):
        raise RuntimeError(head)
    if "transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif status != "304" and "content-length: " in head:
        await reader.readexactly(int(head.split("content-length: ")[1].split()[0]))


if __name__ == "__main__":
    asyncio.run(main())
