"""The tests notice: each policy, grant, trigger and check, taken away, makes one of the guarantees fail.

All of them: `python -m pytest -m full tests/safety/test_mutation.py`. By default a part that changes with the day.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from anyio import to_thread

from tests.conftest import Site, _serve, make_site
from tests.factories import make
from tests.safety.declared import API
from tests.safety.guarantees import PROBES, undone
from tests.safety.world import change, visible

pytestmark = pytest.mark.anyio

PARTS = 12
"""Into how many days' parts the mutants are divided."""

MUTANTS = """
SELECT polrelid::regclass::text AS tab,
       format('DROP POLICY %I ON %s', polname, polrelid::regclass) AS sql FROM pg_policy
UNION ALL
SELECT tgrelid::regclass::text, format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT conrelid::regclass::text, format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
  FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL
SELECT c.oid::regclass::text, format('REVOKE %s ON %s FROM %s', x.privilege_type, c.oid::regclass, x.grantee::regrole)
  FROM pg_class c, aclexplode(c.relacl) x
 WHERE c.relnamespace = 'public'::regnamespace AND x.grantee::regrole::text = ANY ($1)
UNION ALL
SELECT c.oid::regclass::text,
       format('REVOKE %s (%I) ON %s FROM %s', x.privilege_type, a.attname, c.oid::regclass, x.grantee::regrole)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) x
 WHERE c.relnamespace = 'public'::regnamespace AND x.grantee::regrole::text = ANY ($1)
UNION ALL
SELECT '', format('REVOKE EXECUTE ON FUNCTION %s FROM %s', p.oid::regprocedure, x.grantee::regrole)
  FROM pg_proc p, aclexplode(p.proacl) x
 WHERE pronamespace = 'public'::regnamespace AND x.grantee::regrole::text = ANY ($1)
ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
async def probed(server_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Give the owner's connection to a registry that holds something of everything at every level."""
    site: Site = await to_thread.run_sync(make_site, server_url, "probed")
    serving = _serve(site)
    api = await anext(serving)
    for level in ("public", "partner", "restricted"):
        made = await visible(api.editor, level)
        other = (await make(api.editor, "sources", level=level))["id"]
        for kind in ("places", "organisations", "sources", "figures"):
            await change(api.editor, kind, made[kind]["id"], citations=[{"source": other}])
        gone = await make(api.editor, "persons", level=level)
        await api.editor.delete(f"/v1/persons/{gone['id']}", headers={"If-Match": "*"})
        url = f"/v1/persons/{made['persons']['id']}/protected"
        await api.guardian.put(url, json={"health": ["unwell"]})
        await api.guardian.get(url)
    await api.editor.post("/v1/persons", json={"summary": "x"}, headers={"Idempotency-Key": "k"})
    old, new, other = [(await make(api.editor, "persons", level="restricted"))["id"] for _ in range(3)]
    await api.guardian.put(f"/v1/persons/{old}/protected", json={"health": ["unwell"]})
    assert (await api.editor.put(f"/v1/persons/{old}/not-same/{other}")).status_code == 204
    merged = await api.editor.post(f"/v1/persons/{old}/merge", json={"into": new}, headers={"If-Match": "*"})
    assert merged.status_code == 200, merged.text
    start = (await api.partner.get("/v1/snapshot")).text.splitlines()[0]
    confirmed = await api.partner.post("/v1/changes/ack", json={"cursor": json.loads(start)["cursor"]})
    assert confirmed.status_code == 204, confirmed.text
    erased = (await make(api.editor, "persons"))["id"]
    await api.guardian.post(f"/v1/persons/{erased}/erase", json={"reason": "error"})
    await anext(serving, None)
    connection = await asyncpg.connect(site.url)
    await connection.execute("INSERT INTO key_usage SELECT id, now(), 1 FROM keys LIMIT 1")
    await connection.execute("INSERT INTO pulls VALUES ('peer', 'all', 'cursor')")
    await connection.execute("INSERT INTO pulled VALUES ('peer', gen_random_uuid(), 'person', gen_random_uuid(), 1)")
    await connection.execute(
        "INSERT INTO intake VALUES ('x', sha256(''), 'person', gen_random_uuid(), gen_random_uuid(), 1, '{}', 1)"
    )
    await connection.execute(
        "INSERT INTO proposals (kind, record_type, record_id, source, origin, fields) "
        "SELECT 'edit', record_type, id, 'x', 'x', '{}' FROM tombstones WHERE erased_for IS NULL LIMIT 1"
    )
    await connection.execute("INSERT INTO made VALUES (1, 'person', '{}', '{}')")  # of another transaction
    yield connection
    await connection.close()


async def _tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "ORDER BY 1"
    )
    return [r[0] for r in rows]


async def _first_failure(connection: asyncpg.Connection, tables: list[str]) -> str | None:
    """Return which guarantee fails first; None when all hold."""
    for table in tables:
        for probe in PROBES:
            async with undone(connection):
                try:
                    await probe(connection, table)
                except (AssertionError, asyncpg.PostgresError) as error:
                    return f"{probe.__name__}({table}): {str(error)[:200]}"
    return None


async def _survivors(connection: asyncpg.Connection, part: int | None) -> list[str]:
    tables = await _tables(connection)
    assert await _first_failure(connection, tables) is None, "or every mutant would seem to be noticed"
    mutants = await connection.fetch(MUTANTS, list(API))
    assert len(mutants) > 1000
    chosen = [m for n, m in enumerate(mutants) if part is None or n % PARTS == part]
    survivors = []
    for table, sql in chosen:
        async with undone(connection):
            await connection.execute(sql)
            # Where the mutant was made first; anywhere else only if nobody there noticed.
            near = [table] if table else tables[:1]
            failure = await _first_failure(connection, near) or await _first_failure(connection, tables)
        if failure is None:
            survivors.append(sql)
    return survivors


async def test_all_guarantees_hold(probed: asyncpg.Connection) -> None:
    assert await _first_failure(probed, await _tables(probed)) is None


async def test_no_mutant_of_this_days_part_survives(probed: asyncpg.Connection) -> None:
    assert await _survivors(probed, datetime.now(UTC).toordinal() % PARTS) == []


@pytest.mark.full
async def test_no_mutant_survives(probed: asyncpg.Connection) -> None:
    assert await _survivors(probed, None) == []
