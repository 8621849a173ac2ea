"""What routes say of themselves in the OpenAPI document: answers, problems, conditional headers, merge patches."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from app.core import errors
from app.core.errors import FieldProblem, Problem, ProblemDetails
from app.core.pages import Page
from app.core.records import RESOURCES, RecordIn, Resource

REF = "#/components/schemas/{model}"
Responses = dict[int | str, dict[str, Any]]

ETAG = {
    "ETag": {"description": "Version that the caller sees, and a hash of the answer.", "schema": {"type": "string"}}
}
LOCATION = {"Location": {"description": "URL of the record.", "schema": {"type": "string"}}}
NOT_MODIFIED: Responses = {304: {"description": "The client has it already.", "headers": ETAG}}


class Trimmed(BaseModel):
    """A record with only the fields that `fields=` asked for."""

    model_config = ConfigDict(extra="allow")


def problems(*kinds: type[Problem]) -> Responses:
    """Declare the problems that a route answers."""
    content = {"application/problem+json": {"schema": {"$ref": REF.format(model="ProblemDetails")}}}
    everywhere: set[type[Problem]] = {
        errors.BadRequest,
        errors.Unauthorised,
        errors.Invalid,
        errors.TooManyRequests,
        errors.ServerError,
        errors.Unavailable,
    }
    listed: list[type[Problem]] = sorted({*everywhere, *kinds}, key=lambda k: k.status)
    return {k.status: {"description": k.title, "content": content} for k in listed}


MERGED: Responses = {
    308: {
        **problems(errors.Moved)[308],
        "description": "It was merged into the record at Location.",
        "headers": LOCATION,
    }
}
WRITING = (errors.Forbidden, errors.Conflict, errors.Gone, errors.TooLarge, errors.UnsupportedMedia)
CHANGING = (*WRITING, errors.NotFound, errors.ChangedMeanwhile, errors.MatchRequired)


def LIST(read: type[BaseModel]) -> Responses:  # noqa: N802 -- reads as a constant where it is used
    """Answers of a list."""
    return {200: {"model": Page[read | Trimmed], "headers": ETAG}, **NOT_MODIFIED, **problems()}  # type: ignore[valid-type]


def ONE(read: type[BaseModel]) -> Responses:  # noqa: N802
    """Answers of reading one record."""
    return {
        200: {"model": read | Trimmed, "headers": ETAG},
        **NOT_MODIFIED,
        **MERGED,
        **problems(errors.NotFound, errors.Gone),
    }


def CHANGED(read: type[BaseModel]) -> Responses:  # noqa: N802
    """Answers of changing one record."""
    return {200: {"model": read, "headers": ETAG}, **MERGED, **problems(*CHANGING)}


def CREATED(read: type[BaseModel]) -> Responses:  # noqa: N802
    """Answers of making a record."""
    return {201: {"model": read, "headers": {**ETAG, **LOCATION}}, **problems(*WRITING)}


def WRITTEN(read: type[BaseModel]) -> Responses:  # noqa: N802
    """Answers of making or replacing a record."""
    made = {"model": read, "description": "It was made.", "headers": {**ETAG, **LOCATION}}
    replaced = {"model": read, "description": "It was replaced.", "headers": ETAG}
    return {200: replaced, 201: made, **MERGED, **problems(*CHANGING)}


DELETED: Responses = {204: {"description": "It was deleted."}, **MERGED, **problems(*CHANGING)}


class Version(BaseModel):
    """One version of a record."""

    version: int | None = Field(description="Version that the change made.")
    operation: str = Field(description="insert, update or delete.")
    at: str = Field(description="When, in UTC.")
    by: str | None = Field(description="Name of the key that made it.")
    level: str | None = Field(description="Level that the record had afterwards.")
    changed: list[str] = Field(description="Names of the fields that changed.")


class Versions(BaseModel):
    """All versions of a record, newest first."""

    items: list[Version] = Field(description="The versions.")


HISTORY: Responses = {
    200: {"model": Versions, "headers": ETAG},
    **NOT_MODIFIED,
    **problems(errors.Forbidden, errors.NotFound),
}


def patch_of(create: type[RecordIn]) -> dict[str, Any]:
    """Describe the merge patch of a record: its own fields, each of them optional or null."""
    schema = create.model_json_schema(ref_template=REF)
    optional = {
        name: {
            "anyOf": [field, {"type": "null"}],
            **({"description": field["description"]} if "description" in field else {}),
        }
        for name, field in schema["properties"].items()
    }
    patch = {
        "type": "object",
        "title": create.__name__.removesuffix("In") + "Patch",
        "properties": optional,
        "additionalProperties": False,
    }
    kinds = ("application/merge-patch+json", "application/json")
    return {"requestBody": {"required": True, "content": {kind: {"schema": patch} for kind in kinds}}}


def _name_patch(content: dict[str, Any], parts: dict[str, Any]) -> None:
    """Move a patch's schema among the named ones: said once for both media types, and a name for generated clients."""
    for kind in content.values():
        name = kind["schema"]["title"]
        parts[name] = kind["schema"]
        kind["schema"] = {"$ref": REF.format(model=name)}


