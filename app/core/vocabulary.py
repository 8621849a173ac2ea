"""Which fields hold codes, and of which vocabulary: told by the field's own description."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

_NAMED = re.compile(r"\(vocabulary ([a-z_]+)\)")


@cache
def _vocabularies(model: type[BaseModel]) -> dict[str, str]:
    """Return field name → vocabulary. The description that people read is the one place that says it."""
    found = {n: _NAMED.search(i.description or "") for n, i in model.model_fields.items()}
    return {n: m.group(1) for n, m in found.items() if m}


def code_fields(given: BaseModel, pointer: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield each code in an input: its JSON pointer, its vocabulary, and the code."""
    vocabularies = _vocabularies(type(given))
    for name, info in type(given).model_fields.items():
        value, at = getattr(given, name), f"{pointer}/{info.alias or name}"
        if name in vocabularies and value is not None:
            many = enumerate(value) if isinstance(value, list) else [(None, value)]
            yield from ((at if n is None else f"{at}/{n}", vocabularies[name], v) for n, v in many)
        elif isinstance(value, list):
            for n, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from code_fields(item, f"{at}/{n}")
