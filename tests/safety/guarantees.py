"""What the schema guarantees, each as a probe in SQL that fails when the guarantee is gone.

A probe works on one table inside a transaction that is rolled back. The tests run all of them on the schema as it is,
and again after each policy, grant, trigger and check was taken away.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg

from tests.safety.declared import (
    API,
    CEILING,
    DELETED,
    FUNCTIONS,
    KEPT,
    LEVELLED,
    NAMED,
    READ_BY,
    RECORDS,
    SOME_COLUMNS,
    TIES,
    WRITERS,
    WRITTEN,
    WRONG,
)

Connection = asyncpg.Connection
Probe = Callable[[Connection, str], Awaitable[None]]


@contextlib.asynccontextmanager
async def undone(c: Connection) -> AsyncIterator[None]:
    """Undo whatever was done inside."""
    transaction = c.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def _refused(c: Connection, state: str, sql: str, *arguments: object) -> None:
    """Expect PostgreSQL to refuse it, at the latest at the commit."""
    said = "nothing"
    async with undone(c):
        try:
            await c.execute(sql, *arguments)
            await c.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except asyncpg.PostgresError as error:
            said = error.sqlstate or ""
    assert said == state, f"{sql}: {said}"


async def _columns(c: Connection, table: str) -> dict[str, bool]:
    """Return the columns of a table, true for the generated ones."""
    rows = await c.fetch(
        "SELECT attname::text, attgenerated <> '' FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
        "AND NOT attisdropped",
        table,
    )
    return {r[0]: r[1] for r in rows}


async def rows_are_seen_by_level(c: Connection, table: str) -> None:
    """Each login sees the rows of its level and no other; the owner sees all, though policies bind it too."""
    levelled = "effective_level" in await _columns(c, table)
    for role in (*CEILING, "chronika_owner"):
        if role != "chronika_owner" and not levelled and role not in READ_BY[table]:
            continue
        limit = f"effective_level <= {CEILING.get(role, 2)}" if levelled else "true"
        if table == "changes" and role != "chronika_owner":
            limit = "closed" if role in WRITERS else f"had_{role.removeprefix('chronika_')} IS NOT NULL"
        expected = await c.fetchval(f"SELECT count(*) FROM {table} WHERE {limit}")
        assert expected, f"no row of {table} to look for"
        async with undone(c):
            await c.execute(f"SET LOCAL ROLE {role}")
            assert await c.fetchval(f"SELECT count(*) FROM {table}") == expected, (role, table)


async def writers_write(c: Connection, table: str) -> None:
    """Editors, and guardians where it is theirs, may change, remove and add rows under the policies."""
    columns = await _columns(c, table)
    for role in WRITERS:
        if "effective_level" in columns and table != "tombstones":
            async with undone(c):
                await c.execute(f"SET LOCAL ROLE {role}")
                changed = await c.fetch(f"UPDATE {table} SET level = level RETURNING id")
                assert changed, (role, table)
        elif role in DELETED.get(table, ()):
            async with undone(c):
                await c.execute(f"SET LOCAL ROLE {role}")
                assert await c.execute(f"DELETE FROM {table}") != "DELETE 0"


async def grants_are_as_declared(c: Connection, table: str) -> None:
    """Each login has, column by column, the rights that are declared above, no more and no less."""
    columns = await _columns(c, table)
    levelled = "effective_level" in columns and table != "tombstones"
    wanted = set()
    for role in CEILING:
        version = f"version_{role.removeprefix('chronika_')}"
        if levelled and role not in WRITERS:
            wanted |= {(role, "SELECT", n) for n in columns if n not in {*KEPT, "folded"} or n == version}
        elif levelled:
            wanted |= {(role, "SELECT", n) for n in columns}
            wanted |= {
                (role, p, n) for p in ("INSERT", "UPDATE") for n, g in columns.items() if not g and n not in KEPT
            }
        elif role in READ_BY[table]:
            wanted |= {(role, "SELECT", n) for n in SOME_COLUMNS.get((table, role), columns)}
        for privilege in ("INSERT", "UPDATE"):
            roles, names = WRITTEN.get((table, privilege), (set(), None))
            wanted |= {(role, privilege, n) for n in names or columns} if role in roles else set()
    found = await c.fetch(
        "SELECT r, p, a.attname::text FROM pg_attribute a CROSS JOIN unnest($2::text[]) r "
        "CROSS JOIN unnest('{SELECT,INSERT,UPDATE}'::text[]) p WHERE attrelid = $1::regclass AND attnum > 0 "
        "AND NOT attisdropped AND has_column_privilege(r, attrelid, attnum, p)",
        table,
        API,
    )
    assert {tuple(r) for r in found} == wanted, table
    deleting = await c.fetch(
        "SELECT r FROM unnest($2::text[]) r WHERE has_table_privilege(r, $1, 'DELETE')", table, API
    )
    assert {r[0] for r in deleting} == (WRITERS if levelled else DELETED.get(table, set())), table


async def functions_are_as_declared(c: Connection, _table: str) -> None:
    """Each login may call the functions that are declared above."""
    for role in API:
        found = await c.fetch(
            "SELECT proname::text FROM pg_proc p WHERE pronamespace = 'public'::regnamespace "
            "AND has_function_privilege($1::text, p.oid, 'EXECUTE') "
            "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')",
            role,
        )
        assert {r[0] for r in found} == FUNCTIONS[role], role


async def _references(c: Connection, table: str) -> list[Any]:
    return list(
        await c.fetch(
            "SELECT a.attname::text AS name, c.confrelid::regclass::text AS parent FROM pg_constraint c "
            "JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] JOIN pg_attribute e "
            "ON e.attrelid = c.confrelid AND e.attname = 'effective_level' "
            "WHERE c.contype = 'f' AND c.conrelid = $1::regclass",
            table,
        )
    )


async def levels_spread(c: Connection, table: str) -> None:
    """A row is as hidden as what it names: when that is hidden, and when the row itself is written again."""
    for name, parent in await _references(c, table) if table in LEVELLED else []:
        either = {"person_id": ", organisation_id = NULL", "organisation_id": ", person_id = NULL"}
        other = either.get(name, "") if table in {"statuses", "participants"} else ""
        pair: Any = await c.fetchrow(
            f"SELECT c.id, p.id AS above FROM {table} c JOIN {parent} p ON p.id = c.{name} "
            "WHERE c.effective_level = 0 AND p.level = 0 LIMIT 1"
        )
        if pair is None:  # no such tie among the probes' records: one is made
            pair = await c.fetchrow(
                f"SELECT c.id, p.id AS above FROM {table} c, {parent} p WHERE c.effective_level = 0 "
                "AND p.effective_level = 0 AND p.id <> c.id ORDER BY c.id, p.id LIMIT 1"
            )
        async with undone(c):
            if table != "citations":  # which belong to one record each
                await c.execute(f"UPDATE {table} SET {name} = $1{other} WHERE id = $2", pair["above"], pair["id"])
            await c.execute(f"UPDATE {parent} SET level = 1 WHERE id = $1", pair["above"])
            await c.execute(f"UPDATE {table} SET level = 0 WHERE id = $1", pair["id"])
            now = await c.fetchval(f"SELECT effective_level FROM {table} WHERE id = $1", pair["id"])
            assert now == 1, (table, name)
        async with undone(c):
            if table != "citations":  # which belong to one record each
                await c.execute(f"UPDATE {table} SET {name} = $1{other} WHERE id = $2", pair["above"], pair["id"])
            await c.execute(f"UPDATE {parent} SET level = 2 WHERE id = $1", pair["above"])
            now = await c.fetchval(f"SELECT effective_level FROM {table} WHERE id = $1", pair["id"])
            assert now == 2, (table, name)


async def hiding_spreads_from(c: Connection, table: str) -> None:
    """Hiding a record hides whatever names it, and what its tombstones lead to it from."""
    found = await c.fetch(
        "SELECT c.conrelid::regclass::text AS child FROM pg_constraint c WHERE c.confrelid = $1::regclass", table
    )
    for child in {r["child"] for r in found if "_keys" not in r["child"]} - {"persons_private", table}:
        await levels_spread(c, child)
    if table in RECORDS:
        record = await c.fetchval(f"SELECT id FROM {table} WHERE effective_level = 0 LIMIT 1")
        async with undone(c):
            await c.execute(
                "INSERT INTO tombstones (id, record_type, origin, origin_id, effective_level, merged_into) "
                "VALUES (gen_random_uuid(), $1, 'probe', 'probe', 0, $2)",
                RECORDS[table],
                record,
            )
            for level in (2, 0):
                await c.execute(f"UPDATE {table} SET level = $1 WHERE id = $2", level, record)
                grave: Any = await c.fetchrow(
                    "SELECT level, effective_level FROM tombstones WHERE merged_into = $1", record
                )
                assert tuple(grave) == (0, level), table


async def ties_hide(c: Connection, table: str) -> None:
    """A record is as hidden as whom its ties name, when a tie comes, changes or goes."""
    if table not in TIES:
        return
    owner, record, columns = TIES[table]
    for column in columns:
        parent = {"person_id": "persons", "organisation_id": "organisations"}.get(column, "statutes")
        hidden = await c.fetchval(f"SELECT id FROM {parent} WHERE effective_level = 2 LIMIT 1")
        ties = await c.fetch(
            f"SELECT t.id, t.{owner} AS owner FROM {table} t JOIN {record} r ON r.id = t.{owner} "
            f"WHERE r.effective_level = 0 ORDER BY t.{column} IS NULL, t.id LIMIT 1"
        )
        tie = ties[0]
        async with undone(c):
            others = ", person_id = NULL" if column == "organisation_id" else ""
            await c.execute(f"UPDATE {table} SET {column} = $1{others} WHERE id = $2", hidden, tie["id"])
            level = f"SELECT effective_level FROM {record} WHERE id = $1"
            assert await c.fetchval(level, tie["owner"]) == 2, (table, column)
            await c.execute(f"DELETE FROM {table} WHERE id = $1", tie["id"])
            assert await c.fetchval(level, tie["owner"]) == 0, (table, column)
        async with undone(c):
            other = {"person_id": None} if column == "organisation_id" else {}
            await c.execute(await _copied(c, table), tie["id"], NEW, json.dumps({column: str(hidden), **other}))
            assert await c.fetchval(level, tie["owner"]) == 2, (table, column)


async def _copied(c: Connection, table: str) -> str:
    """Return the INSERT that copies the row whose id is $1 under the id $2, with $3 as JSON for what else differs."""
    names = ", ".join(f'"{n}"' for n, generated in (await _columns(c, table)).items() if not generated)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_record(NULL::{table}, "
        f"(SELECT to_jsonb(t) FROM {table} t WHERE id = $1) || jsonb_build_object('id', $2::uuid) || $3::jsonb)"
    )


NEW = "00000000-0000-4000-8000-000000000004"


async def changes_are_logged(c: Connection, table: str) -> None:
    """Writing a record or a part closes one change of the record, with its next version."""
    columns = await _columns(c, table)
    if "effective_level" not in columns or table == "tombstones":
        return
    row = await c.fetchval(f"SELECT id FROM {table} WHERE effective_level = 0 ORDER BY id LIMIT 1")
    what = "confidence = 'probable'" if table in RECORDS else "position = position + 100"
    writes: list[tuple[str, tuple[object, ...]]] = [(f"UPDATE {table} SET {what} WHERE id = $1", (row,))]
    if table not in RECORDS:
        writes += [(f"DELETE FROM {table} WHERE id = $1", (row,)), (await _copied(c, table), (row, NEW, "{}"))]
    for sql, arguments in writes:
        async with undone(c):
            last = await c.fetchval("SELECT max(id) FROM changes")
            await c.execute(sql, *arguments)
            await c.execute("SET CONSTRAINTS ALL IMMEDIATE")
            made = await c.fetch("SELECT op, closed, data IS NOT NULL, version > 1 FROM changes WHERE id > $1", last)
            assert [tuple(r) for r in made] == [("update", True, True, True)], (table, sql[:6])


async def records_come_and_go(c: Connection, table: str) -> None:
    """A new record opens its history; a deleted one leaves a tombstone, and its id and origin are never taken again."""
    if table not in RECORDS:
        return
    row = await c.fetchval(f"SELECT id FROM {table} ORDER BY effective_level, id LIMIT 1")
    copy, unique = await _copied(c, table), {"places": "code", "statutes": "key"}.get(table, "origin_id")

    def named(name: str) -> str:
        return json.dumps({"origin": "probe", "origin_id": name, unique: name})

    one, other = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    async with undone(c):
        for operation in ("insert", "delete"):
            await (
                c.execute(copy, row, one, named("a"))
                if operation == "insert"
                else c.execute(f"DELETE FROM {table} WHERE id = $1", one)
            )
            await c.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
            logged = await c.fetchval(
                "SELECT op FROM changes WHERE record_id = $1 AND closed ORDER BY id DESC LIMIT 1", one
            )
            assert logged == operation, table
        grave = await c.fetchrow("SELECT level, effective_level FROM tombstones WHERE id = $1", one)
        assert grave is not None
        assert grave["level"] == grave["effective_level"]
        await _refused(c, "CH410", copy, row, one, named("b"))
        await _refused(c, "CH410", copy, row, other, named("a"))
    if table in {"places", "organisations", "cases"}:
        await _refused(c, "CH001", f"UPDATE {table} SET parent_id = id")


async def wrong_values_are_refused(c: Connection, table: str) -> None:
    """Levels, grounds, the order of a date's bounds, and whatever else a check promises."""
    columns = await _columns(c, table)
    wrong = list(WRONG.get(table, []))
    if "effective_level" in columns and table != "tombstones":
        wrong += ["level = 3", "level = -1"]
    if "publication_ground" in columns:
        wrong += ["level = 0, publication_ground = NULL", "level = 0, publication_ground = 'because'"]
    dates = [n.removesuffix("_earliest") for n in columns if n.endswith("_earliest")]
    wrong += [f"{d}_earliest = '2024-01-02', {d}_latest = '2024-01-01'" for d in dates]
    # Only rows that have a ground: else a wrong level would be refused for the want of it.
    where = " WHERE publication_ground IS NOT NULL" if "publication_ground" in columns else ""
    for values in wrong:
        await _refused(c, "23514", f"UPDATE {table} SET {values}{where}")
    if table == "tombstones":
        async with undone(c):
            await c.execute("ALTER TABLE tombstones DISABLE TRIGGER USER")
            await _refused(c, "23514", "UPDATE tombstones SET level = 2, effective_level = 0")


