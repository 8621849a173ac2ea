"""The worked questions of the documentation are answered as it says."""

import re
from pathlib import Path

import pytest

from tests.conftest import Api

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^### \d+\. .*?$.*?^`(/v1/statistics/[^`]+)`$.*?^\*\*(\d+)\*\*", PAGE, re.MULTILINE | re.DOTALL)
URLS = re.findall(r"http://localhost:8000(/v1/statistics/[^\"\s]+)", PAGE)


def test_there_are_ten_and_three_ways_to_use_them() -> None:
    assert len(QUESTIONS) == 10
    assert len(URLS) == 3


async def test_every_question_has_the_answer_that_is_printed(sample: Api) -> None:
    for url, answer in QUESTIONS:
        found = await sample.public.get(url)
        assert found.status_code == 200, (url, found.text)
        assert found.json()["total"]["value"] == int(answer), url
    for url in URLS:
        assert (await sample.public.get(url)).status_code == 200
