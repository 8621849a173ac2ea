"""A real hot standby of an embedded PostgreSQL, made by `pg_basebackup` in about a second, and its promotion."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from app.core.embedded import embedded_server
from app.core.programs import bin_path
from tests.conftest import SECRET


def socket_of(url: str) -> Path:
    """Return the directory in which a server's socket lies."""
    return Path(parse_qs(urlsplit(url).query)["host"][0])


def copy(url: str, place: Path, *options: str) -> Path:
    """Copy a running server's cluster into `place`, where an embedded server can be started on it."""
    place.mkdir(mode=0o700, exist_ok=True)
    cluster = place / "postgres"
    socket = socket_of(url)
    password = unquote(urlsplit(url).password or "")
    at = {"PGHOST": str(socket), "PGPORT": "5432", "PGUSER": "postgres", "PGPASSWORD": password}
    command = [str(bin_path("pg_basebackup")), "-D", str(cluster), "-X", "stream", "-c", "fast", "--no-sync", *options]
    done = subprocess.run(command, env={**os.environ, **at}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for left in cluster.glob(".s.PGSQL*"):
        left.unlink()  # the socket's files lie in the cluster, and would be taken for another server's
    own = cluster / "postgresql.auto.conf"  # the copy has no standby yet that it could wait for
    kept = [x for x in own.read_text().splitlines(keepends=True) if not x.startswith("synchronous_")]
    own.write_text("".join(kept))
    owner = socket.stat()
    if os.geteuid() == 0:
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    return place


@contextmanager
def running(place: Path) -> Iterator[str]:
    """Run the server of a copied cluster; give the owner's URL."""
    with embedded_server(place, SECRET.encode(), fast=True) as url:
        yield url


@contextmanager
def standby_of(url: str, place: Path) -> Iterator[str]:
    """Run a hot standby of a server; give its owner's URL, of the same database."""
    with running(copy(url, place, "--write-recovery-conf")) as found:
        yield found.replace("@/chronika?", f"@{urlsplit(url).path}?")


@contextmanager
def synchronous_standby(url: str, place: Path) -> Iterator[str]:
    """Run a standby that has replayed each commit before its writer is told; fail if nothing was read from it."""
    with standby_of(url, place) as standby:
        on = {"synchronous_standby_names": "'*'", "synchronous_commit": "remote_apply"}
        for name, value in on.items():
            asyncio.run(ask(url, f"ALTER SYSTEM SET {name} = {value}"))
        asyncio.run(ask(url, "SELECT pg_reload_conf()"))
        yield standby
        answered = asyncio.run(ask(standby, "SELECT sum(xact_commit) FROM pg_stat_database"))
        print(f"\nThe standby answered {answered} statements.")  # noqa: T201 -- for whoever runs the suite so
        for name in on:
            asyncio.run(ask(url, f"ALTER SYSTEM RESET {name}"))
        asyncio.run(ask(url, "SELECT pg_reload_conf()"))
        assert answered > 100, "the suite was to read from the standby"


def kill(url: str) -> None:
    """Kill a server as a power cut would."""
    pid = int((socket_of(url) / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


async def ask(url: str, sql: str) -> Any:
    """Run one statement as the owner and return its first value."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def until(url: str, sql: str, wanted: object) -> None:
    """Wait until a statement answers what is wanted, for at most ten seconds."""
    connection = await asyncpg.connect(url)
    try:
        for _ in range(500):
            if (found := await connection.fetchval(sql)) == wanted:
                return
            await asyncio.sleep(0.02)
    finally:
        await connection.close()
    raise AssertionError(f"{sql} stays {found}")


async def caught_up(primary: str, standby: str) -> None:
    """Wait until a standby has replayed all that its primary has."""
    # A message in the log, written out with all before it, though the servers of tests do not wait for their disks.
    position = await ask(primary, "SELECT pg_logical_emit_message(false, 'tests', '', true)::text")
    await until(standby, f"SELECT pg_last_wal_replay_lsn() >= '{position}'", True)
