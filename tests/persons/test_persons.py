"""Persons: named or not, with spellings and affiliations, and everything that is recorded of them."""

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_a_person_may_have_no_name(api: Api) -> None:
    person = await make(api.editor, "persons", names=[], summary="A teacher shown in a video.")
    assert (await api.public.get(f"/v1/persons/{person['id']}")).json()["names"] == []


async def test_spellings_keep_their_order_and_their_ids(api: Api) -> None:
    spellings = [{"text": t} for t in ("Marfa", "Maria", "Марфа")]
    person = await make(api.editor, "persons", names=spellings)
    ids = {n["text"]: n["id"] for n in person["names"]}
    turned = {"names": [{"text": "Марфа"}, {"text": "Marfa"}, {"text": "Maryja"}]}
    url = f"/v1/persons/{person['id']}"
    changed = (await api.editor.patch(url, json=turned, headers={"If-Match": "*"})).json()["names"]
    assert [n["text"] for n in changed] == ["Марфа", "Marfa", "Maryja"]
    assert [n["id"] for n in changed[:2]] == [ids["Марфа"], ids["Marfa"]], "an equal part is the same part"


async def test_an_affiliation_has_a_period(api: Api) -> None:
    party = await make(api.editor, "organisations", kind="political_party")
    affiliation = {"organisation": party["id"], "role": "chairman", "from": "2017", "to": "2021~", "state": "former"}
    person = await make(api.editor, "persons", affiliations=[affiliation])
    kept = (await api.public.get(f"/v1/persons/{person['id']}")).json()["affiliations"][0]
    assert (kept["from"]["earliest"], kept["to"]["edtf"], kept["state"]) == ("2017-01-01", "2021~", "former")


async def test_everything_of_a_person_is_embedded(api: Api) -> None:
    person = await make(api.editor, "persons")
    other = await make(api.editor, "persons")
    case = await make(api.editor, "cases", charges=[{"person": person["id"], "status": "charged"}])
    event = await make(api.editor, "events", participants=[{"person": person["id"], "role": "victim"}])
    status = await make(api.editor, "statuses", person=person["id"])
    await make(api.editor, "events", participants=[{"person": other["id"], "role": "victim"}])
    shown = (await api.public.get(f"/v1/persons/{person['id']}?include=cases,events,statuses")).json()
    for name, record in (("cases", case), ("events", event), ("statuses", status)):
        assert [r["id"] for r in shown[name]] == [record["id"]]
    assert shown["more"] == {}


async def test_a_person_whom_records_name_is_not_deleted(api: Api) -> None:
    person = await make(api.editor, "persons")
    event = await make(api.editor, "events", participants=[{"person": person["id"], "role": "victim"}])
    url = f"/v1/persons/{person['id']}"
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 409
    await api.editor.delete(f"/v1/events/{event['id']}", headers={"If-Match": "*"})
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 204
