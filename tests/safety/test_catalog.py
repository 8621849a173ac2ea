"""What the catalogue of a database at head must say, whatever tables and functions later revisions add."""

import asyncpg
import pytest

pytestmark = pytest.mark.anyio

API = ("chronika_public", "chronika_partner", "chronika_editor", "chronika_guardian", "chronika_auth", "chronika_feed")
READERS = API[:2]

FOR_ALL = {
    "vocabularies": "code lists, the same for every caller",
    "vocabulary_terms": "code lists, the same for every caller",
    "rates": "conversion rates, the same for every caller",
    "alembic_version": "the revision, which /readyz compares",
    "feed": "which feed this is, which every cursor names",
    "name_fold": "which version of the fold the names were folded with",
}
"""Tables whose rows every reader may see, and why."""

NAME_KEYS = {
    f"{kind}_keys{part}": login
    for kind in ("person", "organisation", "place")
    for part, login in {
        "": {"chronika_editor", "chronika_guardian"},
        "_shown": {"chronika_partner"},
        "_public": {"chronika_public"},
        "_partner": set[str](),
        "_restricted": set[str](),
    }.items()
}
"""The keys of names have no row-level security, under which their indexes would lie idle: partition → who reads it."""

OURS = "c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
NOT_OF_AN_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = {}.oid AND d.deptype = 'e')"


async def _none(owner: asyncpg.Connection, sql: str, *arguments: object) -> None:
    found = [tuple(r) for r in await owner.fetch(sql, *arguments)]
    assert found == []


async def test_row_level_security_is_enabled_and_forced_on_every_table(owner: asyncpg.Connection) -> None:
    found = await owner.fetch(
        f"SELECT c.oid::regclass::text FROM pg_class c WHERE {OURS} AND c.relkind IN ('r', 'p') "
        "AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    assert {r[0] for r in found} == set(NAME_KEYS)


async def test_the_keys_of_names_are_granted_whole_and_by_partition(owner: asyncpg.Connection) -> None:
    """Each login reads the one table that holds its levels, and no partition holds another level than its own."""
    levels = {"_public": {0}, "_partner": {1}, "_shown": {0, 1}, "_restricted": {2}, "": {0, 1, 2}}
    for table, logins in NAME_KEYS.items():
        found = await owner.fetch(
            "SELECT r FROM unnest($1::text[]) r WHERE has_any_column_privilege(r, $2, 'SELECT')", API, table
        )
        assert {r[0] for r in found} == logins, table
        bound = await owner.fetchval("SELECT pg_get_partition_constraintdef($1::regclass)", table)
        for level in (0, 1, 2):
            holds = bound is None or await owner.fetchval(f"SELECT {bound} FROM (SELECT {level}::smallint AS level) x")
            assert holds == (level in levels["_" + table.rpartition("_")[2] if not table.endswith("_keys") else ""])


async def test_every_policy_is_for_a_named_role_and_no_reader_sees_all_rows(owner: asyncpg.Connection) -> None:
    await _none(owner, "SELECT polrelid::regclass::text, polname::text FROM pg_policy WHERE 0 = ANY (polroles)")
    found = await owner.fetch(
        "SELECT DISTINCT polrelid::regclass::text FROM pg_policy p WHERE pg_get_expr(polqual, polrelid) = 'true' "
        "AND EXISTS (SELECT FROM unnest(polroles) r WHERE r::regrole::text = ANY ($1))",
        READERS,
    )
    assert {r[0] for r in found} == set(FOR_ALL)


async def test_policies_are_constant_comparisons(owner: asyncpg.Connection) -> None:
    """No subquery and no function, which would be slow or volatile; no enum, whose comparison no index serves."""
    found = {r[0] for r in await owner.fetch(
        "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy "
            "UNION SELECT pg_get_expr(polwithcheck, polrelid) FROM pg_policy"
    )}  # fmt: skip
    allowed = {
        None,
        "true",
        "closed",
        *(f"(had_{who} IS NOT NULL)" for who in ("public", "partner")),
        *(f"(effective_level {op})" for op in ("= 0", "<= 1", "<= 2")),
    }
    assert found <= allowed


async def test_no_api_role_is_strong_a_member_of_another_or_without_limits(owner: asyncpg.Connection) -> None:
    await _none(
        owner,
        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) AND (rolsuper OR rolbypassrls OR rolcreaterole "
        "OR rolcreatedb OR rolreplication OR rolinherit OR NOT rolcanlogin)",
        API,
    )
    await _none(owner, "SELECT roleid::regrole::text FROM pg_auth_members WHERE member::regrole::text = ANY ($1)", API)
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        await _none(
            owner,
            "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) AND NOT coalesce("
            "(SELECT bool_or(c LIKE $2) FROM unnest(rolconfig) c), false)",
            API,
            f"{limit}=%",
        )
    await _none(
        owner,
        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) "
        "AND NOT 'default_transaction_read_only=on' = ANY (rolconfig)",
        READERS,
    )


async def test_api_roles_own_nothing_and_can_make_nothing(owner: asyncpg.Connection) -> None:
    await _none(owner, "SELECT relname::text FROM pg_class WHERE relowner::regrole::text = ANY ($1)", API)
    await _none(
        owner,
        "SELECT r FROM unnest($1::text[]) r WHERE has_schema_privilege(r, 'public', 'CREATE') "
        "OR has_database_privilege(r, current_database(), 'CREATE, TEMPORARY')",
        API,
    )


