"""An organisation: court, prison, agency, NGO, medium, party, formation, or a list and its keeper."""

from datetime import date
from typing import Annotated
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.names import NameIn, NameRead, NameRow
from app.core.records import Record, RecordIn, RecordRead, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Prose, Url


class OrganisationFields(SQLModel):
    """Fields that look the same going in and coming out."""

    kind: Annotated[
        Code, Field(description="ngo, district_court, correctional_facility, … (vocabulary organisation_kind).")
    ]
    summary: Annotated[Prose | None, Field(description="What it is, in a few sentences for the public.")] = None
    website: Annotated[Url | None, Field(description="Its site; stored, never fetched.")] = None


class OrganisationIn(OrganisationFields, RecordIn):
    """An organisation as given; one that nobody named has no names."""

    names: list[NameIn] = Field(
        default_factory=list, max_length=100, description="Its names; the first is the one shown."
    )
    place: Annotated[Ref | None, To("places"), Field(description="Where it is.")] = None
    parent: Annotated[
        Ref | None, To("organisations"), Field(description="The organisation it is part of, or a list's keeper.")
    ] = None
    founded: Annotated[DateIn | None, Field(description="When it came to be.")] = None
    dissolved: Annotated[DateIn | None, Field(description="When it ceased to be.")] = None


class OrganisationRead(OrganisationFields, RecordRead):
    """An organisation as answered."""

    names: list[NameRead] = Field(description="Its names; the first is the one shown.")
    place: Annotated[Reference | None, To("places"), Field(description="Where it is.")]
    parent: Annotated[Reference | None, To("organisations"), Field(description="The organisation it is part of.")]
    founded: EdtfDate | None = Field(description="When it came to be.")
    dissolved: EdtfDate | None = Field(description="When it ceased to be.")


class Organisation(Record, OrganisationFields, table=True):
    """An organisation as kept."""

    __tablename__ = "organisations"

    place_id: UUID | None = link("places")
    parent_id: UUID | None = link("organisations")
    founded: str | None = None
    founded_earliest: date | None = None
    founded_latest: date | None = None
    founded_printed: str | None = None
    founded_inferred: bool | None = None
    dissolved: str | None = None
    dissolved_earliest: date | None = None
    dissolved_latest: date | None = None
    dissolved_printed: str | None = None
    dissolved_inferred: bool | None = None


class OrganisationName(NameRow, table=True):
    """One name of an organisation."""

    __tablename__ = "organisation_names"

    organisation_id: UUID = link("organisations", required=True, cascade=True)
