"""Loads the sample in one transaction: records first, then what cites sources, since publishers and sources meet."""

import json
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

from app.cases.queries import CASES
from app.core.database import Database
from app.core.records import Audience, RecordIn, Resource
from app.core.refs import Ref
from app.core.rows import Rows, insert, rows_of, tables_of
from app.events.queries import EVENTS
from app.figures.queries import FIGURES
from app.organisations.queries import ORGANISATIONS
from app.persons.models import ProtectedFields
from app.persons.queries import PERSONS
from app.places.queries import PLACES
from app.sources.queries import SOURCES
from app.statuses.queries import STATUSES
from app.statutes.queries import STATUTES

ORDER = (PLACES, ORGANISATIONS, SOURCES, STATUTES, PERSONS, CASES, EVENTS, STATUSES, FIGURES)
DATA = files("app.sample") / "data"


def read(name: str) -> list[dict[str, Any]]:
    """Return one of the sample's files as a list of records in the form that the API takes."""
    found: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


class _Known:
    """Finds references inside the sample itself: every id is made before the first record is stored."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], UUID] = {}

    def learn(self, table: str, record: dict[str, Any], record_id: UUID) -> None:
        """Remember a record by all the forms in which others may refer to it."""
        for form in (record["origin_id"], record.get("key"), record.get("code")):
            if form is not None:
                self.ids[table, form] = record_id

    def __getitem__(self, wanted: tuple[str, Ref]) -> UUID:
        """Return the id that a reference stands for."""
        table, ref = wanted
        return self.ids[table, ref.origin_id or ref.key or ""]


async def is_empty(database: Database) -> bool:
    """Tell whether the registry holds no record at all."""
    row = await database.row(
        Audience.EDITOR, "SELECT NOT EXISTS (SELECT FROM places) AND NOT EXISTS (SELECT FROM persons)"
    )
    return bool(row[0])


async def load(database: Database) -> int:
    """Load the sample into an empty registry and return how many records it holds."""
    known = _Known()
    records: list[tuple[Resource, UUID, RecordIn]] = []
    for resource in ORDER:
        assert resource.create is not None  # noqa: S101 -- all of these can be written
        for data in read(resource.name):
            record_id = uuid4()
            given = resource.create.model_validate_json(json.dumps(data))
            known.learn(resource.name, {**data, "key": getattr(given, "key", None)}, record_id)
            records.append((resource, record_id, given))
    transaction = await database.transaction(Audience.GUARDIAN)
    transaction.actor = "sample"
    done = False
    try:
        await _insert(transaction, records, known)
        for person in read("protected"):
            content = ProtectedFields.model_validate(person["content"]).model_dump_json()
            await transaction.fetch(
                "INSERT INTO persons_private (person_id, content) VALUES ($1, $2::jsonb)",
                known.ids["persons", person["person"]],
                content,
            )
        done = True
    finally:
        await transaction.end(commit=done)
    return len(records)


async def _insert(transaction: Any, records: list[tuple[Resource, UUID, RecordIn]], known: _Known) -> None:
    """Insert table by table: own rows of all records, then their parts, then what cites sources."""
    tables: dict[str, Any] = {}
    rows: dict[str, Rows] = {}
    for resource, record_id, given in records:
        tables[resource.table.name] = resource.table
        tables |= {n: t for n, (t, _) in tables_of(resource).items()}
        for name, some in rows_of(resource, record_id, given, known).items():
            rows.setdefault(name, []).extend(some)
    own = [r.table.name for r in ORDER]
    for name in [*own, *(n for n in rows if n not in own)]:
        await insert(transaction, {name: rows[name]}, tables)
