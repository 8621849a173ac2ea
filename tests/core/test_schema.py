"""The schema: up, down and up again, on servers with more and with fewer rights, and what it says when it cannot."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core import keys, schema
from app.core.database import Database
from app.core.embedded import embedded_server
from app.core.keys import KeysError
from app.core.schema import SchemaError
from app.sample.load import load
from tests.conftest import SECRET, Site, _serve, make_site
from tests.factories import make

KEY = SECRET.encode()


def ask(url: str, sql: str, *arguments: Any) -> list[Any]:
    """Run one statement as the URL's login and return its rows."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            rows: list[Any] = await connection.fetch(sql, *arguments)
            return rows
        finally:
            await connection.close()

    return asyncio.run(run())


def fingerprint(url: str) -> list[str]:
    """Return all that makes the schema: columns, constraints, policies, triggers, functions and grants."""
    sql = """
    SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT format('policy %s %s %s %s %s %s', tablename, policyname, roles, cmd, qual, with_check)
      FROM pg_policies
    UNION ALL SELECT format('trigger %s', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('function %s %s', pg_get_functiondef(oid), proacl) FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT format('table %s %s %s %s', relname, relrowsecurity, relforcerowsecurity, relacl) FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    UNION ALL SELECT format('grant %s.%s %s', attrelid::regclass, attname, attacl) FROM pg_attribute a
      JOIN pg_class c ON c.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attacl IS NOT NULL
    ORDER BY 1
    """
    return [r[0] for r in ask(url, sql)]


def count(url: str, table: str) -> int:
    """Count the rows of one of our tables."""
    return int(ask(url, f"SELECT count(*) FROM {table}")[0][0])


async def _load(site: Site) -> int:
    database = Database(site.url, KEY, pool_size=1)
    try:
        return await load(database)
    finally:
        await database.close()


@pytest.fixture(scope="module")
def migrated(server_url: str) -> Site:
    """Give a database of this module's own, at head."""
    return make_site(server_url, "migrated")


def test_a_second_upgrade_changes_nothing(migrated: Site) -> None:
    before = fingerprint(migrated.url)
    terms = ask(migrated.url, "SELECT t::text FROM vocabulary_terms t ORDER BY vocabulary, code")
    schema.upgrade(migrated.url, KEY)
    assert fingerprint(migrated.url) == before
    assert ask(migrated.url, "SELECT t::text FROM vocabulary_terms t ORDER BY vocabulary, code") == terms
    assert asyncio.run(schema.is_at_head(migrated.url, KEY))


def test_what_keeps_it_from_being_used_is_told(migrated: Site) -> None:
    asyncio.run(schema.require_head(migrated.url, KEY))
    with pytest.raises(SchemaError, match="CHRONIKA_SECRET"):
        asyncio.run(schema.require_head(migrated.url, b"another secret, of 32 characters or more"))


def test_vocabularies_follow_the_files_and_keep_what_was_added(migrated: Site) -> None:
    ask(
        migrated.url,
        "INSERT INTO vocabulary_terms (vocabulary, code, position, label) "
        """VALUES ('sex', 'here', 99, '{"en": "x"}')""",
    )
    ask(migrated.url, "UPDATE vocabulary_terms SET label = '{}' WHERE vocabulary = 'sex' AND code = 'female'")
    ask(migrated.url, "UPDATE rates SET amount = 1 WHERE unit = 'base_value' AND currency = 'BYN'")
    ask(migrated.url, "DELETE FROM vocabulary_terms WHERE vocabulary = 'sex' AND code = 'male'")
    schema.upgrade(migrated.url, KEY)
    labels = dict(ask(migrated.url, "SELECT code, label ->> 'en' FROM vocabulary_terms WHERE vocabulary = 'sex'"))
    assert (labels["female"], labels["here"], "male" in labels) == ("female", "x", True)
    assert ask(migrated.url, "SELECT DISTINCT amount = 1 FROM rates WHERE currency = 'BYN'") == [(False,)]
    ask(migrated.url, "DELETE FROM vocabulary_terms WHERE code = 'here'")


def test_the_models_and_the_database_agree(migrated: Site) -> None:
    schema.check(migrated.url)
    ask(migrated.url, "ALTER TABLE places ADD COLUMN unforeseen varchar")
    with pytest.raises(SchemaError):
        schema.check(migrated.url)
    ask(migrated.url, "ALTER TABLE places DROP COLUMN unforeseen")
    ask(migrated.url, "ALTER TABLE sentence_components ALTER COLUMN converted_on TYPE varchar")
    with pytest.raises(SchemaError):
        schema.check(migrated.url)
    ask(migrated.url, "ALTER TABLE sentence_components ALTER COLUMN converted_on TYPE date USING converted_on::date")
    schema.check(migrated.url)


