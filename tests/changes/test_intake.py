"""What partners send: taken in restricted, pending an editor, and answered by nothing that they may not see."""

import json
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make
from tests.safety.test_raw_sql import login

pytestmark = pytest.mark.anyio

ROWS = {"Content-Type": "application/x-ndjson"}


def row(n: Any, kind: str = "person", base_version: int | None = None, **fields: Any) -> dict[str, Any]:
    plain = {"person": "persons", "case": "cases", "place": "places", "event": "events", "statute": "statutes"}[kind]
    made = {"type": kind, "origin_id": f"{kind}-{n}", "data": {**MINIMAL[plain], **PUBLIC, **fields}}
    return made if base_version is None else {**made, "base_version": base_version}


async def send(client: httpx.AsyncClient, *rows: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    body = "".join(json.dumps(r) + "\n" for r in rows)
    answer = await client.post("/v1/bulk", content=body, headers=ROWS, params={"mode": "per_item", **parameters})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outcome(answer: dict[str, Any]) -> list[tuple[str, int, int | None]]:
    return [(r["result"], r["status"], r["version"]) for r in answer["results"]]


def own(n: Any, kind: str = "person") -> dict[str, str]:
    return {"origin": "partner", "origin_id": f"{kind}-{n}"}


async def test_what_a_partner_sends_is_restricted_and_waits_for_an_editor(api: Api) -> None:
    first = await send(
        api.partner,
        row(1, names=[{"text": "Sent Example"}], summary="as sent"),
        row(2, "event", participants=[{"person": own(1), "role": "victim"}]),
        row(3, "case", judges=[own(1)], sentences=[{"person": own(1), "outcome": "convicted",
                                                   "components": [{"kind": "imprisonment", "years": 2}]}]),
    )  # fmt: skip
    assert (first["committed"], outcome(first)) == (3, [("created", 201, 1)] * 3)
    person = (await api.editor.get(f"/v1/persons/{first['results'][0]['id']}")).json()
    assert (person["level"], person["origin"], person["origin_id"]) == ("restricted", "partner", "person-1")
    assert (person["summary"], [n["level"] for n in person["names"]]) == ("as sent", ["public"])
    case = (await api.editor.get(f"/v1/cases/{first['results'][2]['id']}")).json()
    assert (case["sentences"][0]["components"][0]["years"], case["judges"][0]["id"]) == (2, person["id"])
    for client in (api.public, api.partner, api.other_partner):
        for kind in ("persons", "events", "cases"):
            assert (await client.get(f"/v1/{kind}")).json()["items"] == []
    # While nobody has had it in hands it is still the partner's; the same again is nothing.
    second = await send(api.partner, row(1, names=[{"text": "Sent Example"}], summary="corrected"), row(2, "event",
                        participants=[{"person": own(1), "role": "victim"}]))  # fmt: skip
    assert (second["committed"], outcome(second)) == (1, [("updated", 200, 2), ("unchanged", 200, 1)])
    assert second["results"][0]["id"] == person["id"]
    now = (await api.editor.get(f"/v1/persons/{person['id']}")).json()
    assert (now["summary"], now["level"], len(now["names"])) == ("corrected", "restricted", 1)


async def test_a_partner_writes_for_its_own_origin_alone(api: Api) -> None:
    for origin in ("other-partner", "local", "editor"):
        answer = await send(api.partner, {**row(1), "origin": origin})
        assert (answer["committed"], outcome(answer)) == (0, [("invalid", 403, None)]), origin
        assert answer["results"][0]["errors"][0]["pointer"] == "/origin"
    assert (await api.editor.get("/v1/persons")).json()["items"] == []
    sent = await send(api.partner, row(1))
    same = await send(api.other_partner, row(1))
    assert sent["results"][0]["id"] != same["results"][0]["id"]
    # Nor may it name what another partner has sent.
    named = await send(api.other_partner, row(2, "event", participants=[{"person": own(1), "role": "victim"}]))
    assert outcome(named) == [("invalid", 422, None)]
    named = await send(
        api.other_partner, row(2, "event", participants=[{"person": sent["results"][0]["id"], "role": "victim"}])
    )
    assert outcome(named) == [("invalid", 422, None)]


async def test_all_or_none_and_a_dry_run_hold_for_partners_too(api: Api) -> None:
    wrong = row(2, sex="nonsense")
    atomic = await send(api.partner, row(1), wrong, mode="atomic")
    assert (atomic["committed"], [r for r, _, _ in outcome(atomic)]) == (0, ["created", "invalid"])
    assert atomic["results"][1]["errors"][0]["pointer"] == "/data/sex"
    dry = await send(api.partner, row(1), dry_run=True)
    assert (dry["committed"], outcome(dry)[0][0]) == (0, "created")
    assert (await api.editor.get("/v1/persons")).json()["items"] == []
    assert (await api.editor.get("/v1/proposals")).json()["items"] == []
    assert outcome(await send(api.partner, row(1))) == [("created", 201, 1)]


async def test_each_change_may_name_what_was_sent_last(api: Api) -> None:
    await send(api.partner, row(1))
    changed = await send(api.partner, row(1, base_version=1, summary="mine"), row(1, base_version=1, summary="late"),
                         row(9, base_version=1))  # fmt: skip
    assert outcome(changed) == [("updated", 200, 2), ("conflict", 412, 2), ("conflict", 412, None)]


TWINS: list[tuple[str, dict[str, Any]]] = [
    ("places", {"code": "XX-H"}),
    ("statutes", {"article": "17"}),
    ("persons", {"origin": "partner", "origin_id": "person-1"}),
    ("gone", {"origin": "partner", "origin_id": "person-1"}),
    ("erased", {"origin": "partner", "origin_id": "person-1"}),
]
SENT = [
    row(1, summary="one"), row(1, summary="two"), row(1, summary="two"), row(2, "place", code="XX-H"),
    row(3, "statute", article="17"), row(4, "event", participants=[{"person": own(1), "role": "victim"}]),
    row(5, "event", place=own(2, "place"), statutes=[own(3, "statute")]), row(6, "event", place="XX-H"),
    row(7, "event", statutes=["XX-CC-17"]), row(1, summary="three", base_version=2), row(1, base_version=1),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), TWINS, ids=[k for k, _ in TWINS])
