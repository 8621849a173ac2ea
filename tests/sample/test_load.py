"""Loading the sample: whole, once, each record with its sources and with one change that says who made it."""

import asyncpg
import pytest

from app.sample import load as sample_load
from app.sample.load import ORDER, is_empty, load, read
from tests.conftest import Api, Site
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_every_record_of_the_files_is_there_and_cites_a_source(sample: Api) -> None:
    counts = (await sample.editor.get("/v1/status")).json()["records"]
    assert counts == {r.name: len(read(r.name)) for r in ORDER}
    uncited = []
    for resource in ORDER:
        if resource.name == "sources":
            continue
        url: str | None = f"/v1/{resource.name}?limit=200"
        while url is not None:
            page = (await sample.editor.get(url)).json()
            uncited += [r["origin_id"] for r in page["items"] if not r["citations"]]
            url = page["next"]
    assert uncited == []


async def test_each_record_has_one_change_made_by_the_sample(sample: Api, sample_site: Site) -> None:
    assert not await is_empty(sample.app.state.database)
    connection = await asyncpg.connect(sample_site.url)
    try:
        made = await connection.fetch(
            "SELECT op, actor, origin, version, closed, count(*) FROM changes GROUP BY 1,2,3,4,5"
        )
        assert [tuple(r) for r in made] == [
            ("insert", "sample", "sample", 1, True, sum(len(read(r.name)) for r in ORDER))
        ]
        hidden = await connection.fetch("SELECT origin_id FROM events WHERE effective_level > 0")
        assert [r[0] for r in hidden] == ["event/minors-parents-q1"]
        protected = await connection.fetchval("SELECT count(*) FROM persons_private")
        assert protected == len(read("protected"))
    finally:
        await connection.close()


async def test_a_load_that_fails_leaves_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sample_load.read

    def broken(name: str) -> list[dict[str, object]]:
        found = real(name)
        return [*found, {"person": "person/nobody", "content": {}}] if name == "protected" else found

    monkeypatch.setattr(sample_load, "read", broken)
    with pytest.raises(KeyError):
        await load(api.app.state.database)
    assert await is_empty(api.app.state.database)
    assert set((await api.editor.get("/v1/status")).json()["records"].values()) == {0}


async def test_a_second_load_is_refused_whole(api: Api) -> None:
    assert await is_empty(api.app.state.database)
    count = await load(api.app.state.database)
    with pytest.raises(asyncpg.UniqueViolationError):
        await load(api.app.state.database)
    assert sum((await api.editor.get("/v1/status")).json()["records"].values()) == count


async def test_a_registry_with_a_person_is_not_empty(api: Api) -> None:
    await make(api.editor, "persons")
    assert not await is_empty(api.app.state.database)
