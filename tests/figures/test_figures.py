"""Figures: a published number with its words, of a day or of a period."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ({"at": "2024-01-31"}, 201),
        ({"from": "2024-01", "to": "2024-02"}, 201),
        ({"from": "2024"}, 201),
        ({"to": "2024-02"}, 201),
        ({"at": "2024-01-31", "from": "2024-01"}, 422),
        ({"from": "2024-02", "to": "2024-01"}, 422),
        ({"at": "31.01.2024"}, 422),
        ({"at": "2024-02-30"}, 422),
    ],
)
async def test_a_figure_is_of_a_day_or_of_a_period(api: Api, time: dict[str, Any], status: int) -> None:
    answer = await api.editor.post("/v1/figures", json={"value": 10, "measure": "events", **time})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(("value", "label"), [(0, "0 persons"), (8895, "8895 persons"), (0.3333, "0.3333 persons")])
async def test_a_figure_is_called_by_its_number_and_unit(api: Api, value: float, label: str) -> None:
    base = await make(api.editor, "figures", value=value, unit="persons")
    assert base["value"] == value
    part = await make(api.editor, "figures", base=base["id"])
    assert part["base"]["label"] == label


async def test_its_filters_are_kept_as_given(api: Api) -> None:
    filters = {"type": "detention", "region": ["BY-HM", "BY-MI"]}
    figure = await make(api.editor, "figures", filters=filters, qualifier="almost", printed="almost a thousand")
    shown = (await api.public.get(f"/v1/figures/{figure['id']}")).json()
    assert (shown["filters"], shown["qualifier"], shown["printed"]) == (filters, "almost", "almost a thousand")
