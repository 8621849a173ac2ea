"""Other people's files for tests: read where they are, never copied into the project."""

import os
from pathlib import Path

import pytest


def data(name: str) -> Path:
    """Return a file or directory under CHRONIKA_TEST_DATA, or skip the test."""
    root = os.environ.get("CHRONIKA_TEST_DATA")
    if not root:
        pytest.skip("set CHRONIKA_TEST_DATA to the directory of the real files to run this test")
    path = Path(root) / name
    assert path.exists(), f"CHRONIKA_TEST_DATA has no {name}"
    return path
