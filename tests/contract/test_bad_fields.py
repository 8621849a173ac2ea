"""Bad values in every field of every body and in every parameter: refused or stored, no failure, nothing repeated."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.conftest import Api
from tests.contract.document import BY_ID, CREATES, DETAILS, ID, LISTS, OPERATIONS, Operation, named, resolve
from tests.contract.valid_inputs import code_of, vocabulary_of
from tests.factories import MINIMAL, make

pytestmark = pytest.mark.anyio

CANARY = "cAnArY7"
UNSAFE = [
    CANARY + c for c in ("\0", "\ud800", "\udfff\ud800", "\u202e", "\u2066", "\ufeff", "\x1b[2J", "\x7f", "\ufdd0")
]
"""No text field takes these."""

ODD = [
    *(CANARY + c for c in ("%", "\\", "'", '"', "; DROP TABLE persons; --", "%s%n", "{{7*7}}", "\u0301" * 200)),
    CANARY * 5000,
    "",
    " ",
    "2023-02-30",
    "2024-01-09/2024-01-08",
    "9999-99-99",
    "NaN",
    "Infinity",
    "1e400",
    True,
    0,
    -1,
    1.5,
    2**63,
    -(2**63) - 1,
    10**300,
    1e308,
    5e-324,
    [],
    {},
    [CANARY],
    [[[[CANARY]]]],
    [None],
    {"id": CANARY},
    {"id": str(uuid4()), "label": CANARY},
    {"origin": CANARY, "origin_id": CANARY},
    {"edtf": CANARY},
    {"unknown": CANARY},
    str(uuid4()),
]
"""Any field answers these with a problem, or takes them where they are legal."""


def _forms(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = resolve(schema)
    if "anyOf" in found:
        for form in found["anyOf"]:
            yield from _forms(form)
    else:
        yield found


def leaves(schema: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], bool]]:
    """Yield the path of each field of a body, through its nested lists, and whether it is plain text."""
    properties: dict[str, Any] = next((f["properties"] for f in _forms(schema) if "properties" in f), {})
    for name, field in properties.items():
        forms = list(_forms(field))
        texts = [f for f in forms if f.get("type") == "string"]
        yield (name,), bool(texts) and all(f.get("type") in {"string", "null"} for f in forms)
        for form in forms:
            if form.get("type") == "array":
                inner = list(_forms(form["items"]))
                yield (name, 0), all(f.get("type") == "string" for f in inner)
                if any("properties" in f for f in inner) and not _is_reference(form["items"]):
                    for path, text in leaves(form["items"]):
                        yield (name, 0, *path), text


def _is_reference(schema: dict[str, Any]) -> bool:
    return str(schema.get("$ref", "")).endswith(("/Ref", "/DateIn"))


def least(schema: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the least that an object of this schema needs."""
    found = next(f for f in _forms(schema) if "properties" in f)
    made: dict[str, Any] = {}
    for name in found.get("required", []):
        field = found["properties"][name]
        vocabulary = vocabulary_of(field)
        made[name] = source if _is_reference(field) else code_of(vocabulary) if vocabulary else "x"
    return made


def placed(schema: dict[str, Any], body: dict[str, Any], path: tuple[str | int, ...], value: Any, source: str) -> Any:
    """Return the body with a value at a path, the objects on the way made as small as they can be."""
    name, *rest = path
    if not rest:
        return {**body, str(name): value}
    field = next(f for f in _forms(schema) if "properties" in f)["properties"][str(name)]
    items = next(f for f in _forms(field) if f.get("type") == "array")["items"]
    if len(rest) == 1:
        return {**body, str(name): [value]}
    inner = (body.get(str(name)) or [least(items, source)])[0]
    return {**body, str(name): [placed(items, inner, tuple(rest[1:]), value, source)]}


SIZES = pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.full)], ids=["some", "all"])
"""Every ninth value for a field, beginning elsewhere at each, so that each value meets many fields; or all on all."""

BODIES = [o for o in OPERATIONS if o in CREATES or str(o) == "replace_protected"]