def _name_values(parameters: list[dict[str, Any]], resource: Resource) -> None:
    """Say what `sort`, `include` and `fields` of this very resource can be."""
    fields = sorted(i.alias or n for n, i in resource.read.model_fields.items())
    known = {
        "sort": (sorted({*resource.sorts, "id"}), r"^-?(?:{0})(?:,-?(?:{0})){{0,2}}$"),
        "include": (sorted({*resource.includes, "citations"}), "^(?:{0})(?:,(?:{0}))*$"),
        "fields": (fields, "^(?:{0})(?:,(?:{0}))*$"),
    }
    for parameter in parameters:
        if parameter["name"] in known:
            values, pattern = known[parameter["name"]]
            parameter["description"] += f" Known here: {', '.join(values)}."
            parameter["schema"]["anyOf"][0]["pattern"] = pattern.format("|".join(values))


HEADERS = {"Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}}
"""Headers whose form is checked; of a list of entity tags, those that are not ours just do not match."""


def _headers(method: str, path: str) -> list[dict[str, Any]]:
    """Name the request headers that mean something to an operation."""
    names: list[tuple[str, str]] = []
    if method == "get":
        names.append(("If-None-Match", "Entity tag of the answer that the client has; 304 if it still is the same."))
    one = path.endswith("/{record_id}")
    if (one and method in {"put", "patch", "delete"}) or (method == "post" and path.endswith("/merge")):
        names.append(("If-Match", "Entity tag of the record that was read; `*` for any."))
    if method == "put" and one:
        names.append(("If-None-Match", "`*`: only make, never replace."))
    if method == "post" and "{record_id}" not in path:
        names.append(("Idempotency-Key", "Any string of the client's; a repeat within 72 hours gets the first answer."))
    return [
        {"name": n, "in": "header", "required": False, "description": d, "schema": HEADERS.get(n, {"type": "string"})}
        for n, d in names
    ]


def document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's own, with the problems, the headers and the key that it cannot know of."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    parts = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        parts.pop(unused, None)
    for model in (FieldProblem, ProblemDetails):
        found = model.model_json_schema(ref_template=REF)
        found.pop("$defs", None)
        parts[model.__name__] = found
    schema["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key such as chr_…; none is needed to read what is public.",
        }
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            needed = "403" in operation["responses"]
            operation["security"] = [{"key": []}] if needed else [{}, {"key": []}]
            for parameter in operation.setdefault("parameters", []):
                if parameter["name"] == "record_id":
                    parameter["description"] = "Id of the record."
            if method == "get" and (resource := RESOURCES.get(path.removesuffix("/{record_id}").rpartition("/")[2])):
                _name_values(operation["parameters"], resource)
            operation["parameters"].extend(_headers(method, path))
            if method == "patch":
                _name_patch(operation["requestBody"]["content"], parts)
    app.openapi_schema = schema
    return schema
