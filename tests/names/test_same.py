"""Who may be the same person, judgements that they are not, merging and its undo."""

from typing import Any

import asyncpg
import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def person(api: Api, *names: str, **fields: Any) -> dict[str, Any]:
    return await make(api.editor, "persons", names=[{"text": n} for n in names], **fields)


async def similar(client: Any, record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answer = await client.get(f"/v1/persons/{record['id']}/similar")
    assert answer.status_code == 200, answer.text
    scores = [item["score"] for item in answer.json()["items"]]
    assert scores == sorted(scores, reverse=True)
    return {item["person"]["label"]: item for item in answer.json()["items"]}


async def merge(client: Any, old: dict[str, Any], into: dict[str, Any], match: str | None = None) -> Any:
    url = f"/v1/persons/{old['id']}/merge"
    return await client.post(url, json={"into": into["id"]}, headers={"If-Match": match or old["etag"]})


async def test_spellings_of_one_name_are_suggested_with_their_reasons(api: Api) -> None:
    own = await person(api, "Сяргей Ціханоўскі", born="1978-08-18")
    await person(api, "Siarhei Tikhanouski", born="1978-08-18")
    await person(api, "Sergey Tikhanovsky", born="1978")
    await person(api, "Сергей Леонидович Тихановский")
    await person(api, "S. Tsikhanouski", born="1951")
    await person(api, "Святлана Ціханоўская")
    await person(api, "Сяргей Дранько")
    found = await similar(api.public, own)
    assert list(found) == [
        "Siarhei Tikhanouski",
        "Sergey Tikhanovsky",
        "Сергей Леонидович Тихановский",
        "S. Tsikhanouski",
    ]
    first = found["Siarhei Tikhanouski"]
    assert [(r["kind"], r["says"]) for r in first["reasons"]] == [("names", "for"), ("born", "for")]
    assert found["S. Tsikhanouski"]["reasons"][-1]["says"] == "against"
    assert found["S. Tsikhanouski"]["score"] < 0.5


async def test_a_near_homonym_is_suggested_until_somebody_judged(api: Api) -> None:
    one, other = await person(api, "Храсько"), await person(api, "Краско")
    assert list(await similar(api.public, one)) == ["Краско"]
    url = f"/v1/persons/{one['id']}/not-same/{other['id']}"
    assert (await api.public.put(url)).status_code == 401
    assert (await api.partner.put(url)).status_code == 403
    for _ in range(2):
        assert (await api.editor.put(url)).status_code == 204
    for client in (api.public, api.editor):
        assert await similar(client, one) == {}
        assert await similar(client, other) == {}
    refused = await merge(api.editor, other, one)
    assert refused.status_code == 409
    back = f"/v1/persons/{other['id']}/not-same/{one['id']}"
    assert (await api.editor.delete(back)).status_code == 204
    assert (await api.editor.delete(back)).status_code == 404
    assert list(await similar(api.public, one)) == ["Краско"]
    assert (await api.editor.put(f"/v1/persons/{one['id']}/not-same/{one['id']}")).status_code == 422
    absent = "00000000-0000-4000-8000-000000000000"
    assert (await api.editor.put(f"/v1/persons/{one['id']}/not-same/{absent}")).status_code == 404


async def test_what_two_share_speaks_for_them(api: Api) -> None:
    one, other = await person(api, "Вера Ясень"), await person(api, "Вера Ясенка")
    place = await make(api.editor, "places")
    both = [{"person": p["id"], "role": "victim"} for p in (one, other)]
    assert (await similar(api.public, one))["Вера Ясенка"]["reasons"][1:] == []
    await make(api.editor, "events", participants=both, place=place["id"])
    statute = await make(api.editor, "statutes")
    charges = [{"person": p["id"], "statute": statute["key"], "status": "charged"} for p in (one, other)]
    await make(api.editor, "cases", charges=charges)
    reasons = (await similar(api.public, one))["Вера Ясенка"]["reasons"]
    assert {r["kind"] for r in reasons} == {"names", "event", "case", "place"}


async def test_similar_tells_nothing_of_the_hidden(api: Api) -> None:
    one = await make(api.editor, "persons", names=[{"text": "Вера Ясень"}, {"text": "Таўбін", "level": "restricted"}])
    await person(api, "Вера Ясень", level="restricted", publication_ground=None)
    await person(api, "Таўбін")
    assert await similar(api.public, one) == {}
    assert set(await similar(api.editor, one)) == {"Вера Ясень", "Таўбін"}
    hidden = await person(api, "Ян Гай", level="restricted", publication_ground=None)
    assert (await api.public.get(f"/v1/persons/{hidden['id']}/similar")).status_code == 404


async def whole(api: Api, resource: str, record_id: str) -> Any:
    answer = await api.editor.get(f"/v1/{resource}/{record_id}")
    assert answer.status_code == 200, answer.text
    return {k: v for k, v in answer.json().items() if k not in {"version", "updated_at", "created_at"}}


async def world(api: Api) -> tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]:
    """Make two records of one person, and all that can name the one."""
    source = await make(api.editor, "sources")
    organisation = await make(api.editor, "organisations")
    old = await person(
        api,
        "Вера Ясень",
        "Vera Yasen",
        born="1990",
        affiliations=[{"organisation": organisation["id"], "role": "editor"}],
        citations=[{"source": source["id"], "page": "3"}],
    )
    stays = await person(api, "Vera Jasień", sex="female", citations=[{"source": source["id"], "page": "5"}])
    statute = await make(api.editor, "statutes")
    event = await make(api.editor, "events", participants=[{"person": old["id"], "role": "victim"}])
    case = await make(
        api.editor,
        "cases",
        charges=[{"person": old["id"], "statute": statute["key"], "status": "charged"}],
        sentences=[{"person": old["id"], "outcome": "convicted", "components": [{"kind": "imprisonment", "years": 3}]}],
        judges=[old["id"]],
    )
    status = await make(api.editor, "statuses", person=old["id"])
    named = [("events", event["id"]), ("cases", case["id"]), ("statuses", status["id"])]
    return old, stays, named


