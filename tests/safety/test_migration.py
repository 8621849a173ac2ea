"""The safety migration goes back and forth without leaving anything behind."""

import asyncio

import asyncpg

from app.core import schema
from tests.conftest import SECRET, make_site

EVERYTHING = """
SELECT 'policy ' || polrelid::regclass || polname FROM pg_policy
UNION ALL SELECT 'trigger ' || tgrelid::regclass || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || p.oid::regprocedure || coalesce(proacl::text, '')
  FROM pg_proc p WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'relation ' || relname || coalesce(relacl::text, '')
  FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'column ' || attrelid::regclass || attname || coalesce(attacl::text, '') FROM pg_attribute a
  JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'check ' || conrelid::regclass || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'
ORDER BY 1
"""


async def _everything(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    found = [r[0] for r in await connection.fetch(EVERYTHING)]
    await connection.close()
    return found


def test_the_safety_migration_can_be_taken_back_and_made_again(server_url: str) -> None:
    site = make_site(server_url, "back_and_forth")
    before = asyncio.run(_everything(site.url))
    schema.downgrade(site.url, "0001")
    without = asyncio.run(_everything(site.url))
    assert not [x for x in without if "erase" in x or "spread_to" in x or "key_usage" in x]
    schema.upgrade(site.url, SECRET.encode())
    assert asyncio.run(_everything(site.url)) == before
    schema.check(site.url)
