"""What `include=` embeds is each record's own, on a page of several and for one alone."""

import pytest

from tests.conftest import Api

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("resource", "name", "owner"),
    [
        ("persons", "cases", "person"),
        ("persons", "events", "person"),
        ("persons", "statuses", "person"),
        ("organisations", "events", "organisation"),
        ("organisations", "statuses", "organisation"),
        ("cases", "events", "case"),
    ],
)
async def test_each_record_embeds_its_own(sample: Api, resource: str, name: str, owner: str) -> None:
    page = (await sample.public.get(f"/v1/{resource}?include={name}&limit=100")).json()["items"]
    assert any(record[name] for record in page)
    for record in page:
        listed = (await sample.public.get(f"/v1/{name}?{owner}={record['id']}&limit=200&fields=id")).json()["items"]
        assert {r["id"] for r in record[name]} == {r["id"] for r in listed}
        alone = (await sample.public.get(f"/v1/{resource}/{record['id']}?include={name}&fields=id")).json()
        assert {r["id"] for r in alone[name]} == {r["id"] for r in listed}


@pytest.mark.parametrize("resource", ["persons", "cases", "events", "organisations", "statuses", "statutes", "figures"])
async def test_each_record_embeds_the_sources_that_it_cites(sample: Api, resource: str) -> None:
    page = (await sample.public.get(f"/v1/{resource}?include=sources&limit=100")).json()["items"]
    assert any(record["sources"] for record in page)
    for record in page:
        cited = {c["source"]["id"] for c in record["citations"]}
        assert {s["id"] for s in record["sources"]} == cited
        alone = (await sample.public.get(f"/v1/{resource}/{record['id']}?include=sources")).json()
        assert {s["id"] for s in alone["sources"]} == cited