async def groups_hide_within_groups(c: Connection, table: str) -> None:
    """A group within a hidden group is hidden, in whichever order the two came and changed."""
    if table != "participants":
        return
    rows = await c.fetch(
        "SELECT id FROM participants WHERE effective_level = 0 AND person_id IS NULL ORDER BY id LIMIT 2"
    )
    inner, outer = rows[0]["id"], rows[1]["id"]
    level = "SELECT effective_level FROM participants WHERE id = $1"
    async with undone(c):
        await c.execute("UPDATE participants SET within = $1 WHERE id = $2", outer, inner)
        await c.execute("UPDATE participants SET level = 2 WHERE id = $1", outer)
        assert await c.fetchval(level, inner) == 2
        await c.execute("UPDATE participants SET level = 0 WHERE id = $1", inner)
        assert await c.fetchval(level, inner) == 2
    async with undone(c):
        await c.execute("UPDATE participants SET within = '00000000-0000-4000-8000-000000000003' WHERE id = $1", inner)
        await c.execute(
            "INSERT INTO participants (id, role, count, level, event_id) SELECT "
            "'00000000-0000-4000-8000-000000000003', 'victim', 5, 2, event_id FROM participants WHERE id = $1",
            inner,
        )
        assert await c.fetchval(level, inner) == 2


