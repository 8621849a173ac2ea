"""Erasing a person: afterwards no table, version, kept answer or log holds a word of them, and none comes back."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.persons import erasures
from tests.conftest import Api
from tests.factories import PUBLIC, make

pytestmark = pytest.mark.anyio

WORD = "Erasmina"


async def everything(owner: asyncpg.Connection) -> str:
    """Return the text of every row of every table of the database."""
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    found = []
    for (table,) in tables:
        rows = await owner.fetch(f'SELECT t::text FROM "{table}" t')
        found += [f"{table}: {r[0]}" for r in rows]
        if table == "idempotency_keys":
            found += [bytes(r[0] or b"").decode() for r in await owner.fetch("SELECT answer FROM idempotency_keys")]
    return "\n".join(found)


async def _recorded(api: Api) -> dict[str, Any]:
    """Record a person with everything that can be known of them, in several versions."""
    body = {
        **PUBLIC,
        "names": [{"text": f"{WORD} Example"}],
        "summary": f"{WORD} writes.",
        "origin_id": f"person/{WORD}",
    }
    answer = await api.editor.post("/v1/persons", json=body, headers={"Idempotency-Key": "once"})
    person = answer.json()["id"]
    url = f"/v1/persons/{person}"
    await api.editor.patch(url, json={"summary": f"{WORD} wrote."}, headers={"If-Match": "*"})
    await api.guardian.put(f"{url}/protected", json={"health": [f"{WORD} is ill"]})
    other = (await make(api.editor, "persons"))["id"]
    relatives = [{"person": person, "relation": f"sister {WORD}"}, {"name": "Somebody Else", "relation": "aunt"}]
    await api.guardian.put(f"/v1/persons/{other}/protected", json={"relatives": relatives})
    tie = {"person": person, "role": "victim", "label": f"{WORD}, journalist"}
    event = {**PUBLIC, "type": "detention", "participants": [{**tie}, {"person": other, "role": "victim"}]}
    made = (await api.editor.post("/v1/events", json=event, headers={"Idempotency-Key": "twice"})).json()
    await api.editor.patch(f"/v1/events/{made['id']}", json={"confidence": "probable"}, headers={"If-Match": "*"})
    # Once named and no longer: only the version still says so.
    former = await make(api.editor, "events", participants=[tie])
    await api.editor.patch(f"/v1/events/{former['id']}", json={"participants": []}, headers={"If-Match": "*"})
    case = await make(
        api.editor,
        "cases",
        judges=[person],
        charges=[{"person": person, "status": "charged", "allegation": f"{WORD} is said to have written"}],
        sentences=[{"person": person, "outcome": "convicted", "note": f"{WORD} was ill"}],
    )
    status = await make(api.editor, "statuses", person=person, note=f"{WORD} is held")
    return {"person": person, "other": other, "event": made["id"], "case": case["id"], "status": status["id"]}


async def test_nothing_is_left_of_an_erased_person(api: Api, owner: asyncpg.Connection) -> None:
    made = await _recorded(api)
    person = made["person"]
    before = await everything(owner)
    assert all(f"{table}: " in before for table in ("persons", "changes", "persons_private", "idempotency_keys"))
    assert WORD in before
    url = f"/v1/persons/{person}"
    assert (await api.editor.post(f"{url}/erase", json={"reason": "request"})).status_code == 403
    assert (await api.guardian.post(f"{url}/erase", json={"reason": f"{WORD} asked"})).status_code == 422
    # A case that the person judged or was tried in, an event that counted them: people are told to read these again.
    erased = await api.guardian.post(f"{url}/erase", json={"reason": "request"})
    assert erased.status_code == 200, erased.text
    assert erased.json() == {
        "id": person,
        "reason": "request",
        "review": sorted([f"/v1/cases/{made['case']}", f"/v1/events/{made['event']}"]),
    }
    after = await everything(owner)
    assert WORD not in after
    holding = {line.partition(":")[0] for line in after.splitlines() if person in line}
    assert holding <= {"tombstones", "changes", "erasures", "protected_reads"}
    assert await owner.fetchval("SELECT count(*) FROM changes WHERE data::text LIKE $1", f"%{person}%") == 0
    assert "Somebody Else" in after, "others' protected parts keep the rest"


async def test_what_counted_an_erased_person_still_counts_one(api: Api) -> None:
    made = await _recorded(api)
    before = (await api.public.get(f"/v1/events/{made['event']}")).json()
    await api.guardian.post(f"/v1/persons/{made['person']}/erase", json={"reason": "safety"})
    event = (await api.public.get(f"/v1/events/{made['event']}")).json()
    assert [(p["person"] is None, p["count"], p["role"]) for p in event["participants"]] == [
        (True, 1, "victim"),
        (False, None, "victim"),
    ]
    assert event["version"] == before["version"] + 1, "who keeps a copy is told that it changed"
    case = (await api.public.get(f"/v1/cases/{made['case']}")).json()
    assert (case["judges"], case["charges"][0]["count"], case["sentences"][0]["count"]) == ([], 1, 1)


async def test_an_erased_person_is_gone_and_never_comes_back(api: Api, owner: asyncpg.Connection) -> None:
    made = await _recorded(api)
    url = f"/v1/persons/{made['person']}"
    whole = (await api.editor.get(url)).json()
    for _ in range(2):
        assert (await api.guardian.post(f"{url}/erase", json={"reason": "error"})).status_code == 200
    assert [(await c.get(url)).status_code for c in (api.public, api.partner, api.editor)] == [410] * 3
    assert (await api.public.get(f"/v1/statuses/{made['status']}")).status_code == 410
    assert (await api.editor.get(f"{url}/history")).status_code == 200
    again = await api.editor.put(url, json={k: v for k, v in whole.items() if k != "citations"})
    assert again.status_code == 410
    fresh = await api.editor.post("/v1/persons", json={**PUBLIC, "origin_id": f"person/{WORD}"})
    assert fresh.status_code == 410, "not under its origin's id either, which is kept as a hash alone"
    grave = await owner.fetchval("SELECT erased_for FROM tombstones WHERE id = $1", made["person"])
    assert grave == "error"
    # A hidden person's tombstone stays as hidden as the person was, and one who never was cannot be erased.
    hidden = (await make(api.editor, "persons", level="restricted"))["id"]
    await api.guardian.post(f"/v1/persons/{hidden}/erase", json={"reason": "error"})
    assert [(await c.get(f"/v1/persons/{hidden}")).status_code for c in (api.public, api.editor)] == [404, 410]
    nobody = "00000000-0000-4000-8000-000000000000"
    assert (await api.guardian.post(f"/v1/persons/{nobody}/erase", json={"reason": "error"})).status_code == 404


async def test_nothing_is_left_of_who_was_merged_judged_pulled_and_written_in_bulk(
    api: Api, owner: asyncpg.Connection
) -> None:
    """Merged persons are one: erasing the id that is no longer used erases what became of both."""
    row = {"type": "person", "origin_id": f"bulk/{WORD}", "data": {**PUBLIC, "names": [{"text": f"{WORD} Example"}]}}
    bulk = await api.editor.post("/v1/bulk", json=[row], headers={"Idempotency-Key": "bulk"})
    old = bulk.json()["results"][0]["id"]
    new, other, third = [(await make(api.editor, "persons"))["id"] for _ in range(3)]
    for person in (old, other):
        tie = {"person": person, "role": "victim", "label": f"{WORD}, journalist"}
        await make(api.editor, "events", participants=[tie])
        await make(api.editor, "statuses", person=person, note=f"{WORD} is held")
    await api.guardian.put(f"/v1/persons/{old}/protected", json={"health": [f"{WORD} is ill"]})
    # A third person's protected part names the first, and is kept by a merge of its own.
    relatives = [{"person": old, "relation": f"brother of {WORD}"}, {"name": "Somebody Else", "relation": "aunt"}]
    await api.guardian.put(f"/v1/persons/{third}/protected", json={"relatives": relatives})
    fourth = (await make(api.editor, "persons"))["id"]
    await owner.execute("INSERT INTO pulled VALUES ('peer', gen_random_uuid(), 'person', $1, 1)", old)
    assert (await api.editor.put(f"/v1/persons/{old}/not-same/{third}")).status_code == 204
    for gone, into in ((old, new), (new, other), (third, fourth)):
        url = f"/v1/persons/{gone}/merge"
        merged = await api.editor.post(url, json={"into": into}, headers={"If-Match": "*", "Idempotency-Key": gone})
        assert merged.status_code == 200, merged.text
    before = await everything(owner)
    tables = ("merges", "merges_private", "not_same", "pulled", "person_keys_public")
    assert all(f"{table}: " in before for table in tables)
    assert (await api.guardian.post(f"/v1/persons/{old}/erase", json={"reason": "request"})).status_code == 200
    after = await everything(owner)
    assert WORD.lower() not in after.lower()
    for person in (old, new, other):
        holding = {line.partition(":")[0] for line in after.splitlines() if person in line}
        assert holding <= {"tombstones", "changes", "erasures", "protected_reads"}, holding
        assert await owner.fetchval("SELECT count(*) FROM changes WHERE data::text LIKE $1", f"%{person}%") == 0
        for client in (api.public, api.editor):
            answer = await client.get(f"/v1/persons/{person}", follow_redirects=True)
            assert (answer.status_code, answer.url.path.rpartition("/")[2]) == (410, other)
    assert "Somebody Else" in after
    assert {str(r[0]) for r in await owner.fetch("SELECT person_id FROM erasures")} == {old, new, other}
    assert (await api.editor.delete(f"/v1/persons/{old}/merge")).status_code == 404
    # What its peer withdraws may come back under its id; who was erased may not, by no other way either.
    await owner.execute("INSERT INTO pulled VALUES ('peer', gen_random_uuid(), 'person', $1, 1)", other)
    await owner.execute("SELECT forget_withdrawn($1)", UUID(other))
    assert await owner.fetchval("SELECT erased_for FROM tombstones WHERE id = $1", other) == "request"
    assert WORD not in (await api.guardian.get("/v1/snapshot")).text
    assert (await api.guardian.get("/v1/persons", params={"q": WORD})).json()["items"] == []
    again = await api.editor.post("/v1/bulk", json=[row])
    assert [r["status"] for r in again.json()["results"]] == [410]


async def test_a_deleted_and_a_merged_person_can_be_erased_too(api: Api, owner: asyncpg.Connection) -> None:
    body = {"names": [{"text": f"{WORD} Example"}], "summary": f"{WORD} writes."}
    old, new = [(await make(api.editor, "persons", **body))["id"] for _ in range(2)]
    await api.editor.delete(f"/v1/persons/{old}", headers={"If-Match": "*"})
    await owner.execute("UPDATE tombstones SET merged_into = $1 WHERE id = $2", new, old)
    await api.editor.delete(f"/v1/persons/{new}", headers={"If-Match": "*"})
    assert WORD in await everything(owner)
    assert (await api.guardian.post(f"/v1/persons/{new}/erase", json={"reason": "request"})).status_code == 200
    assert WORD not in await everything(owner)


async def test_erasures_are_replayed_after_a_restore(api: Api, owner: asyncpg.Connection) -> None:
    """The list is written by one command and applied by another, to a database that does not know of it."""
    made = await _recorded(api)
    await api.guardian.post(f"/v1/persons/{made['person']}/erase", json={"reason": "request"})

    kept = "\n".join(await erasures.listed(api.site.url))
    assert made["person"] in kept
    # As after a restore of an older backup: the person is back and the list is empty.
    await owner.execute(
        "DELETE FROM tombstones; DELETE FROM erasures; DELETE FROM changes; DELETE FROM idempotency_keys"
    )
    back = await make(api.editor, "persons", summary=WORD)
    lines = [kept.replace(made["person"], back["id"]), "", kept]
    assert await erasures.replay(api.site.url, lines) == (1, 1)
    assert WORD not in await everything(owner)
    assert (await api.public.get(f"/v1/persons/{back['id']}")).status_code == 410