async def test_views_check_the_callers_rights_and_nothing_is_materialised(owner: asyncpg.Connection) -> None:
    await _none(
        owner,
        f"SELECT c.oid::regclass::text FROM pg_class c WHERE {OURS} AND "
        "(c.relkind IN ('m', 'f') OR c.relkind = 'v' "
        f"AND NOT 'security_invoker=true' = ANY (coalesce(c.reloptions, '{{}}'))) "
        f"AND {NOT_OF_AN_EXTENSION.format('c')}",
    )


async def test_functions_are_closed_and_their_search_path_is_fixed(owner: asyncpg.Connection) -> None:
    ours = f"p.pronamespace = 'public'::regnamespace AND {NOT_OF_AN_EXTENSION.format('p')}"
    await _none(
        owner,
        f"SELECT p.oid::regprocedure::text FROM pg_proc p WHERE {ours} AND EXISTS ("
        "SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) x WHERE x.grantee = 0)",
    )
    # pg_temp last, if at all: first by default, it would let a temporary table stand in for a real one.
    await _none(
        owner,
        f"SELECT p.oid::regprocedure::text FROM pg_proc p WHERE {ours} AND NOT coalesce(("
        "SELECT bool_or(c IN ('search_path=public, pg_temp', 'search_path=pg_catalog')) "
        "FROM unnest(proconfig) c), false)",
    )


_EVERYBODY = {"judged_not_same", "known_documents"}
"""The one answers yes or no of two ids that its caller knows, the other looks at who connected and shows no more."""

# What a partner may call besides proves its key anew and tells of nothing but what this partner has sent.

_EDITORS = {
    *_EVERYBODY,
    "merge_persons",
    "unmerge_persons",
    "unconfirmed_withdrawals",
    "forget_withdrawn",
    "changed_since",
}

DEFINERS = {
    "chronika_public": _EVERYBODY,
    "chronika_partner": {*_EVERYBODY, "own_records", "take_in"},
    "chronika_editor": _EDITORS,
    "chronika_guardian": {*_EDITORS, "read_protected", "erase_person"},
    "chronika_auth": {"key_lookup", "lease_requests"},
    "chronika_feed": {"number_changes", "feed_lag", "confirm_feed"},
}
"""Functions that do more than their caller may, and who may call them. Triggers need no such right."""


async def test_only_known_functions_do_more_than_their_caller_may(owner: asyncpg.Connection) -> None:
    for role in API:
        found = await owner.fetch(
            "SELECT proname::text FROM pg_proc p WHERE prosecdef AND pronamespace = 'public'::regnamespace "
            "AND has_function_privilege($1::text, p.oid, 'EXECUTE')",
            role,
        )
        assert {r[0] for r in found} == DEFINERS.get(role, set()), role


async def test_no_reader_sees_a_counter_or_a_sequence(owner: asyncpg.Connection) -> None:
    await _none(
        owner,
        "SELECT a.attrelid::regclass::text, a.attname::text FROM pg_attribute a CROSS JOIN unnest($1::text[]) r "
        "WHERE a.attidentity <> '' AND has_column_privilege(r, a.attrelid, a.attnum, 'SELECT')",
        READERS,
    )
    await _none(
        owner,
        "SELECT c.oid::regclass::text, r FROM pg_class c CROSS JOIN unnest($1::text[]) r WHERE c.relkind = 'S' "
        "AND has_sequence_privilege(r, c.oid, 'SELECT, USAGE')",
        READERS,
    )


async def test_readers_write_nothing(owner: asyncpg.Connection) -> None:
    await _none(
        owner,
        f"SELECT c.oid::regclass::text, r FROM pg_class c CROSS JOIN unnest($1::text[]) r WHERE {OURS} "
        "AND has_any_column_privilege(r, c.oid, 'INSERT, UPDATE, REFERENCES') "
        "OR (c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
        "AND has_table_privilege(r, c.oid, 'DELETE, TRUNCATE, TRIGGER'))",
        READERS,
    )


async def test_history_and_audit_are_append_only(owner: asyncpg.Connection) -> None:
    await _none(
        owner,
        "SELECT t, r FROM unnest($1::text[]) t CROSS JOIN unnest($2::text[]) r "
        "WHERE has_table_privilege(r, t, 'DELETE, TRUNCATE') "
        "OR has_any_column_privilege(r, t, 'UPDATE')",
        [
            "changes",
            "protected_reads",
            "erasures",
            "tombstones",
            "keys",
            "key_usage",
            "merges",
            "merges_private",
            "feed",
        ],
        API,
    )


async def test_every_reference_to_a_record_spreads_its_level(owner: asyncpg.Connection) -> None:
    """Each row that names another has a trigger which reads that table's level, and that table one which spreads it."""
    found = await owner.fetch(
        "SELECT c.conrelid::regclass::text AS child, a.attname::text AS name, c.confrelid::regclass::text AS parent "
        "FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] "
        "JOIN pg_attribute e ON e.attrelid = c.confrelid AND e.attname = 'effective_level' "
        "WHERE c.contype = 'f' AND c.conrelid <> 'persons_private'::regclass "
        "AND c.conrelid::regclass::text <> ALL ($1)",
        list(NAME_KEYS),  # which are made anew from the names, as `names_are_found_at_their_level` probes
    )
    rows = await owner.fetch("SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    sources = {r[0]: r[1] for r in rows}
    assert len(found) > 50
    for child, name, parent in found:
        assert f"FROM {parent} WHERE id = NEW.{name}" in sources[f"{child}_level"], (child, name)
        assert (
            f"UPDATE {child} SET effective_level = effective_level WHERE {name} = NEW.id" in sources[f"{parent}_spread"]
        )
