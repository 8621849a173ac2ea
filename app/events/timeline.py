"""A person's timeline: their events, cases and statuses in the order of their dates, in one list."""

from functools import cache
from typing import Any, Literal
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, Text, bindparam, cast, func, literal_column, select, union_all
from sqlalchemy.dialects import postgresql

from app.cases.queries import of_person
from app.core.access import Caller
from app.core.edtf import EdtfDate
from app.core.filters import rows
from app.core.http import conditional, etag_of
from app.core.pages import Statement, prepare
from app.core.reads import absent
from app.core.shapes import date_object, json_list, json_object
from app.persons.queries import PERSONS

MOST = 1000
"""Entries answered; nobody's life in the registry is longer, and a list without end would be a way to slow it down."""


class Entry(BaseModel):
    """One date in a person's life, and the record that has it."""

    date: EdtfDate | None = Field(description="When; null at the end of the list where no source says.")
    what: str = Field(description="event, case_opened, case_decided, status_started or status_ended.")
    kind: str = Field(description="Type of the event, kind of the case or of the status.")
    resource: Literal["events", "cases", "statuses"] = Field(description="Where the record is.")
    id: UUID = Field(description="Id of the record.")


class Timeline(BaseModel):
    """A person's dates, the earliest first."""

    items: list[Entry] = Field(description=f"At most {MOST:,} entries.")


def _entries(table: str, date: str, what: str, kind: str, *on: ColumnElement[bool]) -> Select[Any]:
    row = rows(table)
    shown = json_object(
        (
            ("date", date_object(row, date)),
            ("what", literal_column(f"'{what}'")),
            ("kind", row.c[kind]),
            ("resource", literal_column(f"'{table}'")),
            ("id", row.c.id),
        )
    )
    day = func.coalesce(row.c[f"{date}_earliest"], row.c[f"{date}_latest"], literal_column("'infinity'::date"))
    return select(shown.label("entry"), day.label("day"), row.c.id).where(*on)


@cache
def _statement() -> Statement:
    person = bindparam("id", type_=postgresql.UUID(as_uuid=True))
    events, cases, statuses, taken = rows("events"), rows("cases"), rows("statuses"), rows("participants")
    took_part = events.c.id.in_(select(taken.c.event_id).where(taken.c.person_id == person))
    theirs = of_person(cases.c.id, person)
    every = union_all(
        _entries("events", "date", "event", "type", took_part),
        _entries("cases", "opened", "case_opened", "kind", theirs, cases.c.opened.is_not(None)),
        _entries("cases", "decided", "case_decided", "kind", theirs, cases.c.decided.is_not(None)),
        _entries("statuses", "start", "status_started", "kind", statuses.c.person_id == person),
        _entries(
            "statuses", "end", "status_ended", "kind", statuses.c.person_id == person, statuses.c.end.is_not(None)
        ),
    ).subquery()
    first = select(every).order_by(every.c.day, every.c.id).limit(MOST).subquery()
    items = select(json_list(first.c.entry, first.c.day, first.c.id)).scalar_subquery()
    body = cast(json_object([("items", items)]), Text)
    return prepare(select(body).where(rows("persons").c.id == person))


async def get_timeline(person_id: UUID, caller: Caller) -> Response:
    """Answer the timeline, in one statement; for a person who is not there, as `GET /v1/persons/{id}` does."""
    statement = _statement()
    row = await caller.database.row(caller.audience, statement.sql, *statement.arguments({"id": person_id}))
    if row is None:
        return await absent(PERSONS, person_id, caller)
    body = row[0].encode()
    return conditional(caller.request, body, etag_of(body))
