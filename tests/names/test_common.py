"""A name that very many people have: pages stop when they are full, and still miss nobody."""

import time
from typing import Any

import asyncpg
import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

MANY = 40_000
# Names are long here, so that the tables have the size of several times as many.
FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO persons (id, origin, origin_id, level, effective_level, publication_ground, sex)
SELECT gen_random_uuid(), 'many', n, 0, 0, 'public_record', CASE n % 1000 WHEN 0 THEN 'female' END
  FROM generate_series(1, {many}) AS n;
INSERT INTO person_names (person_id, text, folded, kind, level, effective_level)
SELECT id, 'Сяргей ' || origin_id, 'sargai n' || origin_id || repeat('a', 600), 'primary', 0, 0
  FROM persons WHERE origin = 'many';
INSERT INTO person_keys (level, record_id, folded, words)
SELECT 0, person_id, folded, name_tokens(folded, folded) FROM person_names WHERE folded LIKE 'sargai n%';
"""


async def _page(client: Any, url: str) -> dict[str, Any]:
    answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_name_that_very_many_have_is_answered_page_by_page(api: Api, owner: asyncpg.Connection) -> None:
    async with owner.transaction():
        await owner.execute(FILL.format(many=MANY))
    alone = [await make(api.editor, "persons", names=[{"text": "Сергей"}]) for _ in range(3)]
    assert await owner.fetchval("SELECT is_common('person_keys_public', 'sargai')"), "the test is of the common way"
    seen: list[str] = []
    url = "/v1/persons?q=Siarhei&limit=200&fields=id"
    began = time.monotonic()
    for _ in range(5):
        body = await _page(api.public, url)
        seen += [item["id"] for item in body["items"]]
        url = body["next"]
    assert time.monotonic() - began < 5
    assert set(seen[:3]) == {p["id"] for p in alone}, "who is recorded by that word alone comes first"
    assert len(set(seen)) == 1000
    assert seen[3:] == sorted(seen[3:])
    first = await owner.fetch("SELECT id::text FROM persons WHERE origin = 'many' ORDER BY id LIMIT 997")
    assert seen[3:] == [r[0] for r in first], "nobody is left out"

    counted = await _page(api.public, "/v1/persons?q=Siarhei&limit=1&count=exact&fields=id")
    assert counted["count"] == MANY + 3
    women = await _page(api.public, "/v1/persons?q=Siarhei&sex=female&limit=200&count=exact&fields=id")
    assert (women["count"], len(women["items"])) == (MANY // 1000, MANY // 1000)


@pytest.mark.usefixtures("api")
async def test_one_person_of_many_spellings_has_no_common_name(owner: asyncpg.Connection) -> None:
    async with owner.transaction():
        await owner.execute(FILL.format(many=MANY))
        await owner.execute("""
            WITH first AS (SELECT id FROM persons WHERE origin = 'many' ORDER BY id LIMIT 2)
            INSERT INTO person_keys (level, record_id, folded, words)
            SELECT 0, id, 'v' || n, 'tikan sartlana'::tsvector FROM first, generate_series(1, 12) AS n
        """)
    for question in ("tikan", "tikan & sartlana", "tikan:*"):
        assert not await owner.fetchval("SELECT is_common('person_keys_public', $1)", question), question


async def test_of_very_many_namesakes_those_are_suggested_who_share_more(api: Api, owner: asyncpg.Connection) -> None:
    async with owner.transaction():
        await owner.execute(FILL.format(many=MANY))
    asked = await owner.fetchval("SELECT common_among('person_keys_public', '{sargai,sargai:*,tikan,tikan:*}')")
    assert sorted(asked) == ["sargai", "sargai:*"], "the test is of the common way"
    own = await make(api.editor, "persons", names=[{"text": "Сяргей Ціхан"}], born="1978-08-18")
    slip = await make(api.editor, "persons", names=[{"text": "Сергей Тыхан"}])
    begun = await make(api.editor, "persons", names=[{"text": "С. Тихан"}])
    body = await _page(api.public, f"/v1/persons/{own['id']}/similar")
    assert {i["person"]["id"] for i in body["items"]} == {slip["id"], begun["id"]}

    alone = await make(api.editor, "persons", names=[{"text": "Сяргей"}], born="1978-08-18")
    twin = await make(api.editor, "persons", names=[{"text": "Siarhei"}], born="1978-08-18")
    began = time.monotonic()
    body = await _page(api.public, f"/v1/persons/{alone['id']}/similar")
    assert time.monotonic() - began < 5
    assert body["items"][0]["person"]["id"] == twin["id"]
