"""Schemathesis over the whole document, all its checks, against the service as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server

CONFIG = Path(__file__).with_name("schemathesis.toml")
PUBLIC = {"level": "public", "publication_ground": "public_record"}


def run(server: Server, *options: str, role: str) -> None:
    """Run all checks of Schemathesis on the server; whatever it finds is the failure's text."""
    editor = server.site.headers("editor")
    person = httpx.post(f"{server.url}/v1/persons", json=PUBLIC, headers=editor).json()["id"]
    reader = editor if role == "editor" else {}
    first, _, _ = httpx.get(f"{server.url}/v1/snapshot", headers=reader, timeout=60).text.partition("\n")
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.contract.valid_inputs",
        "CHRONIKA_TEST_PERSON": person,
        "CHRONIKA_TEST_CURSOR": json.loads(first)["cursor"],
        "PYTHONPATH": str(Path.cwd()),
    }
    httpx.get(f"{server.url}/openapi.json", timeout=60).raise_for_status()  # made once, at the first request
    key = [f"--header=Authorization: {editor['Authorization']}"] if role == "editor" else []
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={CONFIG}", "run"]
    command += [f"{server.url}/openapi.json", "--checks=all", "--generation-deterministic", "--warnings=off"]
    command += ["--continue-on-failure", "--no-color", "--no-shrink", *key, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " generated, " in done.stdout or "Test cases:" in done.stdout, "nothing was run"


def test_a_few_examples_of_everything_that_is_recorded(server: Server) -> None:
    run(server, "--phases=examples,fuzzing", "--max-examples=1", "--include-method=POST", role="editor")


@pytest.mark.full
def test_a_few_examples_of_everything_else_with_a_key(server: Server) -> None:
    run(server, "--phases=examples,fuzzing", "--max-examples=2", "--exclude-method=POST", role="editor")


@pytest.mark.full
def test_every_border_of_the_canonical_resource(server: Server) -> None:
    run(
        server,
        "--phases=coverage",
        "--include-path=/v1/rates",
        "--include-path=/v1/statutes/{record_id}",
        role="editor",
    )


def test_a_few_examples_of_every_read_without_a_key(server: Server) -> None:
    run(server, "--phases=examples,fuzzing", "--max-examples=1", "--include-method=GET", role="public")


@pytest.mark.full
def test_everything_with_an_editors_key(server: Server) -> None:
    run(server, "--max-examples=50", role="editor")


@pytest.mark.full
def test_everything_without_a_key(server: Server) -> None:
    run(server, "--max-examples=20", role="public")
