"""Metrics: off unless asked for, and without a word about who asked for what."""

import httpx
import pytest

from app.core.settings import Settings
from app.main import create_app
from tests.conftest import SECRET, Api

pytestmark = pytest.mark.anyio


async def test_metrics_are_off_unless_asked_for(api: Api) -> None:
    settings = Settings(database_url=api.site.url, secret=SECRET)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://chronika.test") as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_metrics_count_by_route_and_name_nobody(api: Api) -> None:
    person = "11111111-2222-4333-8444-555555555555"

    def count(text: str, route: str, status: int) -> float:
        label = f'chronika_requests_total{{method="GET",route="{route}",status="{status}"}} '
        return sum(float(line.removeprefix(label)) for line in text.splitlines() if line.startswith(label))

    before = (await api.public.get("/metrics")).text
    await api.public.get(f"/v1/persons/{person}")
    await api.public.get("/v1/persons?q=Canary")
    await api.public.get("/nowhere/Canary")
    after = (await api.public.get("/metrics")).text
    for route, status in (("/v1/persons/{record_id}", 404), ("/v1/persons", 200), ("none", 404)):
        assert count(after, route, status) == count(before, route, status) + 1
    assert person not in after
    assert "Canary" not in after