@pytest.mark.parametrize("mode", ["per_item", "atomic"])
async def test_nothing_hidden_changes_an_answer(
    api: Api, owner: asyncpg.Connection, kind: str, fields: dict[str, Any], mode: str
) -> None:
    """Rows are answered alike, but for ids, by a registry that hides what they meet and by one that does not."""
    plain = outcome(await send(api.partner, *SENT, mode=mode))
    assert {r for r, _, _ in plain} == {"created", "updated", "unchanged", "invalid", "conflict"}
    await owner.execute("TRUNCATE persons, places, statutes, events, changes, tombstones, intake, proposals CASCADE")
    table = "persons" if kind in {"gone", "erased"} else kind
    hidden = await make(api.editor, table, level="restricted", **fields)
    if kind == "gone":
        await api.editor.delete(f"/v1/persons/{hidden['id']}", headers={"If-Match": "*"})
    if kind == "erased":
        await api.guardian.post(f"/v1/persons/{hidden['id']}/erase", json={"reason": "request"})
    answer = await send(api.partner, *SENT, mode=mode)
    assert outcome(answer) == plain
    assert hidden["id"] not in json.dumps(answer)


async def test_what_meets_a_hidden_record_waits_with_it_and_is_not_lost(api: Api) -> None:
    hidden = await make(api.editor, "places", code="XX-H", level="restricted", names=[{"text": "Ours"}])
    sent = await send(api.partner, row(2, "place", code="XX-H", names=[{"text": "Theirs"}]),
                      row(6, "event", place=own(2, "place"), description="there"))  # fmt: skip
    assert sent["committed"] == 2
    event = (await api.editor.get(f"/v1/events/{sent['results'][1]['id']}")).json()
    assert event["place"]["id"] == hidden["id"], "what the partner calls the place by its own id is that place"
    kept = (await api.editor.get(f"/v1/places/{hidden['id']}")).json()
    assert [n["text"] for n in kept["names"]] == ["Ours"]
    items = (await api.editor.get("/v1/proposals")).json()["items"]
    (place,) = [i for i in items if i["type"] == "place"]
    assert (place["record_id"], place["kind"], place["source"]) == (hidden["id"], "edit", "partner")
    (names,) = [f for f in place["fields"] if f["field"] == "names"]
    assert ([n["text"] for n in names["ours"]], [n["text"] for n in names["theirs"]]) == (["Ours"], ["Theirs"])


