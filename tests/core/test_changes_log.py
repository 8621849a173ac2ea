"""The change log: one closed row for each change of a record, none for what changes nothing; and the protected part."""

import json
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

RESOURCES = sorted(MINIMAL)


async def log(owner: asyncpg.Connection, record_id: str) -> list[dict[str, Any]]:
    """Return the change rows of a record, oldest first."""
    rows = await owner.fetch("SELECT * FROM changes WHERE record_id = $1 ORDER BY id", record_id)
    return [{**row, "data": json.loads(row["data"]) if row["data"] else None} for row in rows]


def operations(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    assert all(row["closed"] for row in rows)
    return [(row["op"], row["version"]) for row in rows]


async def patch(api: Api, resource: str, record_id: str, **fields: Any) -> httpx.Response:
    return await api.editor.patch(f"/v1/{resource}/{record_id}", json=fields, headers={"If-Match": "*"})


@pytest.mark.parametrize("resource", RESOURCES)
async def test_each_write_is_one_change(api: Api, owner: asyncpg.Connection, resource: str) -> None:
    made = await make(api.editor, resource)
    url, record_id = f"/v1/{resource}/{made['id']}", made["id"]
    assert operations(await log(owner, record_id)) == [("insert", 1)]
    whole = (await api.editor.get(url)).json()
    for _ in range(2):  # sending back what is there changes nothing, however often
        assert (await api.editor.put(url, json=whole, headers={"If-Match": "*"})).json()["version"] == 1
    assert (await patch(api, resource, record_id)).json()["version"] == 1
    assert operations(await log(owner, record_id)) == [("insert", 1)]
    whole["confidence"] = "probable"
    assert (await api.editor.put(url, json=whole, headers={"If-Match": "*"})).json()["version"] == 2
    assert (await patch(api, resource, record_id, confidence=None)).json()["version"] == 3
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 204
    rows = await log(owner, record_id)
    assert operations(rows) == [("insert", 1), ("update", 2), ("update", 3), ("delete", 4)]
    assert [r["data"]["confidence"] if r["data"] else "none" for r in rows] == [None, "probable", None, "none"]
    assert [(r["level_before"], r["level_after"]) for r in rows] == [(None, 0), (0, 0), (0, 0), (0, None)]
    assert {(r["record_type"], r["actor"], r["origin"]) for r in rows} == {(rows[0]["record_type"], "editor", "editor")}


async def test_a_document_holds_all_of_the_record(api: Api, owner: asyncpg.Connection) -> None:
    person = await make(api.editor, "persons")
    source = await make(api.editor, "sources")
    parts = [{"kind": "fine", "amount": "5", "unit": "base_value"}, {"kind": "imprisonment", "years": 2}]
    case = await make(
        api.editor,
        "cases",
        judges=[person["id"]],
        charges=[{"person": person["id"], "status": "charged"}],
        sentences=[{"person": person["id"], "outcome": "convicted", "components": parts}],
        citations=[{"source": source["id"], "quote": "two years", "level": "restricted"}],
    )
    (row,) = await log(owner, case["id"])
    document = row["data"]
    assert [c["person_id"] for c in document["charges"]] == [person["id"]]
    assert [j["person_id"] for j in document["case_judges"]] == [person["id"]]
    assert [c["kind"] for c in document["sentences"][0]["components"]] == ["fine", "imprisonment"]
    assert [(c["quote"], c["level"]) for c in document["citations"]] == [("two years", 2)]
    assert document["kind"] == "criminal"


async def test_a_nested_edit_is_one_change(api: Api, owner: asyncpg.Connection) -> None:
    sentences = [{"outcome": "convicted", "count": 1, "components": [{"kind": "imprisonment", "years": 2}]}]
    case = await make(api.editor, "cases", sentences=sentences)
    kept = case["sentences"]
    kept[0]["components"][0]["years"] = 3
    changed = (await patch(api, "cases", case["id"], sentences=kept)).json()
    assert (changed["version"], changed["sentences"][0]["components"][0]["years"]) == (2, 3)
    assert changed["sentences"][0]["id"] == case["sentences"][0]["id"], "a part keeps its id"
    more = [*changed["sentences"], {"outcome": "unknown", "count": 4}, {"outcome": "unknown", "count": 5}]
    assert (await patch(api, "cases", case["id"], sentences=more)).json()["version"] == 3
    assert (await patch(api, "cases", case["id"], sentences=[])).json()["version"] == 4
    assert operations(await log(owner, case["id"])) == [("insert", 1), ("update", 2), ("update", 3), ("update", 4)]


async def test_what_is_refused_leaves_no_change(api: Api, owner: asyncpg.Connection) -> None:
    event = await make(api.editor, "events")
    nowhere = "0f3c2b6e-0000-4000-8000-000000000000"
    for fields in ({"place": nowhere}, {"type": "no_such_type"}, {"participants": [{"role": "victim"}]}):
        assert (await patch(api, "events", event["id"], **fields)).status_code == 422
    stale = await api.editor.patch(f"/v1/events/{event['id']}", json={"number": "1"}, headers={"If-Match": '"9-x"'})
    assert stale.status_code == 412
    assert (await api.editor.post("/v1/events", json={**MINIMAL["events"], "place": nowhere})).status_code == 422
    place = await make(api.editor, "places")
    assert (await patch(api, "events", event["id"], place=place["id"])).status_code == 200
    refused = await api.editor.delete(f"/v1/places/{place['id']}", headers={"If-Match": "*"})
    assert refused.status_code == 409, "others refer to it"
    assert operations(await log(owner, event["id"])) == [("insert", 1), ("update", 2)]
    assert operations(await log(owner, place["id"])) == [("insert", 1)]
    assert await owner.fetchval("SELECT count(*) FROM changes") == 3


async def test_hiding_a_person_logs_each_record_that_it_hides(api: Api, owner: asyncpg.Connection) -> None:
    person = await make(api.editor, "persons")
    event = await make(api.editor, "events", participants=[{"person": person["id"], "role": "victim"}])
    await patch(api, "persons", person["id"], level="restricted", publication_ground=None)
    rows = await log(owner, event["id"])
    assert operations(rows) == [("insert", 1), ("update", 2)]
    assert (rows[1]["level_before"], rows[1]["level_after"]) == (0, 2)


async def test_history_says_who_when_and_what(api: Api) -> None:
    event = await make(api.editor, "events")
    url = f"/v1/events/{event['id']}"
    changed = {"number": "17", "citations": [{"source": (await make(api.editor, "sources"))["id"]}]}
    await patch(api, "events", event["id"], **changed)
    await api.guardian.delete(url, headers={"If-Match": "*"})
    history = (await api.editor.get(f"{url}/history")).json()["items"]
    told = [(h["version"], h["operation"], h["by"], h["level"]) for h in history]
    assert told == [
        (3, "delete", "guardian", None),
        (2, "update", "editor", "public"),
        (1, "insert", "editor", "public"),
    ]
    assert history[1]["changed"] == ["citations", "number"]
    assert {"type", "level", "origin"} <= set(history[2]["changed"])
    assert [h["at"] for h in history] == sorted((h["at"] for h in history), reverse=True)
    for client, code in ((api.public, 401), (api.partner, 403)):
        assert (await client.get(f"{url}/history")).status_code == code
    other = await make(api.editor, "persons")
    assert (await api.editor.get(f"/v1/events/{other['id']}/history")).status_code == 404, "a person is no event"


async def test_numbers_of_the_public_count_only_what_the_public_sees(api: Api) -> None:
    event = await make(api.editor, "events", level="restricted", publication_ground=None)
    for number in ("1", "2", "3"):
        await patch(api, "events", event["id"], number=number)
    await patch(api, "events", event["id"], **PUBLIC)
    versions = {}
    for name, client in (("public", api.public), ("partner", api.partner), ("editor", api.editor)):
        versions[name] = (await client.get(f"/v1/events/{event['id']}")).json()["version"]
    assert versions == {"public": 1, "partner": 1, "editor": 5}


CANARY = "canary-5d1f0c7be2"


async def test_the_protected_part_is_for_guardians_and_each_reading_is_recorded(
    api: Api, owner: asyncpg.Connection
) -> None:
    person = await make(api.editor, "persons")
    url = f"/v1/persons/{person['id']}/protected"
    content = {"relatives": [{"name": CANARY, "relation": "child", "minor": True}], "health": [CANARY], "aid": [CANARY]}
    for client, code in ((api.public, 401), (api.partner, 403), (api.editor, 403)):
        assert (await client.get(url)).status_code == code
        assert (await client.put(url, json=content)).status_code == code
    assert await owner.fetchval("SELECT count(*) FROM protected_reads") == 0
    empty = await api.guardian.get(url)
    assert (empty.status_code, empty.json()["relatives"], empty.json()["minor_children"]) == (200, [], None)
    assert (await api.guardian.put(url, json=content)).status_code == 200
    kept = await api.guardian.get(url)
    assert (kept.json()["health"], kept.headers["cache-control"]) == ([CANARY], "no-store")
    reads = await owner.fetch("SELECT actor, person_id::text FROM protected_reads")
    assert [tuple(r) for r in reads] == [("guardian", person["id"])] * 2
    misspelt = await api.guardian.put(url, json={"helth": []})
    assert (misspelt.status_code, CANARY in misspelt.text) == (422, False)
    nobody = "/v1/persons/0f3c2b6e-0000-4000-8000-000000000000/protected"
    assert (await api.guardian.get(nobody)).status_code == 404
    assert await owner.fetchval("SELECT count(*) FROM protected_reads") == 2


async def test_the_protected_part_is_nowhere_else(api: Api, owner: asyncpg.Connection) -> None:
    person = await make(api.editor, "persons")
    url = f"/v1/persons/{person['id']}"
    await api.guardian.put(f"{url}/protected", json={"note": CANARY})
    await patch(api, "persons", person["id"], summary="Somebody.")
    for path in (url, f"{url}/history", "/v1/persons", "/v1/persons?include=sources", f"/v1/persons?q={CANARY}"):
        answer = await api.guardian.get(path)
        assert (answer.status_code, CANARY in answer.text) == (200, False), path
    found = []
    for (table,) in await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        # Names of tables come from the catalogue itself.
        if await owner.fetchval(f"SELECT EXISTS (SELECT FROM {table} t WHERE t::text LIKE $1)", f"%{CANARY}%"):
            found.append(table)
    assert found == ["persons_private"]
    await api.editor.delete(url, headers={"If-Match": "*"})
    assert await owner.fetchval("SELECT count(*) FROM persons_private") == 0, "it goes with the person"
    assert (await api.guardian.get(f"{url}/protected")).status_code == 410


async def test_what_cancels_out_in_one_transaction_is_no_change(api: Api, owner: asyncpg.Connection) -> None:
    event = await make(api.editor, "events")
    for numbers in (("7", None), ("7", "8", None)):
        async with owner.transaction():
            for number in numbers:
                await owner.execute("UPDATE events SET number = $2 WHERE id = $1", event["id"], number)
    assert operations(await log(owner, event["id"])) == [("insert", 1)]
    assert (await api.public.get(f"/v1/events/{event['id']}")).json()["version"] == 1


async def test_a_new_record_begins_to_count_for_those_who_see_it(api: Api, owner: asyncpg.Connection) -> None:
    """Also where only the record's parts, which are written after it, tie it to somebody hidden."""
    for level, expected in (("public", [1, 1, 1]), ("partner", [1, 1, 0]), ("restricted", [1, 0, 0])):
        hidden = await make(api.editor, "persons", level=level)
        event = await make(api.editor, "events", participants=[{"person": hidden["id"], "role": "victim"}])
        (row,) = await log(owner, event["id"])
        kept = await owner.fetchrow("SELECT * FROM events WHERE id = $1", event["id"])
        assert kept is not None
        counted = [[said[f"version{who}"] for who in ("", "_partner", "_public")] for said in (row, dict(kept))]
        assert counted == [expected, expected], level
        seen = [row[f"had_{who}"] for who in ("partner", "public")]
        assert seen == [False if count else None for count in expected[1:]], "nobody saw it before"
        assert (row["level_before"], row["level_after"]) == (None, kept["effective_level"])


async def _within(owner: asyncpg.Connection, sql: str, *arguments: object) -> None:
    """Run a statement in a savepoint of its own."""
    async with owner.transaction():
        await owner.execute(sql, *arguments)


async def test_what_is_made_and_changed_in_one_transaction_is_one_change(owner: asyncpg.Connection) -> None:
    new = "INSERT INTO events (origin, origin_id, type) VALUES ('x', $1, 'raid') RETURNING id"
    async with owner.transaction():
        kept, gone = [await owner.fetchval(new, name) for name in ("kept", "gone")]
        await owner.execute("UPDATE events SET number = '7' WHERE id = $1", kept)
        await owner.execute("INSERT INTO participants (event_id, role, count) VALUES ($1, 'victim', 3)", kept)
        await owner.execute("DELETE FROM events WHERE id = $1", gone)
        twice = f"{new.partition(' RETURNING')[0]}, ('x', $1, 'raid')"
        with pytest.raises(asyncpg.UniqueViolationError):
            await _within(owner, twice, "undone")
        await owner.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        await owner.execute("UPDATE events SET number = '8' WHERE id = $1", kept)
    first, second = await log(owner, kept)
    assert operations([first, second]) == [("insert", 1), ("update", 2)], "what came after the closing is another"
    assert (first["data"]["number"], second["data"]["number"]) == ("7", "8")
    assert [p["count"] for p in first["data"]["participants"]] == [3]
    assert await log(owner, gone) == []
    assert await owner.fetchval("SELECT count(*) FROM made") == 0
