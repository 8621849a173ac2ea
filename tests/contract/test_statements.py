"""Each read is one statement: counted on the very connections that the application uses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import asyncpg
import httpx
import pytest

from app.main import create_app
from tests.conftest import Site
from tests.contract.document import DETAILS, ID, LISTS, Operation
from tests.contract.test_lists import known_values

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("sample")]


@dataclass
class Counted:
    """Clients of an application that tells which statements it ran."""

    public: httpx.AsyncClient
    editor: httpx.AsyncClient
    ran: list[str] = field(default_factory=list)

    async def statements(self, client: httpx.AsyncClient, path: str, **query: str) -> int:
        """Return how many statements a read runs, once its connection is open."""
        await client.get(path, params=query)
        self.ran.clear()
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(0)  # asyncpg tells its loggers in the next turn of the loop
        await asyncio.sleep(0)
        return len(self.ran)


@pytest.fixture
async def counted(sample_site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    """Serve the sample from pools whose connections report each statement."""
    ran: list[str] = []

    async def listen(connection: Any) -> None:
        connection.add_query_logger(lambda record: ran.append(record.query))

    monkeypatch.setattr(asyncpg, "create_pool", partial(asyncpg.create_pool, init=listen))
    app = create_app(sample_site.settings().model_copy(update={"cache_mb": 0}))  # a kept answer asks for no records
    clients = {
        role: httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://chronika.test", headers=sample_site.headers(role)
        )
        for role in ("public", "editor")
    }
    yield Counted(**clients, ran=ran)
    for client in clients.values():
        await client.aclose()
    await app.state.database.close()


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_a_page_with_everything_is_one_statement(counted: Counted, operation: Operation) -> None:
    everything = ",".join(known_values(operation, "include"))
    assert await counted.statements(counted.public, operation.path) == 1
    assert await counted.statements(counted.public, operation.path, include=everything, limit="20") == 1
    assert await counted.statements(counted.public, operation.path, count="exact") == 2
    assert await counted.statements(counted.editor, operation.path, include=everything, limit="20") == 2, "and the key"


@pytest.mark.parametrize("operation", DETAILS, ids=str)
async def test_a_record_with_everything_is_one_statement(counted: Counted, operation: Operation) -> None:
    path = operation.path.removesuffix("/" + ID)
    record = (await counted.editor.get(path, params={"limit": "1"})).json()["items"][0]
    everything = ",".join(known_values(operation, "include"))
    assert await counted.statements(counted.editor, f"{path}/{record['id']}") == 2, "and the key"
    assert await counted.statements(counted.editor, f"{path}/{record['id']}", include=everything) == 2, "and the key"
    shown = (await counted.public.get(path, params={"limit": "1"})).json()["items"]
    for public in shown:
        assert await counted.statements(counted.public, f"{path}/{public['id']}", include=everything) == 1