async def decide(api: Api, item: dict[str, Any], how: str, **body: Any) -> httpx.Response:
    headers = {"If-Match": f'"{item["version"]}"'}
    return await api.editor.post(f"/v1/proposals/{item['id']}/{how}", json=body, headers=headers)


async def waiting(api: Api, **parameters: Any) -> list[dict[str, Any]]:
    answer = await api.editor.get("/v1/proposals", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def published(api: Api, record_id: str, **fields: Any) -> None:
    answer = await api.editor.patch(
        f"/v1/persons/{record_id}", json={"level": "public", **fields}, headers={"If-Match": "*"}
    )
    assert answer.status_code == 200, answer.text


async def test_edits_of_what_an_editor_has_published_wait_and_are_never_published_by_themselves(api: Api) -> None:
    sent = (await send(api.partner, row(1, summary="one", sex="female", names=[{"text": "One"}])))["results"][0]
    (new,) = await waiting(api, kind="new")
    assert (new["record_id"], new["fields"], new["version"]) == (sent["id"], [], 1)
    await published(api, sent["id"], summary="edited here")
    assert await waiting(api) == [], "what an editor has changed is no longer new"
    assert (await api.public.get(f"/v1/persons/{sent['id']}")).json()["names"][0]["text"] == "One"
    later = await send(api.partner, row(1, summary="two", sex="female", names=[{"text": "Two"}]))
    assert outcome(later) == [("updated", 200, 2)]
    shown = (await api.public.get(f"/v1/persons/{sent['id']}")).json()
    assert (shown["summary"], shown["names"][0]["text"]) == ("edited here", "One")
    (item,) = await waiting(api)
    assert (item["kind"], item["base_version"], item["version"]) == ("edit", 1, 2)
    assert {f["field"]: (f["ours"], f["theirs"]) for f in item["fields"] if f["field"] == "summary"} == {
        "summary": ("edited here", "two")
    }
    assert {f["field"] for f in item["fields"]} == {"summary", "names"}, "only what the partner has changed"
    # One more edit of the partner's is the same proposal, with what both changed.
    await send(api.partner, row(1, summary="two", sex="male", names=[{"text": "Two"}]))
    (item,) = await waiting(api)
    assert {f["field"] for f in item["fields"]} == {"summary", "names", "sex"}
    assert (await api.editor.post(f"/v1/proposals/{item['id']}/accept", json={})).status_code == 428
    assert (await decide(api, {**item, "version": 1}, "accept")).status_code == 412
    assert (await decide(api, item, "accept", fields=["born"])).status_code == 422
    accepted = await decide(api, item, "accept", fields=["names", "sex"])
    assert (accepted.status_code, accepted.json()["state"], accepted.json()["version"]) == (200, "accepted", 3)
    shown = (await api.public.get(f"/v1/persons/{sent['id']}")).json()
    assert (shown["summary"], shown["sex"], shown["names"][0]["text"]) == ("edited here", "male", "Two")
    assert (await decide(api, item, "accept")).status_code == 409
    assert [i["decided_by"] for i in await waiting(api, state="accepted")] == ["editor"]


async def test_a_rejected_record_is_gone_for_good_and_a_rejected_edit_changes_nothing(api: Api) -> None:
    one, two = [(await send(api.partner, row(n)))["results"][0] for n in (1, 2)]
    first, second = await waiting(api)
    assert (await decide(api, first, "reject")).status_code == 200
    assert (await api.editor.get(f"/v1/persons/{one['id']}")).status_code == 410
    assert outcome(await send(api.partner, row(1, summary="again"))) == [("updated", 200, 2)], "it learns nothing"
    assert (await api.editor.get("/v1/persons")).json()["items"][0]["id"] == two["id"]
    assert [i["id"] for i in await waiting(api)] == [second["id"]]
    await published(api, two["id"])
    await send(api.partner, row(2, summary="no"))
    (edit,) = await waiting(api)
    assert (await decide(api, edit, "reject")).status_code == 200
    assert (await api.public.get(f"/v1/persons/{two['id']}")).json()["summary"] is None
    # What was deleted while the partner could see it is told.
    await api.editor.delete(f"/v1/persons/{two['id']}", headers={"If-Match": "*"})
    assert outcome(await send(api.partner, row(2, summary="back"))) == [("conflict", 410, None)]


async def test_withdrawn_records_answer_as_ever(api: Api) -> None:
    sent = (await send(api.partner, row(1)))["results"][0]
    await published(api, sent["id"])
    hidden = await api.editor.patch(
        f"/v1/persons/{sent['id']}", json={"level": "restricted"}, headers={"If-Match": "*"}
    )
    assert hidden.status_code == 200
    assert outcome(await send(api.partner, row(1), row(1, summary="x"))) == [
        ("unchanged", 200, 1),
        ("updated", 200, 2),
    ]
    assert len(await waiting(api)) == 1


async def test_an_edit_of_a_merged_record_waits_with_the_one_that_stayed(api: Api) -> None:
    sent = (await send(api.partner, row(1, names=[{"text": "Old"}])))["results"][0]
    stays = await make(api.editor, "persons", level="restricted")
    url = f"/v1/persons/{sent['id']}/merge"
    assert (await api.editor.post(url, json={"into": stays["id"]}, headers={"If-Match": "*"})).status_code == 200
    event = row(2, "event", participants=[{"person": own(1), "role": "victim"}])
    answer = await send(api.partner, row(1, summary="more"), event)
    assert outcome(answer) == [("updated", 200, 2), ("created", 201, 1)]
    (item,) = await waiting(api, type="person")
    assert (item["record_id"], item["kind"]) == (stays["id"], "edit")
    made = (await api.editor.get(f"/v1/events/{answer['results'][1]['id']}")).json()
    assert made["participants"][0]["person"]["id"] == stays["id"]


async def test_nothing_that_names_an_erased_person_waits(api: Api, owner: asyncpg.Connection) -> None:
    sent = (await send(api.partner, row(1, names=[{"text": "Erasmina"}]),
                       row(2, "event", participants=[{"person": own(1), "role": "victim"}])))["results"]  # fmt: skip
    for kind, one in zip(("persons", "events"), sent, strict=True):
        await api.editor.patch(f"/v1/{kind}/{one['id']}", json={"confidence": "probable"}, headers={"If-Match": "*"})
    again = [row(1, names=[{"text": "Erasmina Too"}]),
             row(2, "event", description="x", participants=[{"person": own(1), "role": "victim"}])]  # fmt: skip
    await send(api.partner, *again)
    assert len(await waiting(api)) == 2
    erased = await api.guardian.post(f"/v1/persons/{sent[0]['id']}/erase", json={"reason": "request"})
    assert erased.status_code == 200
    assert await waiting(api) == []
    assert outcome(await send(api.partner, row(1, names=[{"text": "Erasmina Again"}]))) == [("updated", 200, 3)]
    # What names the person later waits without a record, and without the partner's name for the person.
    later = row("later", "event", participants=[{"person": own(1), "role": "victim"}])
    assert outcome(await send(api.partner, later)) == [("created", 201, 1)]
    (held,) = await waiting(api)
    assert (held["kind"], held["version"], held["fields"][0]["ours"]) == ("edit", None, None)
    assert "person-1" not in json.dumps(held)
    assert (await decide(api, held, "accept")).status_code == 422
    assert (await decide(api, held, "reject")).status_code == 200
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    for (table,) in tables:
        found = await owner.fetch(f'SELECT t::text FROM "{table}" t')
        assert not [r for r in found if "Erasmina" in r[0]], table


async def test_a_revoked_key_ends_a_request_that_is_under_way(api: Api, owner: asyncpg.Connection) -> None:
    key = api.site.keys["partner"].split("_")[1]

    async def slowly() -> Any:
        for n in range(100):
            yield (json.dumps(row(n)) + "\n").encode()
        await owner.execute("UPDATE keys SET revoked_at = now() WHERE id = $1", key)
        yield (json.dumps(row(101)) + "\n").encode()

    try:
        answer = await api.partner.post("/v1/bulk", content=slowly(), headers=ROWS, params={"mode": "per_item"})
    finally:
        await owner.execute("UPDATE keys SET revoked_at = NULL WHERE id = $1", key)
    assert answer.status_code == 401
    assert (await api.editor.get("/v1/persons")).json()["items"] == []


async def test_raw_sql_of_the_partners_login_takes_nothing_in_and_asks_for_nothing_hidden(
    api: Api, owner: asyncpg.Connection
) -> None:
    hidden = await make(api.editor, "persons", level="restricted")
    await send(api.partner, row(1))
    key, other = [api.site.keys[r].split("_")[1] for r in ("partner", "editor")]
    proof = await owner.fetchval("SELECT digest FROM keys WHERE id = $1", key)
    sql = "SELECT * FROM take_in($1, $2, 'case', $3, NULL, $4, '{}', $5)"

    async def tried(name: str, who: str, what: bytes, rows: dict[str, Any]) -> str:
        async with login(api.site, "partner") as connection:
            await connection.execute("SET default_transaction_read_only = off")
            try:
                found: Any = await connection.fetchrow(sql, who, what, name, json.dumps(rows), json.dumps({"x": name}))
                return str(found["result"])
            except asyncpg.PostgresError as error:
                return str(error.as_dict()).replace(hidden["id"], "")

    plain = (await api.editor.post("/v1/cases", json=MINIMAL["cases"])).json()["id"]
    whole: Any = json.loads(await owner.fetchval("SELECT to_jsonb(c) FROM cases c WHERE id = $1", plain))
    case = {**whole, "id": plain, "level": 0, "origin": "local", "origin_id": "x"}
    for who, what in ((key, bytes(32)), (other, proof), (other, bytes(32)), ("", proof)):
        assert "28000" in await tried("a", who, what, {"cases": [case]})
    assert await tried("b", key, proof, {"cases": [case]}) == "created"
    taken: Any = await owner.fetchrow("SELECT id::text, level, origin FROM cases WHERE origin_id = 'b'")
    assert (taken["id"] != plain, taken["level"], taken["origin"]) == (True, 2, "partner")
    absent = "00000000-0000-4000-8000-000000000000"
    judge = {"id": absent, "level": 0, "position": 0}
    said = [
        await tried("c", key, proof, {"cases": [case], "case_judges": [{**judge, "person_id": person}]})
        for person in (hidden["id"], absent)
    ]
    assert said[0] == said[1].replace(absent, "")
    assert "42501" in said[0]
    for function in ("put_record('case', NULL, 'x', 'y', '{}', false)", "live_record('person', NULL)"):
        async with login(api.site, "partner") as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT {function}")
