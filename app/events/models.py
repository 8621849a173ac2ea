"""An event: something that happened, on a date, somewhere, with everybody who took part in their roles."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.records import PartIn, PartRead, PartRow, Record, RecordIn, RecordRead, codes, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Count, Line, Prose, Unit


class ParticipantFields(SQLModel):
    """Fields of a participant that look the same going in and coming out."""

    role: Annotated[Code, Field(description="victim, judge, deciding_body, … (vocabulary participant_role).")]
    count: Annotated[Count | None, Field(description="How many, when nobody is named.")] = None
    unit: Annotated[
        Unit | None,
        Field(
            description="What is counted; null means persons, and nothing else is ever added to them (vocabulary unit)."
        ),
    ] = None
    qualifier: Annotated[Code | None, Field(description="exact, at_least, more_than, … (vocabulary qualifier).")] = None
    label: Annotated[Line | None, Field(description="Who the counted people are, or how this one was described.")] = (
        None
    )
    within: UUID | None = Field(
        default=None,
        description="Id of the participant, of any event, that this group is part of or overlaps: they are not added.",
    )


class ParticipantIn(ParticipantFields, PartIn):
    """A person, an organisation, or a counted group that nobody named."""

    person: Annotated[Ref | None, To("persons"), Field(description="The person.")] = None
    organisation: Annotated[Ref | None, To("organisations"), Field(description="The organisation.")] = None


class ParticipantRead(ParticipantFields, PartRead):
    """A participant as answered."""

    person: Annotated[Reference | None, To("persons"), Field(description="The person.")]
    organisation: Annotated[Reference | None, To("organisations"), Field(description="The organisation.")]


class EventFields(SQLModel):
    """Fields that look the same going in and coming out."""

    type: Annotated[Code, Field(description="detention, criminal_trial, … (vocabulary event_type).")]
    incident: UUID | None = Field(
        default=None,
        description="Same for all events of one case of repression; any UUID of the recorder's choosing.",
        index=True,
    )
    ground: Annotated[Line | None, Field(description="Ground or official reason, in words.")] = None
    result: Annotated[Line | None, Field(description="What was decided or came of it, in words.")] = None
    number: Annotated[Line | None, Field(description="Number of the document or act.")] = None
    contexts: list[Code] = codes("war, protest_2020, solidarity, … (vocabulary context).")
    description: Annotated[Prose | None, Field(description="What happened, for the public.")] = None


class EventIn(EventFields, RecordIn):
    """An event as given."""

    date: Annotated[DateIn | None, Field(description="When it happened.")] = None
    reported: Annotated[DateIn | None, Field(description="When it became known, if that is all or something else.")] = (
        None
    )
    place: Annotated[Ref | None, To("places"), Field(description="Where.")] = None
    facility: Annotated[
        Ref | None, To("organisations"), Field(description="Prison, court or other house where it happened.")
    ] = None
    case: Annotated[Ref | None, To("cases"), Field(description="The case it belongs to.")] = None
    statutes: Annotated[list[Ref], To("statutes"), Field(max_length=50, description="The law it was done under.")] = []
    participants: list[ParticipantIn] = Field(default_factory=list, max_length=500, description="Who took part.")


class EventRead(EventFields, RecordRead):
    """An event as answered."""

    date: EdtfDate | None = Field(description="When it happened.")
    reported: EdtfDate | None = Field(description="When it became known.")
    place: Annotated[Reference | None, To("places"), Field(description="Where.")]
    facility: Annotated[Reference | None, To("organisations"), Field(description="Prison, court or other house.")]
    case: Annotated[Reference | None, To("cases"), Field(description="The case it belongs to.")]
    statutes: Annotated[list[Reference], To("statutes"), Field(description="The law it was done under.")]
    participants: list[ParticipantRead] = Field(description="Who took part.")


class Event(Record, EventFields, table=True):
    """An event as kept."""

    __tablename__ = "events"

    place_id: UUID | None = link("places")
    facility_id: UUID | None = link("organisations")
    case_id: UUID | None = link("cases")
    date: str | None = None
    date_earliest: dt.date | None = None
    date_latest: dt.date | None = None
    date_printed: str | None = None
    date_inferred: bool | None = None
    reported: str | None = None
    reported_earliest: dt.date | None = None
    reported_latest: dt.date | None = None
    reported_printed: str | None = None
    reported_inferred: bool | None = None


class Participant(PartRow, ParticipantFields, table=True):
    """A participant as kept."""

    __tablename__ = "participants"

    event_id: UUID = link("events", required=True, cascade=True)
    person_id: UUID | None = link("persons")
    organisation_id: UUID | None = link("organisations")


class EventStatute(PartRow, table=True):
    """A statute that an event was done under."""

    __tablename__ = "event_statutes"

    event_id: UUID = link("events", required=True, cascade=True)
    statute_id: UUID = link("statutes", required=True)
