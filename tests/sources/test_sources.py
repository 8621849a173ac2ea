"""Sources: with gaps, with a publisher apart from the origin, and citing one another."""

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_a_source_cites_a_source(api: Api) -> None:
    cited = await make(api.editor, "sources", title="The first report")
    citing = await make(api.editor, "sources", title="Its reprint", citations=[{"source": cited["id"], "page": "3"}])
    assert [c["source"]["label"] for c in citing["citations"]] == ["The first report"]
    used = (await api.public.get(f"/v1/sources?cited_by={citing['id']}")).json()["items"]
    assert [s["id"] for s in used] == [cited["id"]]
    refused = await api.editor.delete(f"/v1/sources/{cited['id']}", headers={"If-Match": "*"})
    assert refused.status_code == 409


async def test_a_source_may_lack_everything_but_its_kind(api: Api) -> None:
    body = {"kind": "news_article", "title": None, "level": "public", "publication_ground": "public_record"}
    made = (await api.editor.post("/v1/sources", json=body)).json()
    event = await make(api.editor, "events", citations=[{"source": made["id"]}])
    assert event["citations"][0]["source"]["label"] is None


async def test_publisher_and_origin_are_two(api: Api) -> None:
    publisher, origin = (await make(api.editor, "organisations")), (await make(api.editor, "organisations"))
    source = await make(api.editor, "sources", publisher=publisher["id"], originator=origin["id"])
    for name, record, found in (
        ("publisher", publisher, [source["id"]]),
        ("originator", origin, [source["id"]]),
        ("publisher", origin, []),
        ("originator", publisher, []),
    ):
        answer = await api.public.get(f"/v1/sources?{name}={record['id']}")
        assert [s["id"] for s in answer.json()["items"]] == found


async def test_a_disagreement_is_kept_beside_what_is_preferred(api: Api) -> None:
    source = await make(api.editor, "sources")
    agree = {"source": source["id"], "fields": ["date"], "preferred": True}
    differ = {
        "source": source["id"],
        "fields": ["date"],
        "state": "disputed",
        "value": {"date": "2024-01-22/2024-01-28"},
    }
    event = await make(api.editor, "events", date="2024-01-25/2024-01-31", citations=[agree, differ])
    shown = (await api.public.get(f"/v1/events/{event['id']}")).json()["citations"]
    assert [(c["preferred"], c["state"], c["value"]) for c in shown] == [
        (True, "active", None),
        (False, "disputed", {"date": "2024-01-22/2024-01-28"}),
    ]
