"""Which fields hold codes, and of which vocabulary: told by the field's own description."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

_NAMED = re.compile(r"\(vocabulary ([a-z_]+)\)")


@cache
def _vocabularies(model: type[BaseModel]) -> tuple[tuple[str, str, str | None], ...]:
    """Return of each field that holds codes, or whose items may, its name, name outside, and the vocabulary.

    The description that people read is the one place that names it.
    """
    found = []
    for name, info in model.model_fields.items():
        named = _NAMED.search(info.description or "")
        parts = any(isinstance(a, type) and issubclass(a, BaseModel) for a in get_args(info.annotation))
        if named or parts:
            found.append((name, info.alias or name, named.group(1) if named else None))
    return tuple(found)


def code_fields(given: BaseModel, pointer: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield each code in an input: its JSON pointer, its vocabulary, and the code."""
    for name, outside, vocabulary in _vocabularies(type(given)):
        value, at = getattr(given, name), f"{pointer}/{outside}"
        if value is None:
            continue
        if vocabulary is not None:
            many = enumerate(value) if isinstance(value, list) else [(None, value)]
            yield from ((at if n is None else f"{at}/{n}", vocabulary, v) for n, v in many)
        elif isinstance(value, list):
            for n, item in enumerate(value):
                yield from code_fields(item, f"{at}/{n}")
