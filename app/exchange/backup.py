"""The whole registry into one file and back, with a proof: a fingerprint of rows, policies, grants, roles and triggers.

A dump alone proves nothing: restored without its roles it has no policies, and every row is open to every login. So the
file holds the dump and the fingerprint of what was dumped, of one snapshot; a restore is done when both are the same.
"""

import asyncio
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from app.core import schema
from app.core.programs import bin_path
from app.persons import erasures

DUMP, PROOF = "database.dump", "fingerprint.json"
NEEDED = ("tables", "policies", "grants", "roles", "functions", "triggers")

CATALOGUE = {
    "policies": """
        SELECT c.relname, p.polname, p.polcmd, p.polpermissive,
               ARRAY(SELECT r.rolname FROM pg_roles r WHERE r.oid = ANY(p.polroles) ORDER BY 1),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
          FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid ORDER BY 1, 2""",
    "row_security": """
        SELECT relname, relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1""",
    "grants": """
        SELECT c.relname, '' AS part, x.grantee::regrole, x.privilege_type, x.is_grantable
          FROM pg_class c, aclexplode(c.relacl) x WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT c.relname, a.attname, x.grantee::regrole, x.privilege_type, x.is_grantable
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x
         WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT p.oid::regprocedure::text, '()', x.grantee::regrole, x.privilege_type, x.is_grantable
          FROM pg_proc p, aclexplode(p.proacl) x WHERE p.pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT 'schema public', '', x.grantee::regrole, x.privilege_type, x.is_grantable
          FROM pg_namespace n, aclexplode(n.nspacl) x
         WHERE n.nspname = 'public' AND x.grantee::regrole::text LIKE 'chronika%'
        ORDER BY 1, 2, 3, 4""",
    "roles": """
        SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb, rolreplication,
               ARRAY(SELECT unnest(rolconfig) ORDER BY 1),
               ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid ORDER BY 1)
          FROM pg_roles r WHERE rolname LIKE 'chronika\\_%' ORDER BY 1""",
    "functions": """
        SELECT oid::regprocedure::text, md5(pg_get_functiondef(oid)), prosecdef, pg_get_userbyid(proowner)
          FROM pg_proc p
         WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1""",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled FROM pg_trigger
         WHERE NOT tgisinternal ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable, confdeltype, conkey::text
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
}
"""Part of the fingerprint → what it is made of. PostgreSQL prints a CHECK's expression with other casts once it was
dumped and read again, so of constraints only the name, kind and columns are compared."""

TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
   AND NOT relispartition ORDER BY 1
