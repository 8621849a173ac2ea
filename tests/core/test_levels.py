"""Levels: who sees which record and which part, what hides what, and that hiding and showing leave no trace."""

from typing import Any

import httpx
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

RESOURCES = sorted(MINIMAL)
HIDDEN = {"level": "restricted", "publication_ground": None}
PARTNER = {"level": "partner", "publication_ground": None}


async def status(client: httpx.AsyncClient, resource: str, record: dict[str, Any]) -> int:
    return (await client.get(f"/v1/{resource}/{record['id']}")).status_code


async def change(api: Api, resource: str, record: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = await api.editor.patch(f"/v1/{resource}/{record['id']}", json=fields, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def publish(api: Api, resource: str, record: dict[str, Any]) -> None:
    await change(api, resource, record, **PUBLIC)


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_record_is_restricted_unless_said(api: Api, resource: str) -> None:
    body = dict(MINIMAL[resource])
    if resource == "statuses":
        body["person"] = (await make(api.editor, "persons"))["id"]
    made = (await api.editor.post(f"/v1/{resource}", json=body)).json()
    assert made["level"] == "restricted"
    for client, code in ((api.public, 404), (api.partner, 404), (api.editor, 200), (api.guardian, 200)):
        assert await status(client, resource, made) == code
    ungrounded = await api.editor.post(f"/v1/{resource}", json={**body, "level": "public"})
    assert (ungrounded.status_code, "publication_ground" in ungrounded.text) == (422, True)
    step = await change(api, resource, made, level="partner")
    for client, code in ((api.public, 404), (api.partner, 200)):
        assert await status(client, resource, step) == code
    await publish(api, resource, made)
    assert await status(api.public, resource, made) == 200


async def test_partners_see_their_level_in_lists_and_counts(api: Api) -> None:
    levels: list[dict[str, Any]] = [PUBLIC, PARTNER, HIDDEN]
    for n, level in enumerate(levels, 1):
        await make(api.editor, "events", description=f"number {n}", **level)
    for client, seen in ((api.public, 1), (api.partner, 2), (api.editor, 3), (api.guardian, 3)):
        listed = (await client.get("/v1/events?count=exact")).json()
        assert (len(listed["items"]), listed["count"]) == (seen, seen)
        assert (await client.get("/v1/status")).json()["records"]["events"] == seen
        assert len((await client.get("/v1/events?q=number")).json()["items"]) == seen


async def test_an_event_of_a_hidden_person_is_hidden_and_comes_back(api: Api) -> None:
    person = await make(api.editor, "persons", **HIDDEN)
    event = await make(api.editor, "events", participants=[{"person": person["id"], "role": "victim"}])
    assert (event["level"], event["effective_level"]) == ("public", "restricted")
    assert await status(api.public, "events", event) == 404
    await publish(api, "persons", person)
    assert await status(api.public, "events", event) == 200
    await change(api, "persons", person, **PARTNER)
    assert (await status(api.public, "events", event), await status(api.partner, "events", event)) == (404, 200)
    await change(api, "events", event, participants=[])
    assert await status(api.public, "events", event) == 200, "without the tie nothing holds it back"


async def test_what_hides_what(api: Api) -> None:
    """A record is never more visible than the records that it names."""
    hiding = {
        r: await make(api.editor, r, **HIDDEN) for r in ("places", "organisations", "persons", "cases", "statutes")
    }
    place, organisation, person, case, statute = hiding.values()
    child = await make(api.editor, "places", kind="city", parent=place["id"])
    named: list[tuple[str, dict[str, Any]]] = [
        ("places", {"kind": "city", "parent": child["id"]}),
        ("organisations", {"place": place["id"]}),
        ("sources", {"publisher": organisation["id"]}),
        ("cases", {"court": organisation["id"]}),
        ("cases", {"parent": case["id"]}),
        ("cases", {"judges": [person["id"]]}),
        ("cases", {"charges": [{"person": person["id"], "status": "charged"}]}),
        ("cases", {"charges": [{"statute": statute["id"], "status": "charged", "count": 3}]}),
        ("cases", {"sentences": [{"person": person["id"], "outcome": "convicted"}]}),
        ("events", {"place": child["id"]}),
        ("events", {"facility": organisation["id"]}),
        ("events", {"case": case["id"]}),
        ("events", {"statutes": [statute["id"]]}),
        ("events", {"participants": [{"organisation": organisation["id"], "role": "witness"}]}),
        ("statuses", {"person": person["id"]}),
        ("statuses", {"organisation": organisation["id"]}),
        ("figures", {"originator": organisation["id"]}),
    ]
    made = [(resource, await make(api.editor, resource, **fields)) for resource, fields in named]
    seen = [f"{r} {named[n][1]}" for n, (r, record) in enumerate(made) if await status(api.public, r, record) != 404]
    assert seen == []
    for resource, record in hiding.items():
        await publish(api, resource, record)
    hidden = [f"{r} {named[n][1]}" for n, (r, record) in enumerate(made) if await status(api.public, r, record) != 200]
    assert hidden == []


async def test_hidden_parts_are_absent_and_move_nothing_that_the_public_reads(api: Api) -> None:
    source = await make(api.editor, "sources", **HIDDEN)
    person = await make(api.editor, "persons")
    url = f"/v1/persons/{person['id']}"
    before = await api.public.get(url)
    mine = await change(
        api,
        "persons",
        person,
        names=[{"text": "Vera Example"}, {"text": "Her cover name", "level": "restricted"}],
        citations=[{"source": source["id"], "page": "3"}],
    )
    assert (len(mine["names"]), len(mine["citations"]), mine["version"]) == (2, 1, 2)
    after = await api.public.get(url)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
    assert (await api.public.get(url, headers={"If-None-Match": before.headers["etag"]})).status_code == 304
    assert (await api.public.get("/v1/persons?q=cover")).json()["items"] == []
    assert len((await api.editor.get("/v1/persons?q=cover")).json()["items"]) == 1
    assert (await api.public.get(f"/v1/persons?source={source['id']}")).json()["items"] == []
    await publish(api, "sources", source)
    shown = (await api.public.get(url)).json()
    assert ([c["page"] for c in shown["citations"]], shown["version"]) == (["3"], 2)


async def test_the_label_is_the_first_name_that_the_caller_may_see(api: Api) -> None:
    names = [{"text": "Real name", "level": "restricted"}, {"text": "Public name"}]
    person = await make(api.editor, "persons", names=names)
    event = await make(api.editor, "events", participants=[{"person": person["id"], "role": "victim"}])
    for client, label in ((api.public, "Public name"), (api.editor, "Real name")):
        answer = (await client.get(f"/v1/events/{event['id']}")).json()
        assert answer["participants"][0]["person"]["label"] == label


async def test_a_tie_that_is_strict_itself_does_not_hide_the_event(api: Api) -> None:
    person = await make(api.editor, "persons", **HIDDEN)
    parts = [{"count": 2, "role": "victim"}, {"person": person["id"], "role": "witness", "level": "restricted"}]
    event = await make(api.editor, "events", participants=parts)
    shown = (await api.public.get(f"/v1/events/{event['id']}")).json()
    assert ([p["role"] for p in shown["participants"]], shown["version"]) == (["victim"], 1)
    assert (await api.public.get("/v1/events?role=witness")).json()["items"] == []
    mine = (await api.editor.get(f"/v1/events/{event['id']}")).json()
    assert [p["level"] for p in mine["participants"]] == ["public", "restricted"]


async def test_a_part_cannot_be_more_visible_than_its_record(api: Api) -> None:
    person = await make(api.editor, "persons", names=[{"text": "Ivan", "level": "public"}], **HIDDEN)
    assert await status(api.public, "persons", person) == 404
    listed = await api.public.get("/v1/persons?q=ivan")
    assert listed.json()["items"] == []


async def test_deletion_shows_only_to_those_who_could_see(api: Api) -> None:
    levels: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
        (PUBLIC, (410, 410, 410)),
        (PARTNER, (404, 410, 410)),
        (HIDDEN, (404, 404, 410)),
    ]
    for level, expected in levels:
        record = await make(api.editor, "events", **level)
        gone = await api.editor.delete(f"/v1/events/{record['id']}", headers={"If-Match": "*"})
        assert gone.status_code == 204
        assert tuple([await status(c, "events", record) for c in (api.public, api.partner, api.editor)]) == expected


async def test_the_hidden_answers_as_the_absent(api: Api) -> None:
    hidden = await make(api.editor, "persons", **HIDDEN)
    absent = "0f3c2b6e-0000-4000-8000-000000000000"
    answers = []
    for record_id in (hidden["id"], absent):
        for path in (f"/v1/persons/{record_id}", f"/v1/events?person={record_id}", f"/v1/persons/{record_id}/history"):
            answer = await api.public.get(path, headers={"X-Request-Id": "sameforeach"})
            body = answer.content.replace(record_id.encode(), b"")
            headers = [(k, v) for k, v in answer.headers.items() if k != "etag" or answer.status_code == 200]
            answers.append((answer.status_code, body, headers))
    assert answers[:3] == answers[3:]


async def test_only_editors_see_the_intake(api: Api) -> None:
    record = await make(api.editor, "events")
    intake = {"created_at", "updated_at", "effective_level"}
    for client, shown in ((api.public, set()), (api.partner, set()), (api.editor, intake), (api.guardian, intake)):
        assert intake & (await client.get(f"/v1/events/{record['id']}")).json().keys() == shown
