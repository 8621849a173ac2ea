"""The sample as the public reads it, by the ids that its records carry."""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, records

RESOURCES = ("places", "organisations", "sources", "statutes", "persons", "cases", "events", "statuses", "figures")


@pytest.fixture(scope="session")
async def book(sample: Api) -> dict[str, Record]:
    """Give every public record of the sample, read through the API, by its id there, such as `event/kgb-raid`."""
    return {r["origin_id"]: r for name in RESOURCES for r in await records(sample.public, f"/v1/{name}")}
