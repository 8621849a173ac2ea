"""A reference to somebody who was merged stands for who stayed, in every body, and tells of no hidden merge."""

import hashlib
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.exchange.console import ImportOptions, run_import
from tests.conftest import Api
from tests.factories import PUBLIC, make

pytestmark = pytest.mark.anyio

ABSENT = "00000000-0000-4000-8000-000000000000"


async def merged(api: Api, *, into_level: str = "public") -> tuple[dict[str, Any], dict[str, Any]]:
    """Merge a public person into one who was merged before into one of this level; return the first and the last."""
    hidden = {"level": into_level, "publication_ground": None if into_level != "public" else "public_record"}
    old, between, last = [await make(api.editor, "persons") for _ in range(2)] + [
        await make(api.editor, "persons", **hidden)
    ]
    for one, other in ((old, between), (between, last)):
        url = f"/v1/persons/{one['id']}/merge"
        answer = await api.editor.post(url, json={"into": other["id"]}, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text
    return old, last


def victim(ref: Any) -> dict[str, Any]:
    return {"type": "detention", "participants": [{"person": ref, "role": "victim"}]}


def forms(old: dict[str, Any]) -> list[Any]:
    return [
        old["id"],
        {"id": old["id"], "label": "as answered"},
        {"origin": old["origin"], "origin_id": old["origin_id"]},
    ]


async def test_posted_put_and_patched_references_are_followed(api: Api) -> None:
    old, last = await merged(api)
    for form in forms(old):
        event = await make(api.editor, "events", participants=[{"person": form, "role": "victim"}])
        assert event["participants"][0]["person"]["id"] == last["id"]
        case = await make(api.editor, "cases", judges=[form])
        assert [j["id"] for j in case["judges"]] == [last["id"]]
        status = await make(api.editor, "statuses", person=form)
        assert status["person"]["id"] == last["id"]
    body = {**PUBLIC, **victim(old["id"])}
    url = f"/v1/events/{event['id']}"
    for answer in (
        await api.editor.put(url, json=body, headers={"If-Match": "*"}),
        await api.editor.patch(url, json={"participants": body["participants"]}, headers={"If-Match": "*"}),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.json()["participants"][0]["person"]["id"] == last["id"]


async def test_references_in_bulk_are_followed(api: Api) -> None:
    old, last = await merged(api)
    for client, asked in ((api.editor, api.editor), (api.partner, api.editor)):
        rows = [{"type": "event", "origin_id": f"event-{n}", "data": victim(f)} for n, f in enumerate(forms(old))]
        answer = (await client.post("/v1/bulk", json=rows)).json()
        assert answer["committed"] == 3, answer
        for result in answer["results"]:
            event = (await asked.get(f"/v1/events/{result['id']}")).json()
            assert event["participants"][0]["person"]["id"] == last["id"]


async def test_references_in_an_imported_file_are_followed(api: Api, tmp_path: Path) -> None:
    old, last = await merged(api)
    row = {"id": ABSENT, "origin": "elsewhere", "origin_id": "1", **victim({"id": old["id"]}), **PUBLIC}
    line = json.dumps(row) + "\n"
    end = {"end": True, "count": 1, "sha256": hashlib.sha256(line.encode()).hexdigest()}
    (tmp_path / "events.ndjson").write_text(line + json.dumps(end) + "\n")
    outcome = await run_import(api.site.url, api.site.settings(), tmp_path / "events.ndjson", ImportOptions("chronika"))
    assert (outcome.rejected, outcome.created) == (0, {"events": 1})
    found = (await api.editor.get("/v1/events")).json()["items"]
    assert [p["person"]["id"] for e in found for p in e["participants"]] == [last["id"]]


async def test_relatives_and_further_merges_are_followed(api: Api) -> None:
    old, last = await merged(api)
    mother = await make(api.editor, "persons")
    part = {"relatives": [{"person": old["id"], "relation": "son"}, {"person": ABSENT, "relation": "son"}]}
    answer = await api.guardian.put(f"/v1/persons/{mother['id']}/protected", json=part)
    assert [r["person"] for r in answer.json()["relatives"]] == [last["id"], ABSENT]
    match = {"If-Match": "*"}
    into_itself = await api.editor.post(f"/v1/persons/{last['id']}/merge", json={"into": old["id"]}, headers=match)
    assert into_itself.status_code == 422
    another = await make(api.editor, "persons")
    joined = await api.editor.post(f"/v1/persons/{another['id']}/merge", json={"into": old["id"]}, headers=match)
    assert (joined.status_code, joined.json()["id"]) == (200, last["id"])


async def test_a_hidden_merge_answers_like_an_unknown_id(api: Api, owner: asyncpg.Connection) -> None:
    old, last = await merged(api, into_level="restricted")
    unknown = {"id": ABSENT, "origin": "editor", "origin_id": "none"}
    for form, absent in zip(forms(old), forms(unknown), strict=True):
        answers = []
        for ref in (form, absent):
            row = {"type": "event", "origin_id": "1", "data": victim(ref)}
            answers.append((await api.partner.post("/v1/bulk", json=[row])).json())
        assert answers[0] == answers[1]
        assert answers[0]["results"][0]["errors"][0]["code"] == "unknown_reference"
    assert await owner.fetchval("SELECT count(*) FROM events") == 0
    # Who may see where it leads is led there, and what is written is hidden with it.
    event = await make(api.editor, "events", participants=[{"person": old["id"], "role": "victim"}])
    assert event["participants"][0]["person"]["id"] == last["id"]
    assert (await api.public.get(f"/v1/events/{event['id']}")).status_code == 404


async def test_who_was_deleted_after_a_merge_is_nobody(api: Api) -> None:
    old, last = await merged(api)
    deleted = await api.editor.delete(f"/v1/persons/{last['id']}", headers={"If-Match": "*"})
    assert deleted.status_code == 204
    for form in forms(old):
        answer = await api.editor.post("/v1/events", json=victim(form))
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_reference")


async def test_what_is_asked_for_by_an_old_id_is_found(api: Api) -> None:
    old, last = await merged(api)
    victims = [{"person": last["id"], "role": "victim"}]
    event = await make(api.editor, "events", participants=victims, date="2024-01-05")
    status = await make(api.editor, "statuses", person=last["id"])
    for written in (old["id"], old["id"].upper()):
        for url, found in ((f"/v1/events?person={written}", event), (f"/v1/statuses?person={written}", status)):
            items = (await api.public.get(url)).json()["items"]
            assert [i["id"] for i in items] == [found["id"]], url
        counted = (await api.public.get(f"/v1/statistics/events?by=month&person={written}")).json()
        assert counted["total"]["value"] == 1

    hidden, into = await merged(api, into_level="restricted")
    await make(api.editor, "events", participants=[{"person": into["id"], "role": "victim"}])
    assert (await api.public.get(f"/v1/events?person={hidden['id']}")).json()["items"] == []
    assert (await api.public.get("/v1/events?person=none")).json()["items"] == []
    assert len((await api.editor.get(f"/v1/events?person={hidden['id']}")).json()["items"]) == 1
