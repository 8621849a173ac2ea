"""Writing in bulk: what each row becomes, all or none, and bodies that are not what they should be."""

import json
from typing import Any

import asyncpg
import httpx
import pytest

from app.changes.bodies import Elements
from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio


def row(n: int, kind: str = "person", base_version: int | None = None, **fields: Any) -> dict[str, Any]:
    plain = {"person": "persons", "case": "cases", "place": "places"}[kind]
    made = {"type": kind, "origin": "org-a", "origin_id": f"{kind}-{n}", "data": {**MINIMAL[plain], **PUBLIC, **fields}}
    return made if base_version is None else {**made, "base_version": base_version}


async def send(api: Api, rows: list[Any], **parameters: Any) -> dict[str, Any]:
    body = "".join(json.dumps(r) + "\n" for r in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = await api.editor.post("/v1/bulk", content=body, headers=headers, params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def outcome(answer: dict[str, Any]) -> list[tuple[str, int]]:
    assert [r["index"] for r in answer["results"]] == list(range(len(answer["results"])))
    return [(r["result"], r["status"]) for r in answer["results"]]


async def count(api: Api) -> int:
    return int((await api.editor.get("/v1/status")).json()["records"]["persons"])


async def test_rows_are_created_updated_or_left_alone(api: Api) -> None:
    first = await send(api, [row(1), row(2), row(3, "case", judges=[{"origin": "org-a", "origin_id": "person-1"}])])
    assert (first["committed"], outcome(first)) == (3, [("created", 201)] * 3)
    rows = [row(1), row(2, summary="new"), row(4)]
    second = await send(api, rows)
    assert (second["committed"], outcome(second)) == (2, [("unchanged", 200), ("updated", 200), ("created", 201)])
    assert [r["version"] for r in second["results"]] == [1, 2, 1]
    assert [r["id"] for r in second["results"][:2]] == [r["id"] for r in first["results"][:2]]
    again = await send(api, rows)
    assert (again["committed"], {r for r, _ in outcome(again)}) == (0, {"unchanged"})
    history = (await api.editor.get(f"/v1/persons/{first['results'][0]['id']}/history")).json()
    assert len(history["items"]) == 1, "a row that changes nothing leaves no trace"


async def test_atomic_is_all_or_none_and_per_item_says_what_was_kept(api: Api) -> None:
    rows = [row(1), row(2, sex="nonsense"), row(3, level="public", publication_ground=None), {"type": "person"}, row(4)]
    atomic = await send(api, rows)
    expected = ["created", "invalid", "invalid", "invalid", "created"]
    assert (atomic["committed"], [r for r, _ in outcome(atomic)]) == (0, expected)
    assert {r["id"] for r in atomic["results"]} == {None}
    assert await count(api) == 0
    each = await send(api, rows, mode="per_item")
    assert (each["committed"], [r for r, _ in outcome(each)]) == (2, expected)
    assert await count(api) == 2
    assert each["results"][1]["errors"][0]["code"] == "unknown_code"
    assert each["results"][3]["errors"][0]["pointer"] == "/origin_id"
    assert "nonsense" not in json.dumps(each)


async def test_a_dry_run_tells_what_would_happen_and_writes_nothing(api: Api) -> None:
    await send(api, [row(1)])
    dry = await send(api, [row(1, summary="x"), row(2)], dry_run=True)
    assert (dry["committed"], outcome(dry)) == (0, [("updated", 200), ("created", 201)])
    assert await count(api) == 1
    assert (await send(api, [row(1)]))["results"][0]["result"] == "unchanged"


async def test_no_row_has_a_version_that_was_taken_back(api: Api) -> None:
    """A client keeps the version as `base_version`: one that never was would later be that of somebody else's edit."""
    made = (await send(api, [row(1), row(2)]))["results"]
    rows = [
        row(1, summary="x"),
        row(1, summary="x"),
        row(2),
        row(3),
        row(3),
        row(1, base_version=1, summary="late"),
        row(3, base_version=7),
    ]
    one, two = made[0]["id"], made[1]["id"]
    expected = [
        ("updated", one, None),
        ("unchanged", one, None),
        ("unchanged", two, 1),
        ("created", None, None),
        ("unchanged", None, None),
        ("conflict", None, None),
        ("conflict", None, None),
    ]
    dry = await send(api, rows, mode="per_item", dry_run=True)
    assert [(r["result"], r["id"], r["version"]) for r in dry["results"]] == expected
    failed = await send(api, rows)
    assert failed["committed"] == 0
    assert [(r["result"], r["id"], r["version"]) for r in failed["results"]] == expected
    kept = await send(api, rows, mode="per_item")
    assert [r["version"] for r in kept["results"]] == [2, 2, 1, 1, 1, 2, 1]


async def test_a_partner_is_told_no_version_that_was_taken_back(api: Api) -> None:
    async def send_own(*rows: dict[str, Any], **parameters: Any) -> list[tuple[str, bool, int | None]]:
        own = [r | {"origin": "partner"} for r in rows]
        answer = await api.partner.post("/v1/bulk", json=own, params=parameters)
        assert answer.status_code == 200, answer.text
        return [(r["result"], r["id"] is not None, r["version"]) for r in answer.json()["results"]]

    assert await send_own(row(1)) == [("created", True, 1)]
    rows = [row(1, summary="x"), row(1, summary="x"), row(2), row(2)]
    expected = [
        ("updated", True, None),
        ("unchanged", True, None),
        ("created", False, None),
        ("unchanged", False, None),
    ]
    assert await send_own(*rows, dry_run=True) == expected
    assert await send_own(row(1)) == [("unchanged", True, 1)]


async def test_conflicts_name_the_version_and_tombstones_refuse(api: Api) -> None:
    made = (await send(api, [row(1)]))["results"][0]
    changed = await send(api, [row(1, base_version=1, summary="mine")])
    assert changed["results"][0]["version"] == 2
    late = await send(api, [row(1, base_version=1, summary="late"), row(2, base_version=1)], mode="per_item")
    assert outcome(late) == [("conflict", 412)] * 2
    assert late["results"][0]["version"] == 2
    await api.editor.delete(f"/v1/persons/{made['id']}", headers={"If-Match": "*"})
    buried = await send(api, [row(1)], mode="per_item")
    assert (buried["committed"], outcome(buried)) == (0, [("conflict", 410)])
    both = await send(api, [row(7, "place", code="XX-1"), row(8, "place", code="XX-1")], mode="per_item")
    assert (both["committed"], outcome(both)) == (1, [("created", 201), ("conflict", 409)])


async def post(client: httpx.AsyncClient, body: str | bytes, kind: str = "application/json") -> httpx.Response:
    return await client.post("/v1/bulk", content=body, headers={"Content-Type": kind})


async def test_a_json_array_is_taken_too_and_anything_else_is_refused(api: Api) -> None:
    rows = [row(1, summary='a "quoted", [bracketed] {text} \\'), row(2)]
    answer = await post(api.editor, json.dumps(rows, indent=1))
    assert (answer.status_code, answer.json()["committed"]) == (200, 2)
    assert (await post(api.editor, " [ ] ")).json() == {"committed": 0, "results": []}
    for body in ("", "{}", "[", "[{}", "[]]", "[] []", "x", '"[]"', "[1] x"):
        assert (await post(api.editor, body)).status_code == 400, body
    for body in ("[1]", "[,]", '[{"type":"person",}]', '[{"a":1,"a":2}]', "[NaN]", "[" * 40 + "]" * 40):
        answer = await post(api.editor, body)
        assert answer.status_code == 200, body
        assert {r["result"] for r in answer.json()["results"]} == {"invalid"}, body
    assert (await post(api.editor, "[]", "text/csv")).status_code == 415
    assert (await post(api.public, "[]")).status_code == 401


async def test_more_rows_than_a_request_may_have_are_refused_whole(api: Api) -> None:
    body = b"{}\n" * 10_001
    answer = await post(api.editor, json.dumps(row(1)).encode() + b"\n" + body, "application/x-ndjson")
    assert answer.status_code == 413
    assert (await post(api.editor, b"x" * 1_100_000, "application/x-ndjson")).status_code == 413
    assert await count(api) == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_an_array_comes_apart_the_same_wherever_it_is_cut(size: int) -> None:
    rows = [{"a": 'x\\"]', "b": [1, {"c": "\\\\"}]}, "plain, text", 17, [], {}, "é\\"]
    text = json.dumps(rows, ensure_ascii=False).encode()
    parts = Elements()
    found = [e for n in range(0, len(text), size) for e in parts.feed(text[n : n + size])]
    assert [json.loads(e) for e in [*found, *parts.finish()]] == rows


async def test_a_change_of_an_earlier_version_is_merged_or_kept_for_editors(api: Api) -> None:
    cite = {"source": (await make(api.editor, "sources"))["id"]}
    sentence = {"outcome": "convicted", "components": [{"kind": "imprisonment", "years": 2.5}]}
    first = [row(1, summary="one", citations=[cite], born="1990"), row(2, "case", sentences=[sentence], summary="one")]
    ids = [r["id"] for r in (await send(api, first))["results"]]
    for url in (f"/v1/persons/{ids[0]}", f"/v1/cases/{ids[1]}"):
        await api.editor.patch(url, json={"summary": "ours"}, headers={"If-Match": "*"})
    merged = await send(
        api,
        [
            row(1, base_version=1, summary="one", citations=[cite], born="1991", sex="female"),
            row(2, "case", 1, sentences=[sentence], summary="one", number="17"),
        ],
    )
    assert outcome(merged) == [("updated", 200)] * 2
    person = (await api.editor.get(f"/v1/persons/{ids[0]}")).json()
    assert (person["summary"], person["born"]["edtf"], person["sex"]) == ("ours", "1991", "female")
    case = (await api.editor.get(f"/v1/cases/{ids[1]}")).json()
    assert (case["summary"], case["number"], len(case["sentences"])) == ("ours", "17", 1)
    late = [row(1, base_version=1, summary="theirs", citations=[cite], born="1990", confidence="probable")]
    for mode, kept in (("atomic", 0), ("per_item", 1)):
        answer = await send(api, late, mode=mode)
        assert (answer["committed"], outcome(answer)) == (0, [("conflict", 412)])
        assert [e["pointer"] for e in answer["results"][0]["errors"]] == ["/data/summary"]
        assert len((await api.editor.get("/v1/proposals")).json()["items"]) == kept
    assert (await api.editor.get(f"/v1/persons/{ids[0]}")).json()["summary"] == "ours"
    (item,) = (await api.editor.get("/v1/proposals")).json()["items"]
    assert (item["kind"], item["source"], item["base_version"]) == ("conflict", "editor", 1)
    assert {f["field"]: (f["ours"], f["theirs"]) for f in item["fields"]} == {
        "summary": ("ours", "theirs"),
        "confidence": (None, "probable"),
    }
    assert outcome(await send(api, [row(1, base_version=99)], mode="per_item")) == [("conflict", 412)]
    # In the order of the rows, also where an earlier version stands before the record itself.
    both = await send(api, [row(2, "case", 1, sentences=[sentence], summary="one", number="18"),
                            row(2, "case", sentences=[sentence], summary="last")])  # fmt: skip
    assert outcome(both) == [("conflict", 412), ("updated", 200)]


async def test_a_refused_row_among_many_takes_no_other_with_it(api: Api) -> None:
    """What only the database can refuse is found by halving: each row has its own outcome, wherever it stands."""
    rows = [row(n, "place", code=f"XX-{n}") for n in range(40)]
    for n in (3, 17, 38):
        rows[n] = row(n, "place", code="XX-1")
    # Rows that name a refused one are refused for that; those that name a sound one are not.
    rows += [row(50, "place", parent={"key": "XX-3"}), row(51, "place", parent={"key": "XX-4"})]
    each = await send(api, rows, mode="per_item")
    refused = {r["index"]: (r["result"], r["status"]) for r in each["results"] if r["errors"]}
    assert refused == dict.fromkeys((3, 17, 38), ("conflict", 409)) | {40: ("invalid", 422)}
    assert each["results"][40]["errors"][0]["pointer"] == "/data/parent"
    assert each["committed"] == 38
    found = (await api.editor.get("/v1/places", params={"count": "exact", "limit": 1})).json()
    assert found["count"] == 38
    again = await send(api, rows, mode="per_item")
    assert (again["committed"], {r["result"] for r in again["results"] if not r["errors"]}) == (0, {"unchanged"})


async def test_a_row_names_what_stands_before_it_and_not_after(api: Api) -> None:
    child = row(2, "place", parent={"origin": "org-a", "origin_id": "place-1"})
    late = await send(api, [child, row(1, "place")], mode="per_item")
    assert outcome(late) == [("invalid", 422), ("created", 201)]
    early = await send(
        api, [row(3, "place"), row(4, "place", parent={"origin": "org-a", "origin_id": "place-3"}), child]
    )
    assert outcome(early) == [("created", 201)] * 3
    twice = await send(api, [row(5, summary="first"), row(5, summary="second")])
    assert [(r["result"], r["version"]) for r in twice["results"]] == [("created", 1), ("updated", 2)]
    person = (await api.editor.get(f"/v1/persons/{twice['results'][0]['id']}")).json()
    assert person["summary"] == "second"


async def test_parts_keep_their_ids_and_their_order_is_content(api: Api) -> None:
    names = [{"text": "Vera Example"}, {"text": "Vera Exemplar", "kind": "alias"}]
    charges = [{"status": "charged"}, {"status": "convicted"}]
    sentences = [
        {
            "outcome": "convicted",
            "components": [{"kind": "imprisonment", "years": 2}, {"kind": "fine", "amount": "4.50", "unit": "BYN"}],
        }
    ]
    rows = [row(1, names=names), row(2, "case", charges=charges, sentences=sentences)]
    made = (await send(api, rows))["results"]
    assert {r["result"] for r in (await send(api, rows))["results"]} == {"unchanged"}
    before = (await api.editor.get(f"/v1/persons/{made[0]['id']}")).json()["names"]
    case = (await api.editor.get(f"/v1/cases/{made[1]['id']}")).json()
    sentences[0]["components"][0]["years"] = 3  # type: ignore[index]
    rows = [row(1, names=names[::-1]), row(2, "case", charges=charges, sentences=sentences)]
    assert outcome(await send(api, rows)) == [("updated", 200)] * 2
    after = (await api.editor.get(f"/v1/persons/{made[0]['id']}")).json()["names"]
    assert [n["id"] for n in after] == [n["id"] for n in before[::-1]]
    changed = (await api.editor.get(f"/v1/cases/{made[1]['id']}")).json()
    assert [c["id"] for c in changed["charges"]] == [c["id"] for c in case["charges"]]
    assert [c["years"] for c in changed["sentences"][0]["components"]] == [3, None]


async def test_a_bulk_is_logged_as_single_writes_are(api: Api, owner: asyncpg.Connection) -> None:
    """The document at the last change of each record is what the record now is, and no change stays open."""
    rows = [row(n) for n in range(5)]
    rows += [row(9, "case", judges=[{"origin": "org-a", "origin_id": "person-1"}], charges=[{"status": "charged"}])]
    await send(api, rows)
    await send(api, [row(1, summary="new"), row(2), row(9, "case", charges=[{"status": "convicted"}])])
    found = await owner.fetch(
        "SELECT c.version, c.closed, c.data = document(c.record_type, c.record_id) AS equal, c.had_public, c.origin "
        "FROM changes c WHERE c.id = (SELECT max(id) FROM changes l WHERE l.record_id = c.record_id)"
    )
    assert sorted(r["version"] for r in found) == [1, 1, 1, 1, 2, 2]
    assert {(r["closed"], r["equal"], r["origin"]) for r in found} == {(True, True, "org-a")}
    assert await owner.fetchval("SELECT count(*) FROM changes") == 8
