"""Records for tests: plain functions that say only what a test is about."""

from typing import Any

import httpx

PUBLIC = {"level": "public", "publication_ground": "public_record"}

MINIMAL: dict[str, dict[str, Any]] = {
    "places": {"kind": "city", "names": [{"text": "Sampletown"}]},
    "organisations": {"kind": "ngo", "names": [{"text": "Sample Watch"}]},
    "sources": {"kind": "report", "title": "A report"},
    "statutes": {"jurisdiction": "XX", "code": "CC", "article": "1"},
    "persons": {"names": [{"text": "Vera Example"}]},
    "cases": {"kind": "criminal"},
    "events": {"type": "detention"},
    "statuses": {"kind": "in_custody"},
    "figures": {"value": "10", "measure": "events"},
}
"""Resource → the least that a record of it needs; a status also needs a person or an organisation."""


async def make(client: httpx.AsyncClient, resource: str, **fields: Any) -> dict[str, Any]:
    """Record something public, of which only `fields` matter, and return it as answered."""
    body = {**MINIMAL[resource], **PUBLIC, **fields}
    if resource == "statuses" and "person" not in body and "organisation" not in body:
        body["person"] = (await make(client, "persons"))["id"]
    answer = await client.post(f"/v1/{resource}", json=body)
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return {**record, "etag": answer.headers["etag"]}