async def test_a_merge_moves_everything_and_its_undo_brings_it_back(api: Api) -> None:
    old, stays, named = await world(api)
    old_private = {"health": ["asthma"], "minor_children": 1}
    await api.guardian.put(f"/v1/persons/{old['id']}/protected", json=old_private)
    await api.guardian.put(f"/v1/persons/{stays['id']}/protected", json={"health": ["cough"], "contacts": ["mail"]})
    records = [("persons", old["id"]), ("persons", stays["id"]), *named]
    before = [await whole(api, *r) for r in records]

    assert (await merge(api.partner, old, stays)).status_code == 403
    url = f"/v1/persons/{old['id']}/merge"
    assert (await api.editor.post(url, json={"into": stays["id"]})).status_code == 428
    assert (await merge(api.editor, old, stays, match='"99-x"')).status_code == 412
    assert (await merge(api.editor, old, old)).status_code == 422
    merged = await merge(api.editor, old, stays)
    assert merged.status_code == 200, merged.text
    assert merged.json()["id"] == stays["id"]
    assert [n["text"] for n in merged.json()["names"]] == ["Vera Jasień", "Вера Ясень", "Vera Yasen"]
    assert [c["page"] for c in merged.json()["citations"]] == ["5", "3"]
    assert merged.json()["affiliations"][0]["role"] == "editor"
    for resource, record_id in named:
        text = (await api.public.get(f"/v1/{resource}/{record_id}")).text
        assert stays["id"] in text, resource
        assert old["id"] not in text, resource
    protected = (await api.guardian.get(f"/v1/persons/{stays['id']}/protected")).json()
    assert (protected["health"], protected["contacts"], protected["minor_children"]) == (
        ["cough", "asthma"],
        ["mail"],
        1,
    )

    gone = await api.public.get(f"/v1/persons/{old['id']}")
    assert (gone.status_code, gone.headers["location"]) == (308, f"/v1/persons/{stays['id']}")
    search = (await api.public.get("/v1/persons", params={"q": "Vera Yasen"})).json()["items"]
    assert [r["id"] for r in search] == [stays["id"]]
    for kept in (old, stays):
        history = (await api.editor.get(f"/v1/persons/{kept['id']}/history")).json()["items"]
        assert len(history) == 2

    undone = await api.editor.delete(url)
    assert undone.status_code == 200, undone.text
    after = [await whole(api, *r) for r in records]
    assert after == before
    protected = (await api.guardian.get(f"/v1/persons/{old['id']}/protected")).json()
    assert (protected["health"], protected["minor_children"]) == (["asthma"], 1)
    protected = (await api.guardian.get(f"/v1/persons/{stays['id']}/protected")).json()
    assert (protected["health"], protected["contacts"]) == (["cough"], ["mail"])
    assert (await api.editor.delete(url)).status_code == 404
    public = await api.public.get(f"/v1/persons/{old['id']}")
    assert (public.status_code, public.json()["version"]) == (200, 3), "numbers go on, so no ETag comes twice"
    again = await merge(api.editor, old, stays, match=public.headers["etag"])
    assert again.status_code == 200, again.text