@SIZES
@pytest.mark.parametrize("operation", BODIES, ids=str)
async def test_no_field_fails_on_a_bad_value(api: Api, operation: Operation, every: int) -> None:
    schema, source = operation.body() or {}, (await make(api.editor, "sources"))["id"]
    person = (await make(api.editor, "persons"))["id"]
    url = operation.path.replace(ID, person)
    base = {**MINIMAL.get(named(operation), {}), **({"person": person} if named(operation) == "statuses" else {})}
    before, taken = await counted(api), 0
    for n, (path, text) in enumerate(leaves(schema)):
        for value in [*UNSAFE, *ODD][n % every :: every]:
            body = placed(schema, base, path, value, source)
            content = json.dumps(body).encode()
            answer = await api.guardian.request(
                operation.method, url, content=content, headers={"Content-Type": "application/json"}
            )
            said = (path, value, answer.status_code, answer.text)
            assert answer.status_code < 500, said
            if answer.is_success:
                assert not (text and value in UNSAFE), said
                taken += answer.status_code == 201
            else:
                assert answer.headers["content-type"] == "application/problem+json", said
                assert CANARY not in answer.text, said
    assert await counted(api) == before + taken, "a refused body left something behind"


async def counted(api: Api) -> int:
    """Return how many records there are in all."""
    records: dict[str, int] = (await api.guardian.get("/v1/status")).json()["records"]
    return sum(records.values())


QUERY = [
    *(quote(CANARY + c, safe="") for c in ("\0", "\u202e", "%", "\\", "'", '"', ";--", "\x1b", "\ufeff", "\u2028")),
    CANARY + "%ED%A0%80",
    CANARY + "%FF%FE",
    CANARY + "%",
    CANARY * 800,
    "2023-02-30",
    "0000-00-00",
    "9999-12-31",
    "-0001-01-01",
    "0",
    "1e400",
    "NaN",
    str(2**64),
    "[]",
    "null",
    "true",
    "",
    str(uuid4()),
]
QUERIED = [o for o in OPERATIONS if o.parameters("query")]


@SIZES
@pytest.mark.parametrize("operation", QUERIED, ids=str)
async def test_no_parameter_fails_on_a_bad_value(api: Api, operation: Operation, every: int) -> None:
    made = (await make(api.editor, named(operation)))["id"] if operation in DETAILS else str(uuid4())
    url = operation.path.replace(ID, made)
    for n, name in enumerate([*operation.parameters("query"), CANARY]):
        for value in QUERY[n % every :: every]:
            for asked in (f"{name}={value}", f"{name}={value}&{name}={value}"):
                answer = await api.public.get(f"{url}?{asked}")
                said = (asked, answer.status_code, answer.text)
                assert answer.status_code < 500, said
                if not answer.is_success:
                    assert answer.headers["content-type"] == "application/problem+json", said
                    told = {k: v for k, v in answer.json().items() if k != "snapshot"}  # an address of what was asked
                    assert CANARY not in json.dumps(told) or name == CANARY, said


@pytest.mark.parametrize("operation", CREATES, ids=str)
async def test_a_patch_is_as_strict_as_the_record(api: Api, operation: Operation) -> None:
    made = await make(api.editor, named(operation))
    url, tag = f"{operation.path}/{made['id']}", {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
    for name in operation_fields(operation):
        for value in [*UNSAFE[:3], 2**63, [[[[CANARY]]]], {"unknown": CANARY}]:
            answer = await api.editor.patch(url, content=json.dumps({name: value}).encode(), headers=tag)
            said = (name, value, answer.status_code, answer.text)
            assert answer.status_code < 500, said
            assert answer.is_success or CANARY not in answer.text, said
    (wrong,) = (await api.editor.patch(url, json={"no_such_field": CANARY}, headers=tag)).json()["errors"]
    assert wrong["pointer"] == "/no_such_field"
    now = (await api.editor.get(url)).json()
    assert CANARY not in json.dumps({k: v for k, v in now.items() if k != "filters"})


def operation_fields(operation: Operation) -> list[str]:
    """Return the names of the fields of a body."""
    return list(next(f for f in _forms(operation.body() or {}) if "properties" in f)["properties"])


def test_the_walk_reaches_nested_fields() -> None:
    assert ("sentences", 0, "components", 0, "years") in {p for p, _ in leaves(BY_ID["create_case"].body() or {})}
    assert len(LISTS) <= len(QUERIED)
