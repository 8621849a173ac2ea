"""A handler gone wrong: whatever SQL reaches PostgreSQL through a login, it reads nothing above its level."""

import contextlib
import io
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core.settings import role_password
from tests.conftest import SECRET, Api, Site
from tests.factories import PUBLIC, make
from tests.safety.world import PART_OF, change, visible

pytestmark = pytest.mark.anyio

SECRETS = {"partner": ("RESTRICTEDWORD", "GUARDEDWORD"), "public": ("PARTNERWORD", "RESTRICTEDWORD", "GUARDEDWORD")}
SECRETS |= {"editor": ("GUARDEDWORD",), "auth": ("PUBLICWORD", *SECRETS["public"])}
SECRETS["feed"] = SECRETS["auth"]
"""Login → words that it must never be able to read."""


@contextlib.asynccontextmanager
async def login(site: Site, role: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as an API login, with the password that the service derives."""
    name = f"chronika_{role}"
    url = make_url(site.url).set(username=name, password=role_password(SECRET.encode(), name), drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        yield connection
    finally:
        await connection.close()


AGED = """
UPDATE changes SET at = '2024-02-02T12:00Z';
UPDATE persons SET sex = 'female';
UPDATE events SET type = 'raid';
UPDATE cases SET stage = 'appeal';
UPDATE statuses SET kind = 'wanted';
UPDATE places SET kind = 'village';
UPDATE organisations SET kind = 'court';
UPDATE statutes SET article = article || '9', key = key || '9';
"""
"""Everything was recorded long ago, and is another today: so there is something that was known earlier."""


@pytest.fixture
async def words(api: Api, owner: asyncpg.Connection) -> Api:
    """Record a word at each level in every kind of record and part, and one in the protected part."""
    made = await visible(api.editor)
    for level in ("public", "partner", "restricted"):
        word = f"{level.upper()}WORD"
        for kind, record in made.items():
            now = (await api.editor.get(f"/v1/{kind}/{record['id']}")).json()
            part, least = PART_OF[kind]
            cites = [{"source": made["sources"]["id"], "quote": word, "level": level}]
            fields = {"citations": [*now["citations"], *cites]} if kind != "sources" else {}
            if part and least:
                text = "text" if "text" in least else "label"
                fields[part] = [*now[part], {**least, text: word, "level": level}]
            await change(api.editor, kind, record["id"], **fields)
        person = await make(api.editor, "persons", level=level, summary=word, names=[{"text": word}])
        await make(
            api.editor,
            "events",
            level=level,
            description=word,
            participants=[{"person": person["id"], "role": "victim"}],
        )
        await make(api.editor, "cases", level=level, summary=word, number=word)
        guarded = await api.guardian.put(f"/v1/persons/{person['id']}/protected", json={"health": ["GUARDEDWORD"]})
        assert guarded.status_code == 200
        gone = await make(api.editor, "persons", level=level, summary=word, origin=word, origin_id=word)
        await api.editor.delete(f"/v1/persons/{gone['id']}", headers={"If-Match": "*"})
    body = {**PUBLIC, "level": "restricted", "summary": "RESTRICTEDWORD"}
    assert (await api.editor.post("/v1/persons", json=body, headers={"Idempotency-Key": "k"})).status_code == 201
    await owner.execute(AGED)
    await owner.execute("ANALYZE")
    return api


async def _tried(connection: asyncpg.Connection, sql: str) -> str:
    """Run SQL and return everything that came back: rows, notices and the error with its details."""
    heard: list[str] = []
    connection.add_log_listener(lambda _c, message: heard.append(str(message.as_dict())))
    try:
        if sql.startswith("SELECT"):
            rows = await connection.fetch(f"SELECT x::text FROM ({sql}) x")
        elif sql.startswith("EXPLAIN"):
            rows = await connection.fetch(sql)
        else:
            await connection.execute(sql)
            rows = []
        return "\n".join([*heard, *(str(tuple(r.values())) for r in rows)])
    except asyncpg.PostgresError as error:
        return "\n".join([*heard, str(error.as_dict())])


async def _copied(connection: asyncpg.Connection, relation: str, column: str) -> str:
    output = io.BytesIO()
    try:
        await connection.copy_from_query(f"SELECT {column} FROM {relation}", output=output)
    except asyncpg.PostgresError as error:
        return str(error.as_dict())
    return output.getvalue().decode(errors="replace")


RELATIONS = """
SELECT n.nspname || '.' || quote_ident(c.relname) AS relation,
       array_agg(quote_ident(a.attname)) FILTER (WHERE a.attnum > -8) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT a.attisdropped AND n.nspname NOT LIKE 'pg_toast%'
 GROUP BY 1 ORDER BY 1
"""


async def test_no_relation_and_no_column_gives_away_a_word(words: Api, owner: asyncpg.Connection) -> None:
    for role in SECRETS:
        await _reads_no_word_above(role, words, owner)


async def _reads_no_word_above(role: str, words: Api, owner: asyncpg.Connection) -> None:
    said = []
    async with login(words.site, role) as connection:
        for relation, columns in await owner.fetch(RELATIONS):
            # Whole rows, then each column for itself, since grants are per column; the catalogue's are all granted.
            ours = relation.startswith("public.")
            asked = ["*", *(columns if ours else ())]
            said += [await _tried(connection, f"SELECT {what} FROM {relation} LIMIT 5000") for what in asked]
            if ours:
                said.append(await _tried(connection, f"EXPLAIN (ANALYZE, VERBOSE) SELECT id FROM {relation}"))
                said += [await _copied(connection, relation, c) for c in columns]
    heard = "\n".join(said)
    assert len(heard) > 1000
    assert [word for word in SECRETS[role] if word in heard] == []
    if role not in {"auth", "feed"}:
        assert "PUBLICWORD" in heard, "it reads what it may"
        assert ("PARTNERWORD" in heard) == (role != "public")


STATEMENTS = [
    "SET ROLE chronika_guardian; SELECT summary FROM persons",
    "SET SESSION AUTHORIZATION chronika_guardian; SELECT summary FROM persons",
    "RESET ROLE; RESET SESSION AUTHORIZATION; RESET ALL; SELECT content FROM persons_private",
    "SELECT set_config('role', 'chronika_guardian', false)",
    "SELECT set_config('chronika.actor', 'x', false); SELECT read_protected(id) FROM persons",
    "SET row_security = off; SELECT summary FROM persons",
    "ALTER TABLE persons DISABLE ROW LEVEL SECURITY",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "GRANT chronika_owner TO CURRENT_USER",
    "CREATE POLICY mine ON persons USING (true)",
    "CREATE TEMPORARY TABLE persons AS SELECT 1",
    "CREATE TABLE public.mine (t text)",
    "CREATE FUNCTION public.leak(text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$",
    "CREATE STATISTICS s ON summary, sex FROM persons",
    "DO $$ BEGIN RAISE NOTICE '%', (SELECT string_agg(summary, ',') FROM persons); END $$",
    "SELECT * FROM persons WHERE CAST(summary AS integer) = 1",
    "SELECT 1 / (length(summary) - length(summary)) FROM persons",
    "SELECT * FROM persons ORDER BY CAST(summary AS date)",
    "SELECT description::xml FROM events",
    "SELECT query_to_xml('SELECT * FROM persons_private', true, true, '')",
    "SELECT table_to_xml('changes', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT document('person', id) FROM persons",
    "SELECT visible(data, 0::smallint) FROM changes",
    *(
        f"SELECT known_documents('{kind}', '2024-03-01')"
        for kind in ("person", "event", "case", "place", "organisation", "status", "statute", "source", "figure")
    ),
    "SET ROLE chronika_editor; SELECT known_documents('person', '2024-03-01')",
    "SELECT search_names('person', ARRAY['partnerword', 'partnerword'])",
    "SELECT folded FROM person_keys",
    "SELECT folded FROM person_keys_restricted",
    "SELECT own FROM merges",
    "SELECT old_content FROM merges_private",
    "SELECT unconfirmed_withdrawals('{person}', 99999, 99, 'here')",
    "SELECT merge_persons(id, gen_random_uuid()) FROM persons",
    "SELECT number_changes()",
    "SELECT open_change('person', gen_random_uuid(), 'update', 0::smallint, 'x')",
    "SELECT key_lookup(id) FROM keys",
    "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats",
    "SELECT stavalues1::text FROM pg_statistic",
    "SELECT * FROM pg_stats_ext; SELECT * FROM pg_stats_ext_exprs",
    "SELECT last_value FROM changes_id_seq",
    "SELECT pg_sequence_last_value('changes_id_seq'::regclass)",
    "SELECT query FROM pg_stat_activity",
    "SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT lo_get(oid) FROM pg_largeobject_metadata",
    "SELECT pg_read_file('postgresql.conf')",
    "COPY persons (summary) TO PROGRAM 'cat'",
    "COPY (SELECT summary FROM persons) TO '/tmp/leak'",
    "SELECT * FROM information_schema.columns",
    "SELECT * FROM information_schema.tables",
    "LISTEN anything",
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT * FROM pg_prepared_statements",
    "PREPARE TRANSACTION 'x'",
    "DECLARE c CURSOR WITH HOLD FOR SELECT summary FROM persons",
]


async def test_no_statement_widens_a_login(words: Api) -> None:
    for role in SECRETS:
        await _is_not_widened(role, words)


async def _is_not_widened(role: str, words: Api) -> None:
    said = []
    for statement in STATEMENTS:
        async with login(words.site, role) as connection:
            # The writing ones are tried as hard as the role can: what it switched off, it can switch on.
            await connection.execute("SET default_transaction_read_only = off")
            parts = statement.split("; ") if "$$" not in statement else [statement]
            said += [await _tried(connection, part) for part in parts]
            said.append(await _tried(connection, "SELECT summary FROM persons"))
            assert await connection.fetchval("SELECT current_user::text") == f"chronika_{role}", statement
    heard = "\n".join(said)
    assert [word for word in SECRETS[role] if word in heard] == []


async def test_a_guardian_reads_the_protected_part_only_with_a_record_of_it(
    words: Api, owner: asyncpg.Connection
) -> None:
    person = await owner.fetchval("SELECT person_id FROM persons_private LIMIT 1")
    async with login(words.site, "guardian") as connection:
        assert "GUARDEDWORD" not in await _tried(connection, "SELECT * FROM persons_private")
        assert "GUARDEDWORD" not in await _tried(connection, "SELECT content FROM persons_private")
        # Nobody reads it namelessly, and nothing else undoes the record.
        assert "GUARDEDWORD" not in await _tried(connection, f"SELECT read_protected('{person}')")
        await connection.execute("SELECT set_config('chronika.actor', 'raw', false)")
        before = await owner.fetchval("SELECT count(*) FROM protected_reads")
        assert "GUARDEDWORD" in await _tried(connection, f"SELECT read_protected('{person}')")
        assert await owner.fetchval("SELECT count(*) FROM protected_reads") == before + 1
        for statement in ("DELETE FROM protected_reads", "UPDATE protected_reads SET actor = 'x'"):
            assert "42501" in await _tried(connection, statement)