"""


class BackupError(Exception):
    """The backup cannot be made or restored; the message is one line."""


async def fingerprint(connection: Any) -> dict[str, Any]:
    """Return what a database holds: a count and a checksum of the rows of each table, and all that guards them."""
    found: dict[str, Any] = {"tables": {}}
    for row in await connection.fetch(TABLES):
        name = row[0]
        # A sum does not depend on the order in which rows lie on the disk, which a dump does not keep.
        sql = f'SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM "{name}" t'  # noqa: S608 -- from the catalogue
        count, checksum = await connection.fetchrow(sql)
        found["tables"][name] = [count, checksum]
    for part, sql in CATALOGUE.items():
        found[part] = [[_plain(v) for v in r] for r in await connection.fetch(sql)]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value if isinstance(value, bool | int) else str(value)


def _client(url: str, program: str, *arguments: str) -> str:
    """Run a program of PostgreSQL's against a database and return what it prints; the password is never an argument."""
    to = make_url(url)
    host = to.host or str(to.query.get("host", ""))
    given = {"PGHOST": host, "PGPORT": str(to.port or ""), "PGUSER": to.username or "", "PGDATABASE": to.database or ""}
    given |= {"PGPASSWORD": to.password or "", "PGSSLMODE": str(to.query.get("sslmode", ""))}
    environment = {"PATH": os.environ.get("PATH", "")} | {n: v for n, v in given.items() if v}
    # An installed client may speak TLS, which the embedded one cannot; its version must be the server's or newer.
    path = (shutil.which(program) if to.host else None) or str(bin_path(program))
    done = subprocess.run(  # noqa: S603 -- our own arguments
        [path, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise BackupError(f"{program} failed: {lines[0][:300]}")
    return done.stdout


async def _dump(url: str, directory: Path) -> dict[str, Any]:
    """Dump one snapshot of the database and return its fingerprint."""
    url = await schema.writable_url(url)
    connection = await schema.connect_owner(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL ROLE chronika_owner; SET LOCAL statement_timeout = 0")
            found = await fingerprint(connection)
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            # Under the owner's own policies, which show it every row; without the flag pg_dump refuses such tables.
            what = ("--format=custom", "--schema=public", "--extension=pg_trgm")
            options = (*what, "--role=chronika_owner", "--enable-row-security")
            to = f"--file={directory / DUMP}"
            await asyncio.to_thread(_client, url, "pg_dump", *options, f"--snapshot={snapshot}", to)
    finally:
        await connection.close()
    return found


def seal(found: dict[str, Any]) -> str:
    """Return the SHA-256 of a fingerprint."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lacking(found: dict[str, Any]) -> list[str]:
    """Name the parts that a fingerprint must have and has not."""
    return [part for part in NEEDED if not found.get(part)]


def backup(url: str, path: Path) -> dict[str, Any]:
    """Write the backup file, for its owner alone, and return the fingerprint; raises `BackupError`."""
    with tempfile.TemporaryDirectory(dir=path.absolute().parent) as name:
        directory = Path(name)
        found = asyncio.run(_dump(url, directory))
        if lacking := _lacking(found):
            raise BackupError(f"the database has no {', '.join(lacking)}: it is not a registry that could be restored")
        proof = json.dumps({"format": 1, "dump": _sha256(directory / DUMP), "fingerprint": found}).encode()
        unfinished = directory / "backup"
        with tarfile.open(unfinished, "w") as archive:
            member = tarfile.TarInfo(PROOF)
            member.size, member.mode = len(proof), 0o600
            archive.addfile(member, io.BytesIO(proof))
            archive.add(directory / DUMP, DUMP)
        unfinished.chmod(0o600)
        unfinished.rename(path)
    return found


def _open(path: Path, directory: Path) -> dict[str, Any]:
    """Unpack a backup and return the fingerprint in it, refusing what is damaged or proves too little."""
    try:
        with tarfile.open(path) as archive:
            for name in (PROOF, DUMP):
                archive.extract(name, directory, filter="data")
        proof = json.loads((directory / PROOF).read_bytes())
        found: dict[str, Any] = proof["fingerprint"]
        digest = proof["dump"]
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError):
        raise BackupError(f"{path.name} is not a backup made by `chronika db backup`") from None
    if lacking := _lacking(found):
        raise BackupError(f"{path.name} holds no {', '.join(lacking)}: restored, its rows would be open to everybody")
    if _sha256(directory / DUMP) != digest:
        raise BackupError(f"{path.name} is damaged: its dump is not the one that was made")
    return found


_OF_THE_SCHEMA = re.compile(r" (SCHEMA - public|(COMMENT|ACL) - SCHEMA public) ")
"""Lines of a dump's list of contents that make the schema, not what is in it."""


async def _fill(url: str, secret: bytes, directory: Path) -> dict[str, Any]:
    url = await schema.writable_url(url)
    connection = await schema.connect_owner(url)
    try:
        if await connection.fetch(TABLES):
            raise BackupError("the database is not empty; restore into a new one, such as `createdb` makes")
        await schema.make_roles(url, secret)
        # The schema itself stays as the roles have it: made anew it would belong to an owner who is no superuser alone.
        dump, contents = str(directory / DUMP), directory / "contents"
        listed = await asyncio.to_thread(_client, url, "pg_restore", "--list", dump)
        contents.write_text("".join(f"{line}\n" for line in listed.splitlines() if not _OF_THE_SCHEMA.search(line)))
        options = ("--single-transaction", "--exit-on-error", f"--use-list={contents}")
        await asyncio.to_thread(_client, url, "pg_restore", *options, f"--dbname={make_url(url).database}", dump)
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE chronika_owner; SET LOCAL statement_timeout = 0")
            return await fingerprint(connection)
    finally:
        await connection.close()


@dataclass
class Restored:
    """What came of a restore."""

    fingerprint: dict[str, Any]
    last_erasure: str
    """When somebody was last erased, as far as the backup knows."""
    replayed: tuple[int, int] | None = None
    """How many were erased again, and how many of the list are not in the backup; None without a list."""


def restore(url: str, secret: bytes, path: Path, again: Iterable[str] | None = None) -> Restored:
    """Restore a backup into an empty database, prove it is the same, then erase again whoever a list names.

    Raises `BackupError` for a file that is no backup, a list that is none, a database that is not empty, or a result
    that differs; the list is read before anything is written.
    """
    try:
        wanted_gone = erasures.read(again) if again is not None else None
    except (KeyError, TypeError, ValueError):
        raise BackupError("--erasures is not what `chronika db erasures` printed; nothing was restored") from None
    with tempfile.TemporaryDirectory() as name:
        wanted = _open(path, Path(name))
        found = asyncio.run(_fill(url, secret, Path(name)))
    if different := [part for part in wanted if json.loads(json.dumps(found.get(part))) != wanted[part]]:
        raise BackupError(f"what was restored differs from the backup in: {', '.join(different)}; do not use it")
    if "erasures" not in found["tables"]:  # of an older version, which `db upgrade` brings to this one first
        return Restored(found, "the backup was made")
    listed = asyncio.run(erasures.listed(url))
    last = json.loads(listed[-1])["at"][:19] if listed else "the registry began"
    return Restored(found, last, asyncio.run(erasures.repeat(url, wanted_gone)) if wanted_gone is not None else None)


def told(found: dict[str, Any]) -> str:
    """Say a fingerprint in one line."""
    rows = sum(count for count, _ in found["tables"].values())
    parts = ", ".join(
        f"{len(found[part]):,} {part}" for part in ("policies", "grants", "roles", "functions", "triggers")
    )
    return f"{len(found['tables'])} tables, {rows:,} rows, {parts}; SHA-256 {seal(found)}"
