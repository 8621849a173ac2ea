"""Makes generated requests truly valid: what a schema cannot say (codes that exist, dates in order) is put right here.

Loaded by Schemathesis as its hooks. Only requests that are meant to be accepted are touched; what a form must refuse
is left as it was generated.
"""

import os
import re
import tomllib
from importlib.resources import files
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

from tests.contract.document import BY_ID, resolve

DATES = ("2024", "2023-08", "2024-01-08", "2024-01-08/2024-01-09", "2024?", "2024~", "2024-01-XX", "2023-02-15/..")
LATER = {"end", "to", "valid_to", "died", "dissolved", "decided", "converted_on"}
"""Dates that must not lie before another one."""

STOCKS = {"/v1/statistics/persons_in_status", "/v1/statistics/organisations_in_status"}

schemathesis.openapi.format("edtf", st.sampled_from(DATES))


def code_of(vocabulary: str) -> str:
    """Return some code of a vocabulary."""
    text = (files("app.vocabularies") / "data" / f"{vocabulary}.toml").read_text(encoding="utf-8")
    code: str = tomllib.loads(text)["terms"][0]["code"]
    return code


def vocabulary_of(field: dict[str, Any]) -> str | None:
    """Return the vocabulary that a field's description names."""
    found = re.search(r"\(vocabulary ([a-z_]+)\)", field.get("description", ""))
    return found[1] if found else None


def _refers(schema: dict[str, Any]) -> bool:
    """Whether a field is a reference, or a list of them, to a record that would have to exist."""
    forms = [*schema.get("anyOf", []), schema.get("items", {})]
    return schema.get("$ref", "").endswith("/Ref") or any(_refers(f) for f in forms if f)


def _members(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of whichever form of a schema an object has."""
    found = resolve(schema)
    for form in found.get("anyOf", []):
        inner = resolve(form)
        if inner.get("type") == "object" and value.keys() <= inner.get("properties", {}).keys():
            return dict(inner["properties"])
    return dict(found.get("properties", {}))


def _items(schema: dict[str, Any]) -> dict[str, Any]:
    forms = [resolve(schema), *(resolve(f) for f in resolve(schema).get("anyOf", []))]
    return next((dict(f["items"]) for f in forms if "items" in f), {})


def fitting(schema: dict[str, Any], value: Any) -> Any:
    """Return a valid value as near to `value` as what is recorded allows."""
    if isinstance(value, list):
        return [fitting(_items(schema), v) for v in value]
    if not isinstance(value, dict):
        return value
    members = _members(schema, value)
    fitted: dict[str, Any] = {}
    for name, given in value.items():
        field = members.get(name)
        if field is None:
            fitted[name] = given
        elif (vocabulary := vocabulary_of(field)) and given is not None:
            code = code_of(vocabulary)
            fitted[name] = [code for _ in given] if isinstance(given, list) else code
        elif not (_refers(field) or name in LATER or name in {"id", "origin", "origin_id", "citations"}):
            fitted[name] = fitting(field, given)
    return fitted | _rules(members, fitted)


def _rules(members: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """Return what the rules between fields ask for."""
    asked: dict[str, Any] = {}
    if fitted.get("level") == "public" and "publication_ground" in members:
        asked["publication_ground"] = "public_record"
    if fitted.get("part") is not None and fitted.get("article") is None:
        asked["article"] = "1"
    if {"role", "count", "organisation"} <= members.keys():  # a participant: a group that is counted
        asked["count"] = 3
    if fitted.get("amount") is not None and fitted.get("unit") is None:
        asked["unit"] = "USD"
    if fitted.get("from") is not None and "at" in fitted:
        asked["at"] = None
    if "declared_by" in members:
        asked["person"] = os.environ["CHRONIKA_TEST_PERSON"]
    return asked


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Put a request right that is meant to be accepted."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = BY_ID[case.operation.definition.raw["operationId"]]
    if isinstance(case.body, dict) and (schema := operation.body()):
        case.body = fitting(schema, case.body)
    if case.operation.path == "/v1/changes/ack":
        case.body = {"cursor": os.environ["CHRONIKA_TEST_CURSOR"]}
    query = case.query = case.query or {}
    query.pop("cursor", None)  # only what an answer gave is one
    query.pop("exact", None)  # each list names the filters that it takes literally
    if "other_id" in (case.path_parameters or {}):
        case.path_parameters["other_id"] = str(uuid4())  # nobody is judged not to be oneself
    if case.operation.path == "/v1/changes":  # goes on from a snapshot, whose cursor is good for one selection
        query.clear()
        query |= {"cursor": os.environ["CHRONIKA_TEST_CURSOR"], "wait": 0}
    if case.operation.path in STOCKS:  # counted on a day
        query.pop("grain", None)
        query.pop("from", None)
        query["at"] = "2024-01-31"
    if "," in str(query.get("sort", "")):
        query["sort"] = query["sort"].partition(",")[0]  # a key may be given once
    for name in [n for n in query if n == "to" or n.endswith("_to")]:
        del query[name]  # must be later than its `from`
