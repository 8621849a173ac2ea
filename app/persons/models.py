"""A person: anyone, named or unnamed, who takes part; what could hurt them is kept apart, for guardians only."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import StrictBool
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.names import NameIn, NameRead, NameRow
from app.core.records import Input, PartIn, PartRead, PartRow, Read, Record, RecordIn, RecordRead, codes, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Line, Prose

ErasureReason = Literal["consent_withdrawn", "request", "safety", "error"]


class AffiliationFields(SQLModel):
    """Fields of an affiliation that look the same going in and coming out."""

    role: Annotated[Line | None, Field(description="What the person is or was there, in words.")] = None
    state: Annotated[Code | None, Field(description="current or former (vocabulary affiliation_state).")] = None


class AffiliationIn(AffiliationFields, PartIn):
    """A person's tie to an organisation over a period."""

    organisation: Annotated[Ref | None, To("organisations"), Field(description="The organisation.")] = None
    start: Annotated[DateIn | None, Field(alias="from", description="Since when.")] = None
    end: Annotated[DateIn | None, Field(alias="to", description="Until when.")] = None


class AffiliationRead(AffiliationFields, PartRead):
    """An affiliation as answered."""

    organisation: Annotated[Reference | None, To("organisations"), Field(description="The organisation.")]
    start: EdtfDate | None = Field(alias="from", description="Since when.")
    end: EdtfDate | None = Field(alias="to", description="Until when.")


class PersonFields(SQLModel):
    """Fields that look the same going in and coming out."""

    sex: Annotated[
        Code | None, Field(description="male, female, other; null where no source says (vocabulary sex).")
    ] = None
    sex_basis: Annotated[Code | None, Field(description="What it was told from (vocabulary sex_basis).")] = None
    groups: list[Code] = codes("journalist, lawyer, medic, … (vocabulary person_group).")
    summary: Annotated[Prose | None, Field(description="Who this is, in a few sentences for the public.")] = None


class PersonIn(PersonFields, RecordIn):
    """A person as given; somebody whom no source names has no names."""

    names: list[NameIn] = Field(
        default_factory=list, max_length=100, description="Spellings; the first is the one shown."
    )
    born: Annotated[DateIn | None, Field(description="Date of birth; from an age, the interval that it leaves.")] = None
    died: Annotated[DateIn | None, Field(description="Date of death.")] = None
    affiliations: list[AffiliationIn] = Field(
        default_factory=list, max_length=100, description="Organisations and roles."
    )


class PersonRead(PersonFields, RecordRead):
    """A person as answered."""

    names: list[NameRead] = Field(description="Spellings; the first is the one shown.")
    born: EdtfDate | None = Field(description="Date of birth.")
    died: EdtfDate | None = Field(description="Date of death.")
    affiliations: list[AffiliationRead] = Field(description="Organisations and roles.")


class Person(Record, PersonFields, table=True):
    """A person as kept."""

    __tablename__ = "persons"

    born: str | None = None
    born_earliest: date | None = None
    born_latest: date | None = None
    born_printed: str | None = None
    born_inferred: bool | None = None
    died: str | None = None
    died_earliest: date | None = None
    died_latest: date | None = None
    died_printed: str | None = None
    died_inferred: bool | None = None


class PersonName(NameRow, table=True):
    """One spelling of a person's name."""

    __tablename__ = "person_names"

    person_id: UUID = link("persons", required=True, cascade=True)


class Affiliation(PartRow, AffiliationFields, table=True):
    """An affiliation as kept."""

    __tablename__ = "affiliations"

    person_id: UUID = link("persons", required=True, cascade=True)
    organisation_id: UUID | None = link("organisations")
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


# --- the protected part ------------------------------------------------------------------------------


class Relative(Input):
    """A relative or another close person; being known as one has led to raids."""

    person: UUID | None = Field(default=None, description="Id of the person's own record, if there is one.")
    name: Annotated[Line | None, Field(description="Name, where there is no record.")] = None
    relation: Annotated[Line, Field(description="spouse, child, parent, … in words.")]
    minor: StrictBool | None = Field(default=None, description="Whether under age.")
    note: Annotated[Prose | None, Field(description="Anything else.")] = None


class ProtectedFields(Input):
    """What only guardians may read: any of it can be used against the person or those around them."""

    relatives: list[Relative] = Field(default_factory=list, max_length=100, description="Relatives, also minors.")
    minor_children: Annotated[int | None, Field(ge=0, le=100, description="How many children under age.")] = None
    health: list[Line] = Field(default_factory=list, max_length=100, description="Illnesses and injuries.")
    addresses: list[Line] = Field(default_factory=list, max_length=100, description="Where the person lives or lived.")
    contacts: list[Line] = Field(default_factory=list, max_length=100, description="Telephone, mail, messengers.")
    documents: list[Line] = Field(
        default_factory=list, max_length=100, description="Numbers of passports and the like."
    )
    aid: list[Line] = Field(default_factory=list, max_length=100, description="Help received or given.")
    informants: list[Line] = Field(default_factory=list, max_length=100, description="Who told us.")
    note: Annotated[Prose | None, Field(description="Anything else that must stay protected.")] = None


class ProtectedRead(Read, ProtectedFields):
    """The protected part as answered, to guardians only; each reading is recorded."""


class Erasure(Input):
    """The decision to erase a person. The reason is a code: words of one's own could say again what is to be gone."""

    reason: ErasureReason = Field(description="Why: consent_withdrawn, request (of the person), safety or error.")


class Erased(Read):
    """What was erased, and what people should read again."""

    id: UUID = Field(description="Id of the person that was; it is never given again.")
    reason: ErasureReason = Field(description="Why it was erased.")
    review: list[str] = Field(
        description="URLs of the events and cases that named the person: their own words may still do so."
    )


class PersonPrivate(SQLModel, table=True):
    """The protected part as kept, one row a person, readable by the guardian's login alone."""

    __tablename__ = "persons_private"

    person_id: UUID = Field(foreign_key="persons.id", ondelete="CASCADE", primary_key=True)
    content: dict[str, object] = Field(sa_type=JSONB, nullable=False)
