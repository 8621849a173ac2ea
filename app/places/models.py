"""A place: country > region > district > locality, each with its names and the place above it."""

from typing import Annotated
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.core.names import NameIn, NameRead, NameRow
from app.core.records import Record, RecordIn, RecordRead, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Key


class PlaceFields(SQLModel):
    """Fields that look the same going in and coming out."""

    kind: Annotated[Code, Field(description="country, region, district, city, … (vocabulary place_kind).")]
    code: Annotated[
        Key | None, Field(description="ISO 3166 code or another unique code, such as BY-HM.", unique=True)
    ] = None


class PlaceIn(PlaceFields, RecordIn):
    """A place as given."""

    names: list[NameIn] = Field(min_length=1, max_length=100, description="Its names; the first is the one shown.")
    parent: Annotated[Ref | None, To("places"), Field(description="The place that contains it.")] = None


class PlaceRead(PlaceFields, RecordRead):
    """A place as answered."""

    names: list[NameRead] = Field(description="Its names; the first is the one shown.")
    parent: Annotated[Reference | None, To("places"), Field(description="The place that contains it.")]


class Place(Record, PlaceFields, table=True):
    """A place as kept."""

    __tablename__ = "places"

    parent_id: UUID | None = link("places")


class PlaceName(NameRow, table=True):
    """One name of a place."""

    __tablename__ = "place_names"

    place_id: UUID = link("places", required=True, cascade=True)
