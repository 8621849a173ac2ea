"""A status: an interval in which a person or an organisation was in custody, recognised, wanted, listed, …."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import model_validator
from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.records import Record, RecordIn, RecordRead, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, CriterionCode, Prose


class StatusFields(SQLModel):
    """Fields that look the same going in and coming out."""

    kind: Annotated[Code, Field(description="in_custody, political_prisoner, wanted, … (vocabulary status_kind).")]
    end_ground: Annotated[Code | None, Field(description="Why it ended (vocabulary status_end_ground).")] = None
    criterion: Annotated[
        CriterionCode | None, Field(description="WGAD-I to -V, PACE-1900-A to -E (vocabulary status_criterion).")
    ] = None
    note: Annotated[Prose | None, Field(description="What a reader should know about it.")] = None


class StatusIn(StatusFields, RecordIn):
    """A status as given, of one person or one organisation."""

    person: Annotated[Ref | None, To("persons"), Field(description="Whose status it is.")] = None
    organisation: Annotated[Ref | None, To("organisations"), Field(description="Whose status it is.")] = None
    start: Annotated[DateIn | None, Field(description="Since when; null if no source says.")] = None
    end: Annotated[DateIn | None, Field(description="Until when; null while it lasts or if no source says.")] = None
    facility: Annotated[Ref | None, To("organisations"), Field(description="Where the person is held.")] = None
    declared_by: Annotated[Ref | None, To("organisations"), Field(description="Who declared it.")] = None

    @model_validator(mode="after")
    def _one_subject(self) -> "StatusIn":
        if (self.person is None) == (self.organisation is None):
            msg = "a status belongs to either a person or an organisation"
            raise ValueError(msg)
        return self


class StatusRead(StatusFields, RecordRead):
    """A status as answered."""

    person: Annotated[Reference | None, To("persons"), Field(description="Whose status it is.")]
    organisation: Annotated[Reference | None, To("organisations"), Field(description="Whose status it is.")]
    start: EdtfDate | None = Field(description="Since when.")
    end: EdtfDate | None = Field(description="Until when.")
    facility: Annotated[Reference | None, To("organisations"), Field(description="Where the person is held.")]
    declared_by: Annotated[Reference | None, To("organisations"), Field(description="Who declared it.")]


class Status(Record, StatusFields, table=True):
    """A status as kept."""

    __tablename__ = "statuses"

    person_id: UUID | None = link("persons")
    organisation_id: UUID | None = link("organisations")
    facility_id: UUID | None = link("organisations")
    declared_by_id: UUID | None = link("organisations")
    start: str | None = None
    start_earliest: date | None = None
    start_latest: date | None = None
    start_printed: str | None = None
    start_inferred: bool | None = None
    end: str | None = None
    end_earliest: date | None = None
    end_latest: date | None = None
    end_printed: str | None = None
    end_inferred: bool | None = None