async def unfit_persons_stay_hidden(c: Connection, table: str) -> None:
    """Nobody is public as one of a counted group, or for private ties alone, whichever change would make it so."""
    if table not in {"persons", "participants", "charges", "sentences", "statuses", "case_judges"}:
        return
    person = await c.fetchval("SELECT id FROM persons WHERE level = 0 ORDER BY id LIMIT 1")
    if table == "persons":
        await _refused(c, "CH422", "UPDATE persons SET groups = '{child}' WHERE id = $1", person)
        return
    event = await c.fetchval("SELECT event_id FROM participants WHERE effective_level = 0 LIMIT 1")
    async with undone(c):
        for tie in ("participants", "charges", "sentences", "statuses", "case_judges"):
            keep = (
                f"id <> (SELECT id FROM {table} WHERE person_id = $1 ORDER BY id LIMIT 1)" if tie == table else "true"
            )
            await c.execute(f"DELETE FROM {tie} WHERE person_id = $1 AND {keep}", person)
        witness = "INSERT INTO participants (role, level, event_id, person_id) VALUES ('witness', 0, $1, $2)"
        await c.execute(witness, event, person)
        await c.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        own = f"DELETE FROM {table} WHERE person_id = $1 " + (
            "AND role <> 'witness'" if table == "participants" else ""
        )
        await _refused(c, "CH422", own, person)


