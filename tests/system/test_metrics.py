"""Metrics: off unless asked for, and without a word about who asked for what."""

import httpx
import pytest

from app.main import create_app
from tests.conftest import Api

pytestmark = pytest.mark.anyio


async def test_metrics_are_off_unless_asked_for(api: Api) -> None:
    answer = await api.public.get("/metrics")
    assert answer.status_code == 404


async def test_metrics_count_by_route_and_name_nobody(api: Api) -> None:
    app = create_app(api.site.settings().model_copy(update={"metrics": True}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://chronika.test") as client:
        person = "11111111-2222-4333-8444-555555555555"
        await client.get(f"/v1/persons/{person}")
        await client.get("/v1/persons?q=Canary")
        await client.get("/nowhere/Canary")
        text = (await client.get("/metrics")).text
    await app.state.database.close()
    assert 'chronika_requests_total{method="GET",route="/v1/persons/{record_id}",status="404"} 1.0' in text
    assert 'chronika_requests_total{method="GET",route="/v1/persons",status="200"} 1.0' in text
    assert 'route="none",status="404"' in text
    assert person not in text
    assert "Canary" not in text
