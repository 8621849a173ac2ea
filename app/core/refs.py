"""References between records: how one is given, how it is answered, and what it is called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from sqlalchemy import ColumnElement, Table

from app.core.text import Line


@dataclass(frozen=True)
class To:
    """Marks a reference field with the table it points at."""

    table: str


class Ref(BaseModel):
    """A reference as a client gives it.

    One of: an id (`"6f1c…"`), a natural key where the target has one (`"BY-CC-342-1"`), an origin's own id
    (`{"origin": "org-a", "origin_id": "17"}`), or a reference as the service answered it (`{"id": …, "label": …}`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UUID | None = None
    key: Annotated[Line | None, Field()] = None
    origin: Annotated[Line | None, Field()] = None
    origin_id: Annotated[Line | None, Field()] = None

    @model_validator(mode="before")
    @classmethod
    def _from_any_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                return {"id": UUID(value)}
            except ValueError:
                return {"key": value}
        if isinstance(value, dict) and value.get("id") is not None:
            return {k: v for k, v in value.items() if k not in {"label", "key"}}
        return value

    @model_validator(mode="after")
    def _names_one_record(self) -> "Ref":
        forms = (self.id is not None, self.key is not None, self.origin is not None and self.origin_id is not None)
        if sum(forms) != 1 or (self.origin is None) != (self.origin_id is None):
            msg = "a reference is an id, a natural key, or an object with origin and origin_id"
            raise ValueError(msg)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, _core: Any, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Show the three forms, so that generated clients and schema-driven tests know them."""
        short = {"type": "string", "minLength": 1, "maxLength": 300}
        return {
            "title": "Ref",
            "description": "An id, a natural key, or an origin's own id.",
            "anyOf": [
                {"type": "string", "format": "uuid"},
                short,
                {
                    "type": "object",
                    "properties": {
                        "origin": short | {"description": "Installation that made the record."},
                        "origin_id": short | {"description": "Its id there."},
                    },
                    "required": ["origin", "origin_id"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "format": "uuid", "description": "Id of the record."},
                        "label": {"type": ["string", "null"], "description": "Passed over: what it was answered as."},
                        "key": {"type": ["string", "null"], "description": "Passed over: `id` decides."},
                    },
                    "required": ["id"],
                    "additionalProperties": False,
                },
            ],
        }


class Reference(BaseModel):
    """A reference as the service answers it."""

    model_config = ConfigDict(extra="forbid")

    id: UUID = Field(description="Id of the record referred to.")
    label: str | None = Field(description="What to call it; null where it has no name.")
    key: str | None = Field(default=None, description="Its natural key, where records of its kind have one.")


@dataclass(frozen=True)
class Target:
    """How a table is referred to: its natural key, if any, and what its rows are called."""

    table: Table
    label: Callable[[Any], ColumnElement[Any]]
    key: str | None = None


TARGETS: dict[str, Target] = {}
"""Filled by each resource's `queries.py`; siblings do not import one another, they meet here."""


def target(table: Table, label: Callable[[Any], ColumnElement[Any]], key: str | None = None) -> None:
    """Say how rows of `table` are labelled and, if they have one, which column is their natural key."""
    TARGETS[table.name] = Target(table, label, key)
