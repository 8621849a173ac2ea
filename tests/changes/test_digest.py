"""Digests: equal for equal content, whatever the ids, and different for any difference that the caller can see."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def digest(api: Api, role: str, kind: str, **more: str) -> list[dict[str, Any]]:
    answer = await getattr(api, role).get("/v1/digest", params={"type": kind, **more})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["buckets"]
    return found


async def fill(api: Api, *, fine: str = "4500") -> None:
    """Make records that refer to each other, under the same identities and other ids each time."""
    of = {"origin": "org-a"}
    court = await make(api.editor, "organisations", **of, origin_id="o1")
    source = await make(api.editor, "sources", **of, origin_id="s1", publisher=court["id"])
    person = await make(api.editor, "persons", **of, origin_id="p1", citations=[{"source": source["id"]}])
    await make(
        api.editor,
        "cases",
        **of,
        origin_id="c1",
        court=court["id"],
        judges=[person["id"]],
        sentences=[{"outcome": "convicted", "components": [{"kind": "fine", "amount": fine, "unit": "USD"}]}],
    )


TYPES = ("organisation", "source", "person", "case")


async def test_the_same_content_under_other_ids_has_the_same_digests(api: Api, owner: Any) -> None:
    await fill(api)
    before = {t: await digest(api, "public", t) for t in TYPES}
    assert all(sum(b["count"] for b in buckets) == 1 for buckets in before.values())
    await owner.execute("TRUNCATE organisations, sources, persons, cases, changes, tombstones CASCADE")
    await fill(api)
    assert {t: await digest(api, "public", t) for t in TYPES} == before
    assert {t: await digest(api, "editor", t) for t in TYPES} == before, "nothing here is hidden from anybody"
    await owner.execute("TRUNCATE organisations, sources, persons, cases, changes, tombstones CASCADE")
    await fill(api, fine="4501")
    after = {t: await digest(api, "public", t) for t in TYPES}
    assert {t for t in TYPES if after[t] != before[t]} == {"case"}


async def test_a_change_moves_the_digests_of_those_who_can_see_it_alone(api: Api) -> None:
    person = await make(api.editor, "persons")
    before = {role: await digest(api, role, "person") for role in ("public", "partner", "editor")}
    names = [*person["names"], {"text": "For partners", "level": "partner"}]
    answer = await api.editor.patch(f"/v1/persons/{person['id']}", json={"names": names}, headers={"If-Match": "*"})
    assert answer.status_code == 200
    after = {role: await digest(api, role, "person") for role in before}
    assert {role for role in before if after[role] != before[role]} == {"partner", "editor"}
    assert await digest(api, "public", "person", exclude_origin=person["origin"]) == []


@pytest.mark.parametrize(
    "kind", ["place", "organisation", "source", "statute", "person", "case", "event", "status", "figure"]
)
async def test_every_type_of_the_sample_has_one(sample: Api, kind: str) -> None:
    buckets = await digest(sample, "editor", kind)
    records = (await sample.editor.get("/v1/status")).json()["records"]
    assert sum(b["count"] for b in buckets) in records.values()
    assert await digest(sample, "editor", kind) == buckets
