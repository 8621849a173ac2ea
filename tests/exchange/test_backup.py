"""Backup and restore: the same fingerprint, or a refusal."""

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core import schema
from app.core.database import Database
from app.core.embedded import embedded_server
from app.core.settings import role_password
from app.exchange import backup
from app.exchange.backup import BackupError
from app.sample.load import load
from tests.conftest import SECRET, Site, make_site


def run(url: str, *statements: str) -> list[Any]:
    async def go() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetch(s) for s in statements]
        finally:
            await connection.close()

    return asyncio.run(go())


def empty(server_url: str, name: str) -> str:
    """Make an empty database and return its URL."""
    run(server_url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    return server_url.replace("@/chronika?", f"@/{name}?")


@pytest.fixture(scope="module")
def full(server_url: str) -> Site:
    """Give a registry that holds the sample."""
    site = make_site(server_url, "backed_up")

    async def fill() -> None:
        database = Database(site.url, SECRET.encode(), 1)
        await load(database)
        await database.close()

    asyncio.run(fill())
    return site


@pytest.fixture(scope="module")
def saved(full: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "registry.backup"
    backup.backup(full.url, path)
    return path


def test_a_backup_restores_to_the_same_fingerprint(full: Site, saved: Path, server_url: str, tmp_path: Path) -> None:
    url = empty(server_url, "restored")
    found = backup.restore(url, SECRET.encode(), saved).fingerprint
    assert found["tables"]["persons"][0] > 50
    assert len(found["policies"]) > 50
    # Backed up again it is the same too, so the proof is no accident of the restore's own reading.
    assert backup.seal(backup.backup(url, tmp_path / "again.backup")) == backup.seal(found)
    assert (saved.stat().st_mode & 0o777) == 0o600
    # The public's login sees there what it sees here, and no more.
    counts = []
    for owner in (full.url, url):
        login = make_url(owner).set(
            username="chronika_public", password=role_password(SECRET.encode(), "chronika_public")
        )
        rows = run(login.render_as_string(hide_password=False), "SELECT count(*) FROM persons")
        counts.append(rows[0][0][0])
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    "harm",
    [
        "DROP POLICY chronika_public_reads ON persons",
        "ALTER TABLE persons NO FORCE ROW LEVEL SECURITY",
        "GRANT SELECT ON keys TO chronika_public",
        "ALTER TABLE persons DISABLE TRIGGER level",
        "UPDATE vocabulary_terms SET position = position + 1 WHERE vocabulary = 'sex'",
        "CREATE OR REPLACE FUNCTION refuse_cycle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ],
)
def test_the_fingerprint_sees_every_harm(full: Site, harm: str) -> None:
    async def sealed() -> tuple[str, str]:
        connection = await asyncpg.connect(full.url)
        before = backup.seal(await backup.fingerprint(connection))
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(harm)
        after = backup.seal(await backup.fingerprint(connection))
        await transaction.rollback()
        await connection.close()
        return before, after

    before, after = asyncio.run(sealed())
    assert before != after


def test_a_restore_erases_again_whoever_a_list_names(saved: Path, server_url: str) -> None:
    url = empty(server_url, "erased_again")
    site = backup.restore(url, SECRET.encode(), saved)
    assert (site.replayed, site.last_erasure) == (None, "the registry began")
    [[(person, name)]] = run(url, "SELECT person_id, text FROM person_names LIMIT 1")
    lines = [json.dumps({"person": str(p), "reason": "request", "at": "2024-05-01"}) for p in (person, UUID(int=7))]

    not_erased = empty(server_url, "not_erased")
    for wrong in ("{}", "[]", lines[0].replace("request", "asked")):
        with pytest.raises(BackupError, match="nothing was restored"):
            backup.restore(not_erased, SECRET.encode(), saved, [*lines, wrong])
    assert run(not_erased, backup.TABLES)[0] == []

    url = empty(server_url, "erased_again")
    assert backup.restore(url, SECRET.encode(), saved, lines).replayed == (1, 1)
    left, told = run(
        url,
        f"SELECT count(*) FROM persons WHERE id = '{person}'",
        f"SELECT count(*) FROM changes WHERE record_id = '{person}' AND data IS NOT NULL",
    )
    assert (left[0][0], told[0][0]) == (0, 0), name


def test_an_owner_who_is_no_superuser_backs_up_and_restores(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "pg", SECRET.encode(), fast=True) as server:
        databases = ("CREATE DATABASE first OWNER desk", "CREATE DATABASE second OWNER desk")
        run(server, "CREATE ROLE desk LOGIN CREATEROLE PASSWORD 'x'", *databases)
        first, second = (
            make_url(server).set(username="desk", password="x", database=name).render_as_string(hide_password=False)
            for name in ("first", "second")
        )
        schema.upgrade(first, SECRET.encode())
        found = backup.backup(first, tmp_path / "b")
        assert backup.restore(second, SECRET.encode(), tmp_path / "b").fingerprint == found
        assert asyncio.run(schema.is_at_head(second, SECRET.encode()))


def test_a_database_that_is_not_empty_is_refused(full: Site, saved: Path) -> None:
    with pytest.raises(BackupError, match="not empty"):
        backup.restore(full.url, SECRET.encode(), saved)


def test_a_file_that_proves_too_little_is_refused(saved: Path, server_url: str, tmp_path: Path) -> None:
    url = empty(server_url, "refused")
    with tarfile.open(saved) as archive:
        archive.extractall(tmp_path, filter="data")
    proof = json.loads((tmp_path / backup.PROOF).read_text())

    def packed(**changed: Any) -> Path:
        (tmp_path / "p.json").write_text(json.dumps({**proof, **changed}))
        with tarfile.open(tmp_path / "b", "w") as archive:
            archive.add(tmp_path / "p.json", backup.PROOF)
            archive.add(tmp_path / backup.DUMP, backup.DUMP)
        return tmp_path / "b"

    for part in ("policies", "roles", "grants"):
        with pytest.raises(BackupError, match=part):
            backup.restore(url, SECRET.encode(), packed(fingerprint={**proof["fingerprint"], part: []}))
    with pytest.raises(BackupError, match="damaged"):
        backup.restore(url, SECRET.encode(), packed(dump="0" * 64))
    with pytest.raises(BackupError, match="not a backup"):
        backup.restore(url, SECRET.encode(), tmp_path / backup.DUMP)
    changed = {**proof["fingerprint"], "tables": {**proof["fingerprint"]["tables"], "persons": [0, "0"]}}
    with pytest.raises(BackupError, match="differs from the backup in: tables"):
        backup.restore(url, SECRET.encode(), packed(fingerprint=changed))
