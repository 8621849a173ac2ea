"""Who may be public: never without a ground, never counted people, never somebody known only through others."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make
from tests.safety.test_raw_sql import login
from tests.safety.world import change

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("resource", sorted(MINIMAL))
async def test_public_needs_a_ground_in_the_database_itself(api: Api, resource: str) -> None:
    made = await make(api.editor, resource)
    async with login(api.site, "editor") as connection:
        for ground in (None, "because"):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(
                    f"UPDATE {resource} SET publication_ground = $1 WHERE id = $2", ground, made["id"]
                )


async def _published(api: Api, **fields: Any) -> Any:
    return await api.editor.post("/v1/persons", json={**PUBLIC, "names": [{"text": "Vera"}], **fields})


@pytest.mark.parametrize("group", ["child", "parent_of_minor", "aid_recipient"])
async def test_counted_groups_are_never_public_persons(api: Api, group: str) -> None:
    for ground in ("public_record", "consent"):
        refused = await _published(api, groups=["journalist", group], publication_ground=ground)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "refused")
        assert "counted" in refused.json()["detail"]
    kept = await make(api.editor, "persons", level="partner", groups=[group])
    url = f"/v1/persons/{kept['id']}"
    answer = await api.editor.patch(url, json={"level": "public"}, headers={"If-Match": "*"})
    assert answer.status_code == 422
    assert (await api.public.get(url)).status_code == 404
    shown = await make(api.editor, "persons", groups=["journalist"])
    answer = await api.editor.patch(f"/v1/persons/{shown['id']}", json={"groups": [group]}, headers={"If-Match": "*"})
    assert answer.status_code == 422


@pytest.mark.parametrize("role", ["relative", "witness", "recipient"])
async def test_nobody_is_public_for_a_private_role_alone(api: Api, role: str) -> None:
    person = await make(api.editor, "persons")
    tie = {"person": person["id"], "role": role}
    refused = await api.editor.post("/v1/events", json={**PUBLIC, "type": "raid", "participants": [tie]})
    assert refused.status_code == 422, "also when the person was public first"
    assert "consent" in refused.json()["detail"]
    # A hidden tie counts too: the person would stand there for no reason that can be seen.
    body = {**PUBLIC, "type": "raid", "participants": [{**tie, "level": "restricted"}]}
    assert (await api.editor.post("/v1/events", json=body)).status_code == 422

    restricted = await make(api.editor, "persons", level="restricted")
    event = await make(api.editor, "events", participants=[{"person": restricted["id"], "role": role}])
    url = f"/v1/persons/{restricted['id']}"
    assert (await api.editor.patch(url, json={"level": "public"}, headers={"If-Match": "*"})).status_code == 422
    # With consent, or with something of their own that makes them public, it may be.
    consented = await api.editor.patch(
        url, json={"level": "public", "publication_ground": "consent"}, headers={"If-Match": "*"}
    )
    assert consented.status_code == 200
    assert (await api.public.get(f"/v1/events/{event['id']}")).status_code == 200


@pytest.mark.parametrize("own", ["participants", "charges", "sentences", "judges", "statuses"])
async def test_a_tie_of_their_own_makes_somebody_fit_and_its_loss_unfit(api: Api, own: str) -> None:
    person = (await make(api.editor, "persons"))["id"]
    if own == "statuses":
        made = ("statuses", await make(api.editor, "statuses", person=person))
    elif own == "participants":
        made = ("events", await make(api.editor, "events", participants=[{"person": person, "role": "victim"}]))
    else:
        tie = {
            "charges": {"person": person, "status": "charged"},
            "sentences": {"person": person, "outcome": "convicted"},
        }
        made = ("cases", await make(api.editor, "cases", **{own: [tie.get(own, person)]}))
    await make(api.editor, "events", participants=[{"person": person, "role": "witness"}])
    url = f"/v1/{made[0]}/{made[1]['id']}"
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 422
    assert (await api.public.get(url)).status_code == 200
    if own != "statuses":
        lost = await api.editor.patch(url, json={own: []}, headers={"If-Match": "*"})
        assert lost.status_code == 422
    else:
        other = (await make(api.editor, "persons"))["id"]
        assert (await api.editor.patch(url, json={"person": other}, headers={"If-Match": "*"})).status_code == 422
    if own == "participants":
        same = [{"person": person, "role": "relative"}]
        assert (await api.editor.patch(url, json={own: same}, headers={"If-Match": "*"})).status_code == 422
    await change(api.editor, "persons", person, level="restricted")
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 204


async def test_two_who_take_away_the_last_two_ties_do_not_slip_past_each_other(api: Api) -> None:
    for _ in range(10):
        person = (await make(api.editor, "persons"))["id"]
        tie = [{"person": person, "role": "victim"}]
        events = [(await make(api.editor, "events", participants=tie))["id"] for _ in range(2)]
        await make(api.editor, "events", participants=[{"person": person, "role": "witness"}])
        answers = await asyncio.gather(
            *(api.editor.delete(f"/v1/events/{e}", headers={"If-Match": "*"}) for e in events)
        )
        assert sorted(a.status_code for a in answers) == [204, 422]


async def test_withdrawn_consent_hides_everything_in_one_commit(api: Api) -> None:
    person = (await make(api.editor, "persons", publication_ground="consent"))["id"]
    tie = {"person": person, "role": "victim"}
    made = {
        "events": await make(api.editor, "events", participants=[tie]),
        "cases": await make(api.editor, "cases", charges=[{"person": person, "status": "charged"}]),
        "statuses": await make(api.editor, "statuses", person=person),
    }
    made["events"] = await make(api.editor, "events", case=made["cases"]["id"])
    urls = [f"/v1/{kind}/{record['id']}" for kind, record in made.items()] + [f"/v1/persons/{person}"]
    assert [(await api.public.get(u)).status_code for u in urls] == [200] * 4
    await change(api.editor, "persons", person, level="restricted", publication_ground=None)
    assert [(await api.public.get(u)).status_code for u in urls] == [404] * 4
    assert [(await api.partner.get(u)).status_code for u in urls] == [404] * 4
    answer = await api.editor.patch(f"/v1/persons/{person}", json={"level": "public"}, headers={"If-Match": "*"})
    assert answer.status_code == 422


async def test_a_group_within_a_hidden_group_is_hidden_with_it(api: Api) -> None:
    group = {"count": 9, "role": "victim"}
    event = await make(api.editor, "events", participants=[{**group, "level": "restricted"}, group])
    hidden, shown = event["participants"]
    inner = await make(
        api.editor, "events", participants=[{**group, "within": hidden["id"]}, {**group, "within": shown["id"]}]
    )

    async def seen() -> list[str]:
        return [p["within"] for p in (await api.public.get(f"/v1/events/{inner['id']}")).json()["participants"]]

    assert await seen() == [shown["id"]]
    await change(
        api.editor, "events", event["id"], participants=[{**hidden, "level": "public"}, {**shown, "level": "partner"}]
    )
    assert await seen() == [hidden["id"]]
    assert len((await api.partner.get(f"/v1/events/{inner['id']}")).json()["participants"]) == 2


async def test_a_merged_record_is_as_hidden_as_the_one_it_leads_to(api: Api, owner: asyncpg.Connection) -> None:
    old, new = (await make(api.editor, "persons"))["id"], (await make(api.editor, "persons"))["id"]
    await api.editor.delete(f"/v1/persons/{old}", headers={"If-Match": "*"})
    await owner.execute("UPDATE tombstones SET merged_into = $1 WHERE id = $2", new, old)
    url = f"/v1/persons/{old}"
    assert (await api.public.get(url)).status_code == 308
    await change(api.editor, "persons", new, level="restricted")
    assert [(await c.get(url)).status_code for c in (api.public, api.partner, api.editor)] == [404, 404, 308]
    await change(api.editor, "persons", new, level="public")
    assert (await api.public.get(url)).headers["location"] == f"/v1/persons/{new}"
