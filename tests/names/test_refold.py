"""When the fold changes, names that are stored are folded anew, and nothing else about their records moves."""

import asyncio

import asyncpg
import httpx
import pytest

from app.core import fold, schema
from app.main import create_app
from tests.conftest import SECRET, Site, make_site


@pytest.fixture(scope="module")
def own_site(server_url: str) -> Site:
    return make_site(server_url, "refold")


async def _run(site: Site, *statements: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(site.url)
    try:
        for sql in statements:
            rows: list[asyncpg.Record] = await connection.fetch(sql)
        return rows
    finally:
        await connection.close()


async def _ready(site: Site) -> int:
    app = create_app(site.settings())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chronika.test") as client:
        status = (await client.get("/readyz")).status_code
    await app.state.database.close()
    return status


def test_names_are_folded_anew_when_the_fold_has_changed(own_site: Site) -> None:
    asyncio.run(
        _run(
            own_site,
            "INSERT INTO persons (id, origin, origin_id, level, publication_ground) VALUES "
            "('00000000-0000-4000-8000-000000000001', 'a', '1', 0, 'public_record')",
            "INSERT INTO person_names (person_id, text, kind, level, folded) VALUES "
            "('00000000-0000-4000-8000-000000000001', 'Сяргей Ціханоўскі', 'primary', 0, 'as folded long ago')",
        )
    )
    state = "SELECT p.version, p.updated_at, (SELECT count(*) FROM changes) AS changes FROM persons p"
    before = asyncio.run(_run(own_site, state))
    assert asyncio.run(schema.is_at_head(own_site.url, SECRET.encode()))

    schema.upgrade(own_site.url, SECRET.encode())
    keys = (
        "SELECT k.folded, n.folded AS kept FROM person_keys_public k JOIN person_names n ON n.person_id = k.record_id"
    )
    assert asyncio.run(_run(own_site, keys))[0]["folded"] == "as folded long ago", "the version of the fold is the same"

    asyncio.run(_run(own_site, "UPDATE name_fold SET version = 0"))
    assert not asyncio.run(schema.is_at_head(own_site.url, SECRET.encode())), "serving must upgrade first"
    assert asyncio.run(_ready(own_site)) == 503
    schema.upgrade(own_site.url, SECRET.encode())
    found = asyncio.run(_run(own_site, keys))
    assert [tuple(r) for r in found] == [("sargai tiganavsk", "sargai tiganavsk")]
    assert asyncio.run(_ready(own_site)) == 200
    assert asyncio.run(_run(own_site, state)) == before
    assert asyncio.run(_run(own_site, "SELECT version FROM name_fold"))[0]["version"] == fold.VERSION
