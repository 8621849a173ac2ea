"""Exports, the snapshot and the feed over HTTP against psql's copy of the same rows by the same login, in one run.

Run with `python -m benchmarks streams [records] [directory to keep the database in]`. Both sides are real processes:
the service read by curl (the feed by its own pages), and psql; both throw away what they get. Runs alternate, the best
of three counts, and the service's peak memory is read from the kernel.
"""

import asyncio
import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from app.changes import cursors
from app.changes.models import CEILINGS, Selection
from app.changes.queries import item_sql
from app.core import keys, schema
from app.core.embedded import bin_path, embedded_server
from app.core.records import Audience
from app.core.schema import connect_owner
from app.core.settings import role_password
from app.exchange import export
from app.exchange.console import read_filters
from app.exchange.queries import EXPORTABLE
from app.persons.queries import PERSONS

SECRET = "a secret of the benchmark, long enough"  # noqa: S105
RUNS = 3
PAGE = 1000
RAW = "WITH (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01', ESCAPE E'\\x01')"
TABLE = "WITH (FORMAT csv, HEADER)"

FILL = (
    """
    INSERT INTO persons (origin, origin_id, level, effective_level, groups, sex, summary, publication_ground,
                         version, version_partner, version_public, born, born_earliest, born_latest)
    SELECT 'bench', n::text, 0, 0, CASE n % 2 WHEN 0 THEN '{journalist}' ELSE '{}' END::varchar[],
           CASE n % 2 WHEN 0 THEN 'female' ELSE 'male' END, 'Затрыманы ў ' || n || ', паводле «крыніцы».',
           'public_record', 1, 1, 1,
           (1950 + n % 50)::text, make_date(1950 + n % 50, 1, 1), make_date(1950 + n % 50, 12, 31)
      FROM generate_series(1, {count}) n""",
    """
    INSERT INTO person_names (person_id, text, language, script, kind, level, effective_level, position, folded)
    SELECT p.id, 'Імя Прозвішча ' || p.origin_id || ' ' || k, 'be', 'Cyrl', ('{primary,alias}'::varchar[])[k + 1],
           0, 0, k, 'imia ' || p.origin_id
      FROM persons p, generate_series(0, 1) k""",
    """
    INSERT INTO changes (record_type, record_id, op, version, version_partner, version_public, level_after, origin,
                         closed, had_partner, had_public, seq, seq_partner, seq_public)
    SELECT 'person', id, 'insert', 1, 1, 1, 0, origin, true, false, false, n, n, n
      FROM (SELECT id, origin, row_number() OVER (ORDER BY created_at, id) AS n FROM persons) p ORDER BY n""",
)
"""Past the triggers: what is measured here is reading. Each record has two names and one change."""


async def fill(url: str, count: int) -> int:
    """Fill an empty registry with public persons; return how many it has."""
    connection = await connect_owner(url)
    await connection.execute("SET statement_timeout = 0; SET session_replication_role = replica")
    there: int = await connection.fetchval("SELECT count(*) FROM persons")
    if there == 0:
        for statement in FILL:
            await connection.execute(statement.replace("{count}", str(count)))
        await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return there or count


# --- the two sides ------------------------------------------------------------------------------------


