"""Writing: one event by POST against the same statements in pgbench, and bulk against validating the rows and COPY."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import asyncpg

from app.events.models import EventIn
from benchmarks.place import Api, Place
from benchmarks.reads import AN_ID
from benchmarks.results import Line
from benchmarks.sides import in_turn, load, pgbench
from benchmarks.statements import said

ROLE = "editor"
CLIENTS = 4
"""As many as an audience has connections."""


def _event(place: Place) -> dict[str, Any]:
    person = place.value("SELECT id FROM benchmark_ids WHERE n = 1")
    return {
        "type": "raid",
        "date": "2025-05-30",
        "place": {"key": "ZZ-1"},
        "level": "public",
        "publication_ground": "public_record",
        "participants": [{"person": {"id": str(person)}, "role": "victim"}],
    }


def post(place: Place) -> list[Line]:
    """Measure one event with a victim, made by POST."""
    body = json.dumps(_event(place)).encode()
    script = _script(place, body)
    api = place.api()
    headers = {**api.headers(ROLE), "Content-Type": "application/json"}
    seconds = place.scale.seconds

    def ours(_n: int) -> float:
        return load(api, headers, ["/v1/events"], 0, clients=CLIENTS, seconds=seconds, body=body.decode()).rate

    ours(0)
    a, b = in_turn(place.scale.runs, ours, lambda _n: pgbench(place, ROLE, script, clients=CLIENTS, seconds=seconds))
    return [Line(f"POST of an event, c={CLIENTS}", "events/s", a, b, "pgbench", 0.14, later=0.25)]


def _script(place: Place, body: bytes) -> str:
    """Return a pgbench script of all that one POST runs, with every new id made anew each time."""

    def ask(api: Api) -> None:
        answer = api.client(ROLE).post("/v1/events", body)
        if answer.status != 201:  # noqa: PLR2004
            raise RuntimeError(answer.body)

    statements = said(place, ROLE, ask)
    used = [i for s in statements for literal in s.parameters.values() for i in AN_ID.findall(literal)]
    made = [i for i in dict.fromkeys(used) if i.encode() not in body and not _known(place, i)]
    names = {i: (f"a{n}", f"b{n}") for n, i in enumerate(made)}
    sets = [f"\\set {v} random(1, {2**62})" for pair in names.values() for v in pair]

    def put(literal: str) -> str:
        for record_id, (a, b) in names.items():
            anew = f"(lpad(to_hex(:{a}::bigint), 16, '0') || lpad(to_hex(:{b}::bigint), 16, '0'))"
            if literal == f"'{record_id}'":
                return f"{anew}::uuid"
            if record_id in literal:
                literal = f"replace({literal}, '{record_id}', {anew})"
        return literal

    return "\n".join([*sets, *(s.with_parameters(put) + ";" for s in statements)]) + "\n"


def _known(place: Place, record_id: str) -> bool:
    """Tell whether an id is of a record that was there before."""
    sql = "SELECT EXISTS (SELECT FROM places WHERE id = $1) OR EXISTS (SELECT FROM persons WHERE id = $1)"
    return bool(place.value(sql, record_id))


def bulk(place: Place) -> list[Line]:
    """Measure new events in bulk, and the same sent again, against validating the same rows and copying them."""
    client, count = place.api().client(ROLE), place.scale.bulk
    event = _event(place)
    bodies: list[bytes] = []

    def send(body: bytes, result: str) -> float:
        answer = client.post("/v1/bulk", body, "application/x-ndjson")
        if answer.status != 200 or answer.body.count(f'"result":"{result}"'.encode()) != count:  # noqa: PLR2004
            raise RuntimeError(answer.body[:2000])
        return count / answer.seconds

    def ours(_n: int) -> float:
        rows = ({"type": "event", "origin_id": str(uuid4()), "data": event} for _ in range(count))
        bodies.append("\n".join(json.dumps(r) for r in rows).encode())
        return send(bodies[-1], "created")

    def copy(_n: int) -> float:
        return count / asyncio.run(_validated_copy(place, event, count))

    ours(0), copy(0)  # on new connections PostgreSQL plans what triggers do, once
    bodies.clear()
    a, b = in_turn(place.scale.runs, ours, copy)
    again = [send(body, "unchanged") for body in bodies]
    return [
        Line(f"bulk of {count:,} new events", "events/s", a, b, "COPY of validated rows", 0.20, later=0.26),
        Line("the same sent again", "events/s", again, a, "sending it first"),
    ]


async def _validated_copy(place: Place, event: dict[str, Any], count: int) -> float:
    """Validate rows as the route does and COPY them into the same tables, without triggers; return seconds.

    They are as durable as what the service writes, and all indexes of the tables are kept up; then they are taken out.
    """
    connection = await asyncpg.connect(place.url(), server_settings={"session_replication_role": "replica"})
    try:
        texts = [json.dumps({**event, "origin_id": str(uuid4())}) for _ in range(count)]
        at = await connection.fetchval("SELECT id FROM places WHERE code = 'ZZ-1'")
        began = time.perf_counter()
        events, participants = [], []
        for text in texts:
            given = EventIn.model_validate(json.loads(text))
            assert given.date is not None  # noqa: S101 -- each has one
            record_id = uuid4()
            own = (record_id, "benchmark", given.origin_id, 0, 0, given.publication_ground, given.type, at)
            events.append((*own, given.date.edtf, given.date.earliest, given.date.latest))
            for n, part in enumerate(given.participants):
                assert part.person is not None  # noqa: S101 -- each has one
                participants.append((uuid4(), record_id, part.person.id, part.role, n, 0, 0))
        columns = (
            "id origin origin_id level effective_level publication_ground type place_id date date_earliest date_latest"
        )
        async with connection.transaction():
            await connection.copy_records_to_table("events", records=events, columns=columns.split())
            columns = "id event_id person_id role position level effective_level"
            await connection.copy_records_to_table("participants", records=participants, columns=columns.split())
        seconds = time.perf_counter() - began
        for table, rows in (("participants", participants), ("events", events)):
            await connection.execute(f"DELETE FROM {table} WHERE id = ANY($1::uuid[])", [r[0] for r in rows])  # noqa: S608
        return seconds
    finally:
        await connection.close()