def test_down_to_nothing_and_up_again_with_records_in_it(server_url: str) -> None:
    site = make_site(server_url, "downgraded")
    before = fingerprint(site.url)
    loaded = asyncio.run(_load(site))
    assert count(site.url, "changes") == loaded
    schema.downgrade(site.url, "base")
    left = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert [r[0] for r in ask(site.url, left)] == ["alembic_version"]
    functions = (
        "SELECT count(*) FROM pg_proc p WHERE pronamespace = 'public'::regnamespace "
        # An extension stays: others may use it.
        "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    )
    assert ask(site.url, functions) == [(0,)]
    assert not asyncio.run(schema.is_at_head(site.url, KEY))
    with pytest.raises(SchemaError, match="db upgrade"):
        asyncio.run(schema.require_head(site.url, KEY))
    schema.upgrade(site.url, KEY)
    assert fingerprint(site.url) == before
    assert (count(site.url, "persons"), count(site.url, "keys")) == (0, 0)
    assert asyncio.run(_load(site)) == loaded, "and it works"


# --- what it says when it cannot -------------------------------------------------------------------------


def refusal(url: str) -> str:
    """Return the one line in which an upgrade is refused."""
    with pytest.raises(SchemaError) as caught:
        schema.upgrade(url, KEY)
    (line,) = str(caught.value).splitlines()
    return line


def test_an_older_server_is_refused(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LEAST_VERSION", 990000)  # to which any server at hand is an older one
    assert refusal(server_url) == "PostgreSQL 18 or newer is needed; the server at CHRONIKA_DATABASE_URL is 18"


def test_a_server_that_is_not_there_is_told(server_url: str) -> None:
    nowhere = refusal("postgresql://owner:secret@127.0.0.1:1/chronika")
    assert nowhere.startswith("cannot reach PostgreSQL at 127.0.0.1")
    assert "secret" not in nowhere
    assert refusal(server_url.replace("@/chronika?", "@/absent?")) == (
        'there is no database "absent"; make it with: createdb absent'
    )


def test_a_wrong_password_is_told_without_repeating_it(server_url: str) -> None:
    wrong = make_url(server_url).set(password="not the password").render_as_string(hide_password=False)
    line = refusal(wrong)
    assert line.startswith("PostgreSQL refuses the owner of CHRONIKA_DATABASE_URL")
    assert "not the password" not in line


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL on which nobody has made any role yet; give its superuser's URL."""
    with embedded_server(tmp_path_factory.mktemp("bare"), KEY, fast=True) as url:
        yield url


def owned(bare_server: str, owner: str, rights: str) -> str:
    """Make a login with these rights and a database that it owns; give its URL."""
    ask(bare_server, f"CREATE ROLE {owner} LOGIN PASSWORD 'secret' {rights}")
    ask(bare_server, f"CREATE DATABASE {owner} OWNER {owner}")
    url = make_url(bare_server).set(username=owner, password="secret", database=owner)
    return url.render_as_string(hide_password=False)


def test_an_owner_needs_the_right_to_make_roles_and_no_more(bare_server: str) -> None:
    weak = owned(bare_server, "weak", "NOCREATEROLE")
    line = refusal(weak)
    assert 'ALTER ROLE "<owner>" CREATEROLE' in line

    url = owned(bare_server, "keeper", "CREATEROLE")
    schema.upgrade(url, KEY)
    schema.upgrade(url, KEY)
    schema.check(url)
    site = Site(url)
    for role in ("partner", "editor", "guardian"):
        site.keys[role] = asyncio.run(keys.create(url, role, role, "here", timedelta(days=1)))
    site.keys["other_partner"] = site.keys["partner"]
    assert asyncio.run(_whole_life(site)) == 10
    schema.downgrade(url, "base")
    schema.upgrade(url, KEY)
    assert refusal(weak) == line, "also where another has made the roles"


async def _whole_life(site: Site) -> int:
    """Make, change and delete one record of each kind, and a protected part; return how many were made."""
    made = 0
    async for api in _serve(site):
        for resource in schema.RESOURCES:
            record = await make(api.editor, resource)
            url = f"/v1/{resource}/{record['id']}"
            made += 1
            patched = await api.editor.patch(url, json={"confidence": "probable"}, headers={"If-Match": "*"})
            assert patched.json()["version"] == 2, patched.text
            assert (await api.public.get(url)).status_code == 200
            if resource == "persons":
                assert (await api.guardian.put(f"{url}/protected", json={"aid": ["x"]})).status_code == 200
                assert (await api.guardian.get(f"{url}/protected")).json()["aid"] == ["x"]
                made += 1
            assert len((await api.editor.get(f"{url}/history")).json()["items"]) == 2
            assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 204
            assert (await api.public.get(url)).status_code == 410
    return made


def test_a_half_made_schema_is_not_at_head(server_url: str) -> None:
    asyncio.run(_create(server_url, "empty"))
    url = server_url.replace("@/chronika?", "@/empty?")
    with pytest.raises(SchemaError, match="db upgrade"):
        asyncio.run(schema.require_head(url, KEY))
    with pytest.raises(SchemaError) as caught:
        schema.check(url)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(KeysError, match="db upgrade"):
        asyncio.run(keys.create(url, "somebody", "editor", "here", timedelta(days=1)))


def test_a_server_that_only_reads_is_told(bare_server: str) -> None:
    url = owned(bare_server, "reader", "CREATEROLE")
    ask(bare_server, "ALTER ROLE reader SET default_transaction_read_only = on")
    assert "read-only" in refusal(url)


async def _create(server_url: str, name: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
