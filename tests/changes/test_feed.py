"""The feed: what it gives, what it never gives, and how a cursor notices that it is no longer true."""

import asyncio
import json
import time
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from app.changes.pages import read_page
from app.core import keys
from app.core.records import Audience
from tests.changes.mirror import Mirror
from tests.conftest import Api
from tests.factories import PUBLIC, make

pytestmark = pytest.mark.anyio

RESTRICTED: dict[str, Any] = {"level": "restricted", "publication_ground": None}
PARTNERS: dict[str, Any] = {"level": "partner", "publication_ground": None}


async def patch(api: Api, record: dict[str, Any], /, resource: str = "persons", **fields: Any) -> httpx.Response:
    answer = await api.editor.patch(f"/v1/{resource}/{record['id']}", json=fields, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    return answer


async def mirrors(api: Api, **selection: Any) -> dict[str, Mirror]:
    found = {
        "public": Mirror(api.public, 0, **selection),
        "partner": Mirror(api.partner, 1, **selection),
        "editor": Mirror(api.editor, 2, **selection),
    }
    for mirror in found.values():
        await mirror.start()
    return found


async def test_each_audience_gets_its_own_form_of_a_record(api: Api) -> None:
    m = await mirrors(api)
    names = [{"text": "Shown"}, {"text": "For partners", "level": "partner"}, {"text": "Hidden", "level": "restricted"}]
    made = await make(api.editor, "persons", names=names)
    for role, shown in (("public", 1), ("partner", 2), ("editor", 3)):
        (item,) = await m[role].drain()
        assert (item["op"], item["type"], item["id"], item["seq"]) == ("upsert", "person", made["id"], 1)
        assert len(item["data"]["names"]) == shown
        assert item["data"] == (await m[role].client.get(f"/v1/persons/{made['id']}")).json()


async def test_numbers_pages_and_positions_tell_nothing_of_what_is_hidden(api: Api) -> None:
    seen = await make(api.editor, "persons")
    m = await mirrors(api)
    position = (await api.public.get("/v1/status")).json()["feed"]
    hidden = await make(api.editor, "persons", **RESTRICTED)
    await patch(api, hidden, summary="still hidden")
    hidden_name = [*seen["names"], {"text": "Hidden spelling", "level": "restricted"}]
    await patch(api, seen, names=hidden_name)
    await api.editor.delete(f"/v1/persons/{hidden['id']}", headers={"If-Match": "*"})
    for role in ("public", "partner"):
        before = m[role].cursor
        page = await m[role].page()
        assert (page["items"], page["has_more"], page["lag_s"]) == ([], False, 0)
        assert page["cursor"] == before
    assert (await api.public.get("/v1/status")).json()["feed"] == position
    assert len(await m["editor"].drain()) == 2
    await patch(api, seen, summary="for all")
    (item,) = await m["public"].drain()
    assert (item["seq"], item["version"]) == (2, 2)


async def test_a_withdrawn_record_is_removed_from_those_who_could_see_it_and_from_nobody_else(api: Api) -> None:
    m = await mirrors(api)
    a, b = await make(api.editor, "persons"), await make(api.editor, "persons", **PARTNERS)
    for mirror in m.values():
        await mirror.drain()
    await patch(api, a, **RESTRICTED)
    await patch(api, b, **RESTRICTED)
    (item,) = await m["public"].drain()
    assert item == {**item, "op": "remove", "id": a["id"], "reason": "withdrawn"}
    assert "data" not in item
    assert [i["id"] for i in await m["partner"].drain()] == [a["id"], b["id"]]
    assert {i["op"] for i in await m["editor"].drain()} == {"upsert"}
    assert m["public"].records == m["partner"].records == {}
    assert len(m["editor"].records) == 2


async def test_shown_and_hidden_again_on_one_page_is_a_removal_even_if_the_first_change_was_not_visible(
    api: Api,
) -> None:
    m = await mirrors(api)
    person = await make(api.editor, "persons", **RESTRICTED)
    await m["public"].drain()
    await patch(api, person, **PUBLIC)
    await m["public"].drain()
    await patch(api, person, **RESTRICTED)
    await patch(api, person, **PUBLIC)
    await patch(api, person, **RESTRICTED)
    (item,) = await m["public"].drain()
    assert item["op"] == "remove"
    assert m["public"].records == {}


async def test_deleted_and_withdrawn_are_told_apart_only_by_those_who_saw_the_deletion(api: Api) -> None:
    m = await mirrors(api)
    a, b = await make(api.editor, "persons"), await make(api.editor, "persons")
    for mirror in m.values():
        await mirror.drain()
    await patch(api, b, **PARTNERS)
    for record in (a, b):
        assert (await api.editor.delete(f"/v1/persons/{record['id']}", headers={"If-Match": "*"})).status_code == 204
    assert {i["id"]: i["reason"] for i in await m["public"].drain()} == {a["id"]: "deleted", b["id"]: "withdrawn"}
    assert {i["reason"] for i in await m["partner"].drain()} == {"deleted"}


async def test_a_merge_names_the_record_that_remains_unless_that_is_hidden(api: Api, owner: asyncpg.Connection) -> None:
    m = await mirrors(api)
    kept, gone = await make(api.editor, "persons", **PARTNERS), await make(api.editor, "persons")
    for mirror in m.values():
        await mirror.drain()
    async with owner.transaction():
        await owner.execute("DELETE FROM persons WHERE id = $1", gone["id"])
        await owner.execute("UPDATE tombstones SET merged_into = $1 WHERE id = $2", kept["id"], gone["id"])
    (item,) = await m["partner"].drain()
    assert item == {**item, "op": "merge", "id": gone["id"], "into": kept["id"]}
    (item,) = await m["public"].drain()
    # The tombstone is as hidden as what it leads to, so to the public the record has only gone out of sight.
    assert (item["op"], item["reason"]) == ("remove", "withdrawn")
    assert kept["id"] not in str(item)


async def test_only_the_last_entry_of_a_record_stands_on_a_page(api: Api) -> None:
    m = (await mirrors(api))["public"]
    first, second = await make(api.editor, "persons"), await make(api.editor, "persons")
    await patch(api, first, summary="one")
    await patch(api, first, summary="two")
    items = await m.drain()
    assert [(i["seq"], i["id"]) for i in items] == [(2, second["id"]), (4, first["id"])]
    assert items[1]["version"] == 3


async def test_types_and_an_excluded_origin_select_and_the_cursor_goes_to_the_head_all_the_same(api: Api) -> None:
    m = Mirror(api.public, 0, types=["case", "place"], exclude_origin="far")
    await m.start()
    await make(api.editor, "persons")
    case = await make(api.editor, "cases")
    await make(api.editor, "places", origin="far", origin_id="1")
    assert [i["id"] for i in await m.drain()] == [case["id"]]
    await make(api.editor, "persons")
    before = m.cursor
    page = await m.page()
    assert (page["items"], page["has_more"]) == ([], False)
    assert page["cursor"] != before, "it moved past what was not asked for"
    again = Mirror(api.public, 0, types=["case", "place"], exclude_origin="far")
    await again.start()
    assert again.records == m.records


async def test_a_selection_that_matches_little_is_not_looked_for_in_everything(api: Api) -> None:
    """A page looks at so many changes and ends; where there are more, it says so, however few of them fit."""
    fetch = partial(api.app.state.database.fetch, Audience.EDITOR)
    made = [await make(api.editor, kind) for kind in ("persons",) * 7 + ("places",) + ("persons",) * 2]
    await api.app.state.sequencer.number()
    seen, ends, reached, more = [], [], 0, True
    while more:
        page = await read_page(
            fetch, Audience.EDITOR, reached, limit=2, types=["place"], excluded=None, horizon=0, window=3
        )
        seen += [json.loads(item) for item in page.items]
        assert page.end.seq - reached <= 3
        reached, more = page.end.seq, page.lag is not None
        ends.append(reached)
    assert [(i["seq"], i["id"]) for i in seen] == [(8, made[7]["id"])]
    assert ends == [3, 6, 9, 10]
    page = await read_page(fetch, Audience.EDITOR, 0, limit=3, types=["person"], excluded=None, horizon=0, window=3)
    assert ([json.loads(i)["seq"] for i in page.items], page.end.seq) == ([1, 2, 3], 3)
    assert page.lag is not None, "full, and at the end of its window: there is more beyond"


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "A" * 86, "é", "eyJhIjoxfQ"])
async def test_a_malformed_cursor_is_refused_and_never_answered_with_nothing(api: Api, cursor: str) -> None:
    answer = await api.public.get("/v1/changes", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_a_cursor_with_any_bit_turned_is_refused(api: Api) -> None:
    await make(api.editor, "persons")
    m = (await mirrors(api))["public"]
    for n in range(0, len(m.cursor), 5):
        other = "B" if m.cursor[n] == "A" else "A"
        answer = await api.public.get("/v1/changes", params={"cursor": m.cursor[:n] + other + m.cursor[n + 1 :]})
        assert answer.status_code == 400


async def test_without_a_cursor_the_snapshot_is_pointed_to(api: Api) -> None:
    answer = await api.public.get("/v1/changes", params={"types": ["person", "case"]})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/cursor-required")
    assert answer.json()["snapshot"] == "/v1/snapshot?types=person&types=case"
    answer = await api.public.get("/v1/changes", params={"types": "person", "exclude_origin": "far away"})
    assert answer.json()["snapshot"] == "/v1/snapshot?types=person&exclude_origin=far+away"


async def test_a_refused_confirmation_points_to_the_snapshot_of_what_the_cursor_was_for(api: Api) -> None:
    for selection, query in (
        ({}, ""),
        ({"types": ["case", "person"]}, "?types=person&types=case"),
        ({"types": ["case"], "exclude_origin": "partner"}, "?types=case&exclude_origin=partner"),
        ({"exclude_origin": "far"}, ""),
    ):
        mirror = Mirror(api.editor, 2, **selection)
        await mirror.start()
        answer = await api.partner.post("/v1/changes/ack", json={"cursor": mirror.cursor})
        assert (answer.status_code, answer.json()["snapshot"]) == (410, f"/v1/snapshot{query}")


async def gone(client: httpx.AsyncClient, cursor: str, **parameters: Any) -> str:
    answer = await client.get("/v1/changes", params={"cursor": cursor, **parameters})
    assert answer.status_code == 410, answer.text
    assert answer.json()["snapshot"].startswith("/v1/snapshot")
    return str(answer.json()["type"]).removeprefix("/problems/")


async def test_a_cursor_of_another_role_or_selection_is_gone(api: Api) -> None:
    m = await mirrors(api)
    assert await gone(api.public, m["partner"].cursor) == "scope-changed"
    assert await gone(api.editor, m["partner"].cursor) == "scope-changed"
    assert await gone(api.partner, m["public"].cursor) == "scope-changed"
    assert await gone(api.public, m["public"].cursor, types=["person"]) == "scope-changed"
    assert await gone(api.public, m["public"].cursor, exclude_origin="far") == "scope-changed"
    assert (await api.other_partner.get("/v1/changes", params={"cursor": m["partner"].cursor})).status_code == 200
    assert (await api.guardian.get("/v1/changes", params={"cursor": m["editor"].cursor})).status_code == 200


async def test_a_restored_server_is_noticed(api: Api, owner: asyncpg.Connection) -> None:
    for _ in range(3):
        await make(api.editor, "persons")
    m = (await mirrors(api))["public"]
    await make(api.editor, "persons")
    ahead = Mirror(api.public, 0)
    await ahead.start()
    await owner.execute("DELETE FROM changes WHERE seq_public = 4")  # as a backup from before it would be
    assert await gone(api.public, ahead.cursor) == "feed-diverged"
    await make(api.editor, "persons")  # takes the same number
    assert await gone(api.public, ahead.cursor) == "feed-diverged"
    assert len(await m.drain()) == 1, "what was kept goes on exactly"
    followed = Mirror(api.partner, 1, types=["person"])
    await followed.start()
    was = await owner.fetchval("SELECT id FROM feed")
    try:
        await owner.execute("UPDATE feed SET id = gen_random_uuid()")
        assert await gone(api.public, m.cursor) == "feed-diverged"
        answer = await api.partner.post("/v1/changes/ack", json={"cursor": followed.cursor})
        assert (answer.status_code, answer.json()["snapshot"]) == (410, "/v1/snapshot?types=person")
    finally:
        await owner.execute("UPDATE feed SET id = $1", was)


async def test_a_cursor_older_than_what_is_kept_has_expired(api: Api, owner: asyncpg.Connection) -> None:
    empty = (await mirrors(api))["public"]
    await make(api.editor, "persons")
    old = (await mirrors(api))["public"]
    for _ in range(3):
        await make(api.editor, "persons")
    assert (await api.public.get("/v1/status")).json()["feed"]["position"] == 1  # nobody has numbered the rest yet
    await old.page(keep=False)
    await owner.execute("DELETE FROM changes WHERE seq_public <= 2")
    assert await gone(api.public, old.cursor) == "cursor-expired"
    assert await gone(api.public, empty.cursor) == "cursor-expired"


async def test_a_poll_waits_for_news_without_holding_a_connection(api: Api) -> None:
    m = (await mirrors(api))["public"]
    begun = time.monotonic()
    page = await m.page(wait=1)
    assert (page["items"], time.monotonic() - begun > 0.9) == ([], True)
    # Many more wait than there are connections, and others are served meanwhile.
    waiting = [asyncio.create_task(m.page(keep=False, wait=20)) for _ in range(30)]
    await asyncio.sleep(0.5)
    for _ in range(5):
        assert (await api.public.get("/v1/status")).status_code == 200
    begun = time.monotonic()
    person = await make(api.editor, "persons")
    pages = await asyncio.gather(*waiting)
    assert {p["items"][0]["id"] for p in pages} == {person["id"]}
    assert time.monotonic() - begun < 5


async def test_what_is_hidden_wakes_nobody(api: Api) -> None:
    m = (await mirrors(api))["public"]
    waiting = asyncio.create_task(m.page(wait=2))
    await asyncio.sleep(0.3)
    await make(api.editor, "persons", **RESTRICTED)
    begun = time.monotonic()
    assert (await waiting)["items"] == []
    assert time.monotonic() - begun > 1


async def test_an_open_transaction_delays_only_its_own_change(api: Api, owner: asyncpg.Connection) -> None:
    m = (await mirrors(api))["public"]
    late = owner.transaction()
    await late.start()
    sql = "INSERT INTO persons (origin, origin_id, level, publication_ground) VALUES ('x', $1, 0, 'consent')"
    await owner.execute(sql, "late")
    early = await make(api.editor, "persons")
    assert [i["id"] for i in await m.drain()] == [early["id"]]
    await late.commit()
    (item,) = await m.drain()
    assert (item["data"]["origin_id"], item["seq"]) == ("late", 2)


async def test_withdrawals_are_listed_until_each_partner_confirms(api: Api) -> None:
    m = await mirrors(api)
    person = await make(api.editor, "persons")
    place = await make(api.editor, "places")
    await m["partner"].drain()
    await patch(api, person, **RESTRICTED)
    await patch(api, place, "places", **PARTNERS)

    async def unconfirmed() -> list[tuple[str, list[str]]]:
        answer = await api.editor.get("/v1/changes/unconfirmed")
        assert answer.status_code == 200, answer.text
        return [(i["id"], [p["name"] for p in i["partners"]]) for i in answer.json()["items"]]

    async def ack(client: httpx.AsyncClient, cursor: str) -> int:
        return (await client.post("/v1/changes/ack", json={"cursor": cursor})).status_code

    assert await unconfirmed() == [(person["id"], ["other_partner", "partner"])]
    assert await ack(api.partner, m["partner"].cursor) == 204
    assert await unconfirmed() == [(person["id"], ["other_partner", "partner"])], "that cursor was from before"
    before = m["partner"].cursor
    await m["partner"].drain()
    assert await ack(api.partner, m["partner"].cursor) == 204
    assert await ack(api.partner, before) == 204
    assert await unconfirmed() == [(person["id"], ["other_partner"])], "an older confirmation takes nothing back"
    cases = Mirror(api.other_partner, 1, types=["case"])
    await cases.start()
    assert await ack(api.other_partner, cases.cursor) == 204
    assert await unconfirmed() == [], "who mirrors cases alone has no person to remove"
    await patch(api, person, **PUBLIC)
    await patch(api, person, **RESTRICTED)
    assert await unconfirmed() == [(person["id"], ["partner"])]
    await patch(api, person, **PUBLIC)
    assert await unconfirmed() == [], "what is shown again needs no confirmation"
    assert await ack(api.public, m["public"].cursor) == 401
    assert await ack(api.partner, "nonsense") == 400
    assert await ack(api.partner, m["editor"].cursor) == 410
    assert (await api.partner.get("/v1/changes/unconfirmed")).status_code == 403


async def test_a_withdrawal_waits_for_the_holder_whatever_becomes_of_its_keys(
    api: Api, owner: asyncpg.Connection
) -> None:
    """A rotation leaves it where it was, and the new key confirms for the old one; so for each way to know a holder."""
    end = {
        "revoked": "UPDATE keys SET revoked_at = now() WHERE id = $1",
        "expired": "UPDATE keys SET expires_at = now() WHERE id = $1",
    }

    async def key(name: str, origin: str) -> tuple[str, httpx.AsyncClient]:
        text = await keys.create(api.site.url, name, "partner", origin, timedelta(days=1))
        headers = {"Authorization": f"Bearer {text}"}
        transport = httpx.ASGITransport(app=api.app)
        return text.split("_")[1], httpx.AsyncClient(
            transport=transport, base_url="http://chronika.test", headers=headers
        )

    async def waiting(record: dict[str, Any]) -> list[tuple[str, str, str]]:
        items = (await api.editor.get("/v1/changes/unconfirmed")).json()["items"]
        partners = [p for i in items if i["id"] == record["id"] for p in i["partners"]]
        return [(p["holder"], p["key"], p["state"]) for p in partners if p["holder"] in {"org-r", "Desk"}]

    here = api.app.state.settings.origin
    for holder, (old_name, old_origin), (new_name, new_origin), state in (
        ("org-r", ("R, first", "org-r"), ("R, second", "org-r"), "revoked"),
        ("Desk", ("Desk", here), ("Desk", here), "expired"),
    ):
        person = await make(api.editor, "persons")
        old, client = await key(old_name, old_origin)
        mirror = Mirror(client, 1)
        await mirror.start()
        assert (await client.post("/v1/changes/ack", json={"cursor": mirror.cursor})).status_code == 204
        await patch(api, person, **RESTRICTED)
        assert await waiting(person) == [(holder, old, "valid")]
        await owner.execute(end[state], old)
        assert await waiting(person) == [(holder, old, state)], "nobody confirmed it"
        unseen = await make(api.editor, "persons")
        await patch(api, unseen, **RESTRICTED)
        assert await waiting(unseen) == [], "that they can never have read"
        new, client = await key(new_name, new_origin)
        assert await waiting(person) == [(holder, new, "valid")]
        other, stranger = await key(f"not {new_name}", here)
        theirs = Mirror(stranger, 1)
        await theirs.start()
        assert (await stranger.post("/v1/changes/ack", json={"cursor": theirs.cursor})).status_code == 204
        assert await waiting(person) == [(holder, new, "valid")], "another holder's word"
        mirror.client = client
        await mirror.drain()
        assert person["id"] not in mirror.records
        assert (await client.post("/v1/changes/ack", json={"cursor": mirror.cursor})).status_code == 204
        assert await waiting(person) == []
        for made in (new, other):
            await owner.execute(end["revoked"], made)
        assert await waiting(person) == []


async def test_the_readers_logins_see_nothing_of_other_feeds(api: Api) -> None:
    await make(api.editor, "persons", **RESTRICTED)
    await make(api.editor, "persons", **PARTNERS)
    await make(api.editor, "persons")
    database = api.app.state.database
    await api.app.state.sequencer.number()
    for role, count in (("public", 1), ("partner", 2)):
        assert (await database.row(role, "SELECT count(*) FROM changes"))[0] == count
        for hidden in ("seq", "data", "level_before", "actor", "version", "*"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.row(role, f"SELECT {hidden} FROM changes")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.row(role, "SELECT number_changes()")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.row("feed", "SELECT uid FROM changes")


async def test_a_page_is_not_the_end_while_changes_wait_for_their_numbers(api: Api, owner: asyncpg.Connection) -> None:
    m = await mirrors(api)
    await make(api.editor, "persons", level="restricted")
    async with owner.transaction():
        await owner.execute("SELECT pg_advisory_xact_lock(7308895160742)")  # as whoever numbers, and takes long
        pages = await asyncio.gather(*(mirror.page() for mirror in m.values()))
    said = {role: (page["items"], page["has_more"]) for role, page in zip(m, pages, strict=True)}
    assert said == {"public": ([], False), "partner": ([], False), "editor": ([], True)}, "each its own feed's"
    assert len(await m["editor"].drain()) == 1


async def test_whoever_missed_two_merges_in_a_row_is_led_to_who_remains_in_the_end(api: Api) -> None:
    m = await mirrors(api)
    first, second, last = [await make(api.editor, "persons") for _ in range(3)]
    for mirror in m.values():
        await mirror.drain()
    for old, into in ((first, second), (second, last)):
        path = f"/v1/persons/{old['id']}/merge"
        answer = await api.editor.post(path, json={"into": into["id"]}, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text
    for mirror in m.values():
        led = {i["id"]: i.get("into") for i in await mirror.drain() if i["op"] != "upsert"}
        assert led == {first["id"]: last["id"], second["id"]: last["id"]}