async def test_the_old_id_leads_on_whatever_is_asked_of_it(api: Api) -> None:
    old, stays, third = [await person(api, "Вера Ясень") for _ in range(3)]
    await merge(api.editor, old, stays)
    at, to = (f"/v1/persons/{p['id']}" for p in (old, stays))
    body = {"names": [{"text": "Вера Ясень"}]}
    match = {"If-Match": "*"}
    for answer, path in (
        (await api.public.get(at), ""),
        (await api.public.get(at.upper().replace("/V1/PERSONS", "/v1/persons")), ""),
        (await api.public.get(f"{at}?include=cases&lang=be"), "?include=cases&lang=be"),
        (await api.public.get(f"{at}/similar"), "/similar"),
        (await api.public.get(f"{at}/timeline"), "/timeline"),
        (await api.editor.put(at, json=body, headers=match), ""),
        (await api.editor.put(at, json=body, headers={"If-None-Match": "*"}), ""),
        (await api.editor.patch(at, json={"sex": "female"}, headers=match), ""),
        (await api.editor.delete(at, headers=match), ""),
        (await api.editor.put(f"{at}/not-same/{third['id']}"), f"/not-same/{third['id']}"),
        (await api.editor.post(f"{at}/merge", json={"into": third["id"]}, headers=match), "/merge"),
        (await api.guardian.get(f"{at}/protected"), "/protected"),
        (await api.guardian.put(f"{at}/protected", json={}), "/protected"),
    ):
        assert (answer.status_code, answer.headers.get("location")) == (308, to + path), answer.request
    followed = await api.editor.patch(at, json={"sex": "female"}, headers=match, follow_redirects=True)
    assert (followed.status_code, followed.json()["id"]) == (200, stays["id"])
    assert (await api.editor.get(f"{at}/history")).status_code == 200, "it keeps its own history"


async def test_what_was_listed_and_then_deleted_comes_back_with_the_undo(api: Api) -> None:
    old, stays, _ = await world(api)
    before = await whole(api, "persons", old["id"])
    merged = await merge(api.editor, old, stays)
    url = f"/v1/persons/{stays['id']}"
    cleared = {"names": merged.json()["names"][:1], "affiliations": [], "citations": []}
    answer = await api.editor.patch(url, json=cleared, headers={"If-Match": merged.headers["etag"]})
    assert answer.status_code == 200, answer.text
    undone = await api.editor.delete(f"/v1/persons/{old['id']}/merge")
    assert undone.status_code == 200, undone.text
    after = await whole(api, "persons", old["id"])
    assert after == before
    assert (await whole(api, "persons", stays["id"]))["citations"] == []
    found = (await api.public.get("/v1/persons", params={"q": "Вера Ясень"})).json()["items"]
    assert {r["id"] for r in found} == {old["id"], stays["id"]}


async def test_relatives_are_named_anew_by_a_merge_and_its_undo(api: Api, owner: asyncpg.Connection) -> None:
    old, stays, mother, brother = [await person(api, "Вера Ясень") for _ in range(4)]
    other = {"name": "Лявон", "relation": "son"}
    entry = {"person": old["id"], "relation": "daughter", "note": "the elder"}

    async def named(of: dict[str, Any]) -> list[str | None]:
        part = (await api.guardian.get(f"/v1/persons/{of['id']}/protected")).json()
        return [r["person"] for r in part["relatives"]]

    for whose in (mother, brother):
        await api.guardian.put(f"/v1/persons/{whose['id']}/protected", json={"relatives": [other, entry]})
    assert (await merge(api.editor, old, stays)).status_code == 200
    assert await named(mother) == [None, stays["id"]]
    kept = "SELECT relatives::text FROM merges_private"
    await api.editor.delete(f"/v1/persons/{brother['id']}", headers={"If-Match": "*"})
    assert brother["id"] not in await owner.fetchval(kept), "what is kept does not tell of who was deleted"
    assert mother["id"] in await owner.fetchval(kept)
    assert (await api.editor.delete(f"/v1/persons/{old['id']}/merge")).status_code == 200
    assert await named(mother) == [None, old["id"]]


