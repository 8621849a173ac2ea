"""The OpenAPI document: committed, complete, and true to the names in the code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, _IncludedRouter

from app.core.errors import KINDS
from tests.conftest import Api
from tests.contract.document import (
    CREATES,
    DETAILS,
    DOCUMENT,
    LISTS,
    OPERATIONS,
    RESOURCES,
    Operation,
    application,
    as_text,
)
from tests.factories import MINIMAL

COMMITTED = Path(__file__).parents[2] / "openapi.json"
EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def test_the_committed_document_is_the_current_one() -> None:
    """A change of the contract must show in review."""
    kept = COMMITTED.read_text(encoding="utf-8") if COMMITTED.exists() else ""
    assert kept == as_text(DOCUMENT), "the contract changed: python -m tests.contract.document > openapi.json"


def test_every_resource_has_a_factory() -> None:
    """What has no factory would be left out of every test that goes over the resources."""
    assert sorted(MINIMAL) == RESOURCES


def test_the_document_has_what_the_tests_go_over() -> None:
    """An empty parametrisation passes by itself; this one does not."""
    assert len(CREATES) == len(DETAILS) >= 9
    assert {o.path for o in CREATES} <= {o.path for o in LISTS}


@EACH
def test_an_operation_is_named_and_described(operation: Operation) -> None:
    said = operation.said
    assert said["operationId"].isidentifier()
    assert said["operationId"].islower()
    assert (said.get("summary") or "") != ""
    assert (said.get("description") or "") != ""
    assert said["tags"]
    for parameter in said.get("parameters", []):
        described = parameter.get("description") or parameter["schema"].get("description")
        assert described, f"{parameter['in']} parameter {parameter['name']} has no description"


def test_operation_ids_are_the_names_of_the_functions() -> None:
    routers = [r.original_router for r in application().routes if isinstance(r, _IncludedRouter)]
    routes = [r for router in routers for r in router.routes if isinstance(r, APIRoute) and r.include_in_schema]
    functions = {(r.path, m.lower()): r.endpoint.__name__ for r in routes for m in r.methods or ()}
    assert functions == {(o.path, o.method): o.said["operationId"] for o in OPERATIONS}
    assert len(set(functions.values())) == len(functions), "two operations share a name"


def _undescribed(schema: Any, at: str) -> Iterator[str]:
    if isinstance(schema, list):
        for n, inner in enumerate(schema):
            yield from _undescribed(inner, f"{at}/{n}")
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            target = field.get("$ref", "").rpartition("/")[2]
            if not field.get("description") and not target:
                yield f"{at}.{name}"
        for name, inner in schema.items():
            yield from _undescribed(inner, f"{at}/{name}")


def test_every_property_is_described() -> None:
    assert [p for name, s in DOCUMENT["components"]["schemas"].items() for p in _undescribed(s, name)] == []
    bodies = [o.said.get("requestBody", {}) for o in OPERATIONS]
    assert [p for b in bodies for p in _undescribed(b, "body")] == []


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(ref := value.get("$ref"), str):
            yield ref
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    known = {f"#/components/schemas/{n}" for n in DOCUMENT["components"]["schemas"]}
    assert set(_references(DOCUMENT)) <= known


@EACH
def test_errors_are_declared_as_problems(operation: Operation) -> None:
    for status, response in operation.said["responses"].items():
        if status.startswith(("4", "5")):
            assert list(response["content"]) == ["application/problem+json"], status
            assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemDetails")
        assert response["description"]


@pytest.mark.anyio
async def test_every_problem_type_leads_to_its_page(api: Api) -> None:
    for kind in KINDS:
        answer = await api.public.get(f"/problems/{kind.slug}")
        assert answer.status_code == 200, kind
        assert (answer.json()["title"], answer.json()["status"]) == (kind.title, kind.status)
    unknown = await api.public.get("/problems/nothing-of-the-kind")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.anyio
async def test_the_served_document_is_the_current_one(api: Api) -> None:
    served = await api.public.get("/openapi.json")
    assert json.loads(served.text) == DOCUMENT
