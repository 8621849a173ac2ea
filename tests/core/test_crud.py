"""What every resource can do: be made, read, replaced, patched, deleted; tried on all nine."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

RESOURCES = sorted(MINIMAL)


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_record_can_be_made_read_replaced_patched_and_deleted(api: Api, resource: str) -> None:
    made = await make(api.editor, resource)
    url = f"/v1/{resource}/{made['id']}"
    read = await api.public.get(url)
    assert read.status_code == 200
    assert read.json()["version"] == 1

    # What was read can be sent back as it is, and that changes nothing.
    whole = (await api.editor.get(url)).json()
    replaced = await api.editor.put(url, json=whole, headers={"If-Match": made["etag"]})
    assert replaced.status_code == 200, replaced.text
    assert replaced.json() == whole

    patched = await api.editor.patch(url, json={"confidence": "probable"}, headers={"If-Match": made["etag"]})
    assert patched.status_code == 200, patched.text
    assert (patched.json()["version"], patched.json()["confidence"]) == (2, "probable")

    late = await api.editor.patch(url, json={"confidence": None}, headers={"If-Match": made["etag"]})
    assert (late.status_code, late.json()["version"]) == (412, 2)
    assert (await api.editor.delete(url)).status_code == 428
    assert (await api.editor.delete(url, headers={"If-Match": patched.headers["etag"]})).status_code == 204
    assert (await api.public.get(url)).status_code == 410
    again = await api.editor.put(url, json=whole, headers={"If-None-Match": "*"})
    assert again.status_code == 410, "a tombstoned id is never given again"


@pytest.mark.parametrize("resource", RESOURCES)
async def test_nobody_without_an_editors_key_may_write(api: Api, resource: str) -> None:
    body: dict[str, Any] = {**MINIMAL[resource], **PUBLIC}
    assert (await api.public.post(f"/v1/{resource}", json=body)).status_code == 401
    assert (await api.partner.post(f"/v1/{resource}", json=body)).status_code == 403
