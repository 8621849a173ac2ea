"""The OpenAPI document as tests read it; `python -m tests.contract.document > openapi.json` writes it anew."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr

from app.core.settings import Settings
from app.main import create_app

METHODS = ("get", "post", "put", "patch", "delete")
ID = "{record_id}"


def application() -> FastAPI:
    """Return the application, on a database that nothing here asks for anything."""
    return create_app(Settings(database_url="postgresql://nobody@localhost/none", secret=SecretStr("x" * 32)))


def as_text(document: dict[str, Any]) -> str:
    """Return the document as it is committed: indented, so that a review shows what changed."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


DOCUMENT: dict[str, Any] = application().openapi()


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    said: dict[str, Any]

    def __str__(self) -> str:
        """Name it in a test's id."""
        return str(self.said.get("operationId", f"{self.method} {self.path}"))

    def parameters(self, where: str) -> dict[str, dict[str, Any]]:
        """Return its parameters in `path`, `query` or `header`, by name."""
        return {p["name"]: p for p in self.said.get("parameters", []) if p["in"] == where}

    def body(self) -> dict[str, Any] | None:
        """Return the schema of its JSON body, None if it takes none."""
        content = self.said.get("requestBody", {}).get("content", {})
        found: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return found

    def answers_json(self) -> bool:
        """Tell whether it answers a document, rather than a stream of lines."""
        return "application/json" in self.said["responses"].get("200", {}).get("content", {})

    def answer(self, status: int) -> dict[str, Any]:
        """Return the schema of an answer with this status, ready to validate against."""
        schema = self.said["responses"][str(status)]["content"]["application/json"]["schema"]
        return {**schema, "components": DOCUMENT["components"]}


def operations() -> Iterator[Operation]:
    """Yield every operation of the document."""
    for path, methods in DOCUMENT["paths"].items():
        for method, said in methods.items():
            if method in METHODS:
                yield Operation(path, method, said)


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the components."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


OPERATIONS = list(operations())
BY_ID = {str(o): o for o in OPERATIONS}
LISTS = [o for o in OPERATIONS if o.method == "get" and {"limit", "sort"} <= o.parameters("query").keys()]
"""Operations that answer pages of records."""

DETAILS = [o for o in OPERATIONS if o.method == "get" and o.path.endswith(ID) and o.path.startswith("/v1/")]
"""Operations that answer one record."""

CREATES = [o for o in OPERATIONS if o.method == "post" and o.body() and o.path + "/" + ID in {d.path for d in DETAILS}]
"""Operations that record something."""

RESOURCES = sorted(o.path.removeprefix("/v1/") for o in CREATES)
"""Names of the resources that can be recorded."""


def named(operation: Operation) -> str:
    """Return the resource that an operation is of, as the last fixed part of its path."""
    return operation.path.removesuffix("/" + ID).rpartition("/")[2]


if __name__ == "__main__":
    sys.stdout.write(as_text(DOCUMENT))