@dataclass
class Service:
    """The running service: where it is, an editor's key, its process."""

    port: int
    key: str
    pid: int

    def curl(self, path: str) -> None:
        """Read an answer as fast as it comes, and throw it away."""
        url = f"http://127.0.0.1:{self.port}{path}"
        command = ["curl", "-sSf", "-o", "/dev/null", "-H", f"Authorization: Bearer {self.key}", url]
        subprocess.run(command, check=True)  # noqa: S603

    def walk(self, cursor: str) -> None:
        """Read the feed to its end, page by page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        more = True
        while more:
            path = f"/v1/changes?limit={PAGE}&types=person&cursor={quote(cursor)}"
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.key}"})
            body = connection.getresponse().read()
            tail = body[-400:].decode()
            cursor = re.findall(r'"cursor": ?"([^"]+)"', tail)[-1]
            more = re.search(r'"has_more": ?true', tail) is not None
        connection.close()

    def memory(self) -> float:
        """Return the most memory that the process has held since `forget`, in MB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) / 1024

    def forget(self) -> float:
        """Begin to look for the peak anew; return what the process holds now, in MB."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.memory()


@contextlib.contextmanager
def serving(url: str) -> Iterator[Service]:
    """Run the service as one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = asyncio.run(keys.create(url, "benchmark", "editor", "local", timedelta(days=1)))
    environment = {**os.environ, "CHRONIKA_DATABASE_URL": url, "CHRONIKA_SECRET": SECRET, "CHRONIKA_PORT": str(port)}
    environment |= {"CHRONIKA_REQUESTS_PER_MINUTE": "0", "CHRONIKA_LOG_LEVEL": "error"}
    process = subprocess.Popen([sys.executable, "-m", "app", "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        service = Service(port, key, process.pid)
        for _ in range(200):
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["curl", "-sf", "-o", "/dev/null", f"127.0.0.1:{port}/readyz"], check=True)  # noqa: S603, S607
                break
            time.sleep(0.1)
        yield service
    finally:
        process.terminate()
        process.wait()


async def beginning(url: str) -> str:
    """Return the cursor of an editor who follows persons and has seen nothing."""
    connection = await connect_owner(url)
    feed = await connection.fetchval("SELECT id FROM feed")
    await connection.close()
    selection = Selection(types=["person"])
    level = CEILINGS[Audience.EDITOR]
    types, excluded = cursors.types_of(selection), cursors.excluded_by(selection)
    place = cursors.Place(feed, level, types, excluded, 0, cursors.NOWHERE, 0, cursors.NOWHERE)
    return cursors.write(place, SECRET.encode())


def copy(url: str, sql: str, options: str) -> None:
    """Have psql copy rows as the editors' login and throw them away."""
    to = make_url(url)
    environment = {"PGPASSWORD": role_password(SECRET.encode(), "chronika_editor"), "PGUSER": "chronika_editor"}
    environment |= {"PGHOST": to.host or str(to.query["host"]), "PGDATABASE": to.database or ""}
    environment |= {"PGOPTIONS": "-c statement_timeout=0 -c jit=off"}
    command = rf"\copy ({' '.join(sql.split())}) TO '/dev/null' {options}"
    subprocess.run([str(bin_path("psql")), "-qc", command], env=environment, check=True)  # noqa: S603


def exported(form: str) -> str:
    """Return the SQL of an export of all persons, its constants in place."""
    query = read_filters("persons", form, [])
    resource, kind = EXPORTABLE["persons"]
    build = export._table_statement if form == "csv" else export._statement  # noqa: SLF001
    statement = build(resource, kind, Audience.EDITOR, query.used())
    sql = statement.sql
    for n, value in reversed(list(enumerate(statement.arguments(query.values()), 1))):
        sql = sql.replace(f"${n}::", "NULL::" if value is None else f"'{value}'::")
    return sql


def compare(name: str, count: int, service: Service, ours: Callable[[], None], theirs: Callable[[], None]) -> None:
    """Run both sides in turn and print one row."""
    taken: list[tuple[float, float]] = []
    held = service.forget()
    for _ in range(RUNS):
        times = []
        for side in (ours, theirs):
            began = time.perf_counter()
            side()
            times.append(time.perf_counter() - began)
        taken.append((times[0], times[1]))
    mine, other = min(t[0] for t in taken), min(t[1] for t in taken)
    print(
        f"{name:<14} {count:>9,} records {count / mine:>9,.0f}/s  {other / mine:.2f} of \\copy "
        f"({count / other:,.0f}/s)  memory {held:.0f} MB + {service.memory() - held:.1f} MB",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    """Fill a registry, serve it, compare."""
    count = int(arguments[0]) if arguments else 200_000
    with contextlib.ExitStack() as stack:
        directory = (
            Path(arguments[1]) if len(arguments) > 1 else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        )
        url = stack.enter_context(embedded_server(directory / "pg", SECRET.encode(), fast=True))
        schema.upgrade(url, SECRET.encode())
        count = asyncio.run(fill(url, count))
        service = stack.enter_context(serving(url))
        service.curl("/v1/persons/export?q=nobody")  # opens what is opened once
        lines = f"SELECT {item_sql(PERSONS, Audience.EDITOR)} FROM persons AS r"  # noqa: S608 -- our own names
        ordered = f"{lines} JOIN changes c ON c.record_id = r.id WHERE c.seq > 0 ORDER BY c.seq"
        everything = "/v1/snapshot?types=person"
        for form, options in (("ndjson", RAW), ("csv", TABLE)):
            path = f"/v1/persons/export?format={form}"
            sql = exported(form)
            compare(
                f"export {form}",
                count,
                service,
                lambda p=path: service.curl(p),
                lambda s=sql, o=options: copy(url, s, o),
            )  # type: ignore[misc]
        compare(
            "snapshot",
            count,
            service,
            lambda: service.curl(everything),
            lambda: copy(url, f"{lines} ORDER BY r.id", RAW),
        )
        start = asyncio.run(beginning(url))
        compare("feed", count, service, lambda: service.walk(start), lambda: copy(url, ordered, RAW))


if __name__ == "__main__":
    main(sys.argv[1:])