async def names_are_found_at_their_level(c: Connection, table: str) -> None:
    """A name's key is in the partition of the name's level, whenever names come, change, are hidden or go."""
    kind = table.removesuffix("_names")
    if kind not in NAMED or table == kind:
        return
    record = await c.fetchval(f"SELECT id FROM {NAMED[kind]} WHERE effective_level = 0 ORDER BY id LIMIT 1")
    found = f"SELECT array_agg(level) FROM {kind}_keys WHERE record_id = $1 AND folded = $2"
    async with undone(c):
        name = await c.fetchval(
            f"INSERT INTO {table} (text, kind, level, {kind}_id, folded) VALUES ('x', 'other', 0, $1, 'probed') "
            "RETURNING id",
            record,
        )
        assert await c.fetchval(found, record, "probed") == [0]
        for level in (2, 1):
            await c.execute(f"UPDATE {table} SET level = $1 WHERE id = $2", level, name)
            assert await c.fetchval(found, record, "probed") == [level]
        await c.execute(f"UPDATE {table} SET folded = 'changed' WHERE id = $1", name)
        assert await c.fetchval(found, record, "probed") is None
        await c.execute(f"DELETE FROM {table} WHERE id = $1", name)
        assert await c.fetchval(found, record, "changed") is None


async def merges_are_forgotten(c: Connection, table: str) -> None:
    """What a merge keeps for its undoing goes with the person who stayed, and with the erasure of the one who went."""
    done = {
        "persons": "DELETE FROM persons WHERE id = (SELECT into_id FROM merges)",
        "tombstones": "UPDATE tombstones SET origin_id = 'erased' WHERE id = (SELECT old_id FROM merges)",
    }
    if table in done:
        async with undone(c):
            assert await c.fetchval("SELECT count(*) FROM merges") == 1
            await c.execute(done[table])
            assert await c.fetchval("SELECT count(*) FROM merges") == 0
            assert await c.fetchval("SELECT count(*) FROM merges_private") == 0


async def proposals_are_forgotten(c: Connection, table: str) -> None:
    """Nothing that waits for an editor names a record that is erased."""
    if table == "tombstones":
        async with undone(c):
            assert await c.fetchval("SELECT count(*) FROM proposals") == 1
            await c.execute("UPDATE tombstones SET erased_for = 'error' WHERE id = (SELECT record_id FROM proposals)")
            assert await c.fetchval("SELECT count(*) FROM proposals") == 0


PROBES: tuple[Probe, ...] = (
    grants_are_as_declared,
    rows_are_seen_by_level,
    wrong_values_are_refused,
    ties_hide,
    levels_spread,
    changes_are_logged,
    records_come_and_go,
    groups_hide_within_groups,
    unfit_persons_stay_hidden,
    writers_write,
    hiding_spreads_from,
    names_are_found_at_their_level,
    merges_are_forgotten,
    proposals_are_forgotten,
    functions_are_as_declared,
)