async def test_merges_are_undone_from_the_last(api: Api) -> None:
    one, two, three = [await person(api, "Вера Ясень") for _ in range(3)]
    assert (await merge(api.editor, one, two)).status_code == 200
    assert (await merge(api.editor, two, three, match="*")).status_code == 200
    assert (await api.editor.delete(f"/v1/persons/{one['id']}/merge")).status_code == 409
    assert (await api.editor.delete(f"/v1/persons/{two['id']}/merge")).status_code == 200
    assert (await api.editor.delete(f"/v1/persons/{one['id']}/merge")).status_code == 200
    for record in (one, two, three):
        assert len((await api.public.get(f"/v1/persons/{record['id']}")).json()["names"]) == 1


async def test_a_merge_never_publishes_what_is_hidden(api: Api) -> None:
    hidden = await person(api, "Вера Ясень", level="restricted", publication_ground=None)
    shown = await person(api, "Вера Ясень")
    event = await make(api.editor, "events", participants=[{"person": hidden["id"], "role": "victim"}])
    assert (await api.public.get(f"/v1/events/{event['id']}")).status_code == 404
    assert (await merge(api.editor, hidden, shown)).status_code == 409
    assert (await api.public.get(f"/v1/events/{event['id']}")).status_code == 404
    assert (await api.editor.get(f"/v1/persons/{hidden['id']}")).status_code == 200, "nothing of it was kept"

    # A hidden record of which nothing would be shown may go into a public one; the public is told of neither.
    quiet = await person(api, "Вера Ясень", level="restricted", publication_ground=None)
    before = await api.public.get(f"/v1/persons/{shown['id']}")
    assert (await merge(api.editor, quiet, shown)).status_code == 200
    after = await api.public.get(f"/v1/persons/{shown['id']}")
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
    assert (await api.public.get(f"/v1/persons/{quiet['id']}")).status_code == 404
    assert (await api.editor.get(f"/v1/persons/{quiet['id']}")).status_code == 308

    # A public one may go into a hidden one, and is then gone for the public, without a word of where to.
    public = await person(api, "Лявон Гай")
    secret = await person(api, "Лявон Гай", level="restricted", publication_ground=None)
    assert (await merge(api.editor, public, secret)).status_code == 200
    assert (await api.public.get(f"/v1/persons/{public['id']}")).status_code in {404, 410}
    assert (await api.editor.get(f"/v1/persons/{public['id']}")).status_code == 308


async def test_a_merge_into_nobody_is_refused(api: Api) -> None:
    one, gone = await person(api, "Вера Ясень"), await person(api, "Вера Ясень")
    await api.editor.delete(f"/v1/persons/{gone['id']}", headers={"If-Match": "*"})
    assert (await merge(api.editor, one, gone)).status_code == 422
    assert (await merge(api.editor, gone, one, match="*")).status_code == 410
    assert (await api.editor.delete(f"/v1/persons/{gone['id']}/merge")).status_code == 404


async def test_a_deletion_takes_what_its_merges_kept(api: Api, owner: asyncpg.Connection) -> None:
    one, two, three = [await person(api, "Вера Ясень") for _ in range(3)]
    await api.guardian.put(f"/v1/persons/{one['id']}/protected", json={"health": ["asthma"]})
    await merge(api.editor, one, two)
    await merge(api.editor, two, three, match="*")
    ids = [one["id"], two["id"]]
    assert await owner.fetchval("SELECT count(*) FROM merges WHERE old_id = ANY($1::uuid[])", ids) == 2
    kept = "SELECT count(*) FROM merges_private p JOIN merges m ON m.id = p.merge_id WHERE m.old_id = ANY($1::uuid[])"
    assert await owner.fetchval(kept, ids) == 2
    deleted = await api.editor.delete(f"/v1/persons/{three['id']}", headers={"If-Match": "*"})
    assert deleted.status_code == 204
    assert await owner.fetchval("SELECT count(*) FROM merges WHERE old_id = ANY($1::uuid[])", ids) == 0
    assert await owner.fetchval(kept, ids) == 0
