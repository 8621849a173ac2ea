"""No request takes for ever, and one that fails on the way leaves neither a half-stored record nor a word in a log."""

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import ClassVar

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import StreamingResponse

from app.core.http import Problems, Route, add_problem_handlers
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


class Hasty(Route):
    """A route that waits a twentieth of a second."""

    time_limit: ClassVar[float] = 0.05


ended: list[bool] = []
router = APIRouter(route_class=Hasty)


@router.get("/slow")
async def get_slow(request: Request) -> None:
    async def end(*, commit: bool) -> None:
        ended.append(commit)

    request.state.transaction = SimpleNamespace(end=end)
    await asyncio.sleep(5)


@router.get("/broken")
async def get_broken() -> StreamingResponse:
    async def rows() -> AsyncIterator[str]:
        yield "a row"
        raise RuntimeError("somebody's name")

    return StreamingResponse(rows())


def _client() -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(router)
    add_problem_handlers(app)
    app.add_middleware(Problems)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t")


async def test_a_request_that_takes_too_long_is_given_up_and_rolled_back() -> None:
    async with _client() as client:
        answer = await client.get("/slow")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert ended == [False]


async def test_an_answer_that_breaks_off_leaves_no_message(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with _client() as client:
        with pytest.raises(ConnectionAbortedError) as raised:
            await client.get("/broken")
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__, "the server would log what it came from"
    assert "somebody" not in caplog.text
    assert "RuntimeError" in caplog.text


async def test_a_lock_that_is_held_too_long_is_a_503(api: Api, owner: asyncpg.Connection) -> None:
    place = (await make(api.editor, "places"))["id"]
    await owner.execute("ALTER ROLE chronika_editor SET lock_timeout = '100ms'")
    await (await api.app.state.database.pool("editor")).expire_connections()
    try:
        async with owner.transaction():
            await owner.execute("SELECT 1 FROM places WHERE id = $1 FOR UPDATE", place)
            answer = await api.editor.delete(f"/v1/places/{place}", headers={"If-Match": "*"})
    finally:
        await owner.execute("ALTER ROLE chronika_editor SET lock_timeout = '5s'")
        await (await api.app.state.database.pool("editor")).expire_connections()
    assert answer.status_code == 503
