"""Earlier knowledge by the set: only what has changed since is put together from old versions, all of it in one pass.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

API = "chronika_public, chronika_partner, chronika_editor, chronika_guardian"

# Kind of record → its table, what the record itself names (column → table), and its lists that are counted from.
KINDS: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "place": ("places", {"parent_id": "places"}, ()),
    "organisation": ("organisations", {"place_id": "places", "parent_id": "organisations"}, ()),
    "statute": ("statutes", {}, ()),
    "person": ("persons", {}, ()),
    "case": (
        "cases",
        {"court_id": "organisations", "body_id": "organisations", "parent_id": "cases"},
        ("case_judges", "charges", "sentences", "citations"),
    ),
    "event": (
        "events",
        {"place_id": "places", "facility_id": "organisations", "case_id": "cases"},
        ("participants", "event_statutes", "citations"),
    ),
    "status": (
        "statuses",
        {
            "person_id": "persons",
            "organisation_id": "organisations",
            "facility_id": "organisations",
            "declared_by_id": "organisations",
        },
        ("citations",),
    ),
}
# Lists of a document → what their items name.
LISTS = {
    "participants": {"person_id": "persons", "organisation_id": "organisations"},
    "event_statutes": {"statute_id": "statutes"},
    "case_judges": {"person_id": "persons"},
    "charges": {"person_id": "persons", "statute_id": "statutes", "requalified_from_id": "statutes"},
    "sentences": {"person_id": "persons"},
    "citations": {"source_id": "sources"},
}
# Lists whose items hide the whole record when they openly name somebody hidden.
TIES = ("participants", "event_statutes", "case_judges", "charges", "sentences")
# Lists of those documents that nothing is counted from but the record itself.
NOT_COUNTED = "citations,person_names,affiliations,organisation_names,place_names,statute_titles"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def _refs(of: str, names: dict[str, str]) -> str:
    return "ARRAY[" + ", ".join(f"{of} ->> '{column}'" for column in names) + "]::uuid[]"


def _items(lists: tuple[str, ...]) -> str:
    """Return the parts of a document, each a row: (part, tie, level, effective_level, refs)."""
    found = ""
    for name in lists:
        tie = "true" if name in TIES else "false"
        levels = "(e.item ->> 'level')::smallint, (e.item ->> 'effective_level')::smallint"
        refs = _refs("e.item", LISTS[name])
        found += f"""
            UNION ALL
            SELECT (e.item ->> 'id')::uuid, {tie}, {levels}, {refs}
              FROM jsonb_array_elements(c.data -> '{name}') AS e (item)"""
    if "sentences" in lists:
        found += """
            UNION ALL
            SELECT (k.item ->> 'id')::uuid, false, NULL, (k.item ->> 'effective_level')::smallint, '{}'
              FROM jsonb_array_elements(c.data -> 'sentences') AS e (item),
                   jsonb_array_elements(e.item -> 'components') AS k (item)"""
    return found


def _kept(items: str, item: str) -> str:
    """Return the list of a document without the parts in `h.hidden`."""
    shown = item
    if item == "s.item":
        components = _kept("s.item -> 'components'", "k.item")
        shown = f"s.item || jsonb_build_object('components', {components})"
    of = item.partition(".")[0]
    return (
        f"(SELECT coalesce(jsonb_agg({shown} ORDER BY {of}.n), '[]') FROM jsonb_array_elements({items}) WITH ORDINALITY "
        f"AS {of} (item, n) WHERE ({item} ->> 'id')::uuid <> ALL (h.hidden))"
    )


def known_query(kind: str) -> str:
    """Return the query of the documents of one kind that a login may know and that are not those of today."""
    table, names, lists = KINDS[kind]
    targets = sorted({*names.values(), *(t for name in lists for t in LISTS[name].values())})
    visible = " UNION ALL ".join(
        f"SELECT t.id FROM {t} t WHERE t.effective_level <= ceiling" for t in (*targets, "tombstones")
    )
    most = max(len(refs) for refs in (names, *(LISTS[name] for name in lists), [""]))
    unseen = " OR ".join(f"i.refs[{n}] IN (SELECT u.id FROM unseen u)" for n in range(1, most + 1))
    parts = [*lists, *(["sentence_components"] if "sentences" in lists else [])]
    hidden_parts = "".join(
        f"""
              LEFT JOIN {part} ON {part}.id = i.part AND {part}.effective_level > ceiling"""
        for part in parts
    )
    hidden = " OR ".join(
        ["coalesce(i.effective_level > ceiling, false)", *(f"{part}.id IS NOT NULL" for part in parts)]
    )
    own = _refs("c.data", names)
    document = f"c.data - '{{{NOT_COUNTED}}}'::text[]"
    if lists:
        shown = {n: _kept(f"c.data -> '{n}'", "s.item" if n == "sentences" else "e.item") for n in lists}
        without = ", ".join(f"'{name}', {kept}" for name, kept in shown.items())
        document = f"CASE WHEN h.hidden IS NULL THEN c.data ELSE c.data || jsonb_build_object({without}) END"
    return f"""
        RETURN QUERY WITH since AS MATERIALIZED (
            SELECT c.record_id, min(c.version) AS version FROM changes c WHERE c.record_type = '{kind}' AND c.at >= until
               AND CASE ceiling WHEN 0 THEN c.had_public IS NOT NULL WHEN 1 THEN c.had_partner IS NOT NULL ELSE c.closed END
             GROUP BY c.record_id
        ), last AS (
            SELECT DISTINCT ON (c.record_id) c.record_id, c.id, c.version, c.op, c.level_after
              FROM changes c JOIN since s ON s.record_id = c.record_id
             WHERE c.record_type = '{kind}' AND c.at < until AND c.closed AND c.version < s.version ORDER BY c.record_id, c.version DESC
        ), chosen AS MATERIALIZED (
            SELECT l.record_id, CASE WHEN l.level_after <= ceiling THEN l.id ELSE (
                       SELECT c.id FROM changes c WHERE c.record_id = l.record_id AND c.version > l.version AND c.closed
                          AND c.level_after <= ceiling AND c.data IS NOT NULL ORDER BY c.version LIMIT 1) END AS change
              FROM last l WHERE l.op <> 'delete'
               AND EXISTS (SELECT FROM (SELECT t.id FROM {table} t WHERE t.effective_level <= ceiling
                                        UNION ALL
                                        SELECT t.id FROM tombstones t WHERE t.effective_level <= ceiling) AS today
                            WHERE today.id = l.record_id)
             ORDER BY change
        ), items AS MATERIALIZED (
            SELECT h.change, i.* FROM chosen h JOIN changes c ON c.id = h.change CROSS JOIN LATERAL (
            SELECT NULL::uuid, true, NULL::smallint, NULL::smallint, {own}{_items(lists)}
                   ) AS i (part, tie, level, effective_level, refs)
        ), unseen AS MATERIALIZED (
            SELECT n.id FROM (SELECT DISTINCT unnest(i.refs) AS id FROM items i) AS n
             WHERE n.id IS NOT NULL AND NOT EXISTS (SELECT FROM (
                       {visible}) AS v WHERE v.id = n.id)
        ), weighed AS (
            SELECT i.*, coalesce({unseen}, false) AS naming, {hidden} AS hidden FROM items i{hidden_parts}
        ), told AS MATERIALIZED (
            SELECT i.change, array_agg(i.part) FILTER (WHERE i.part IS NOT NULL AND (i.hidden OR i.naming)) AS hidden
              FROM weighed i GROUP BY i.change
            HAVING NOT bool_or(i.naming AND i.tie AND coalesce(i.level <= ceiling, true)) ORDER BY i.change
        )
        SELECT {document} FROM told h JOIN changes c ON c.id = h.change;"""


def known() -> str:
    """Return the function that gives documents as they were, of records that were not as they are today.

    A record of which a login has seen no change since is counted from its row of today, under the login's policies; the
    others are these. It reads the change log, of which logins see hardly anything, so it decides by itself what the
    login may know, and by the login alone: `session_user` is who connected, whatever role was set since. Of a record it
    gives the last version before the first change that the login has seen since, or, where that was hidden from this
    login at its time, the first later one that was not: no text is ever shown that its audience could not read once. And
    everything must still be visible today: the record, the part, and whatever these name; what is in no table and under
    no tombstone is hidden. A part that openly names what is hidden today hides the whole record, as it would if it stood
    there today. It takes a day and no time, so that nobody finds the minute of a change.
    """
    kinds = "".join(
        f"""
    WHEN '{kind}' THEN{known_query(kind)}"""
        for kind in KINDS
    )
    return f"""
CREATE FUNCTION known_documents(kind varchar, day date) RETURNS SETOF jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    ceiling CONSTANT smallint := known_ceiling();
    until CONSTANT timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    CASE kind{kinds}
    ELSE NULL;
    END CASE;
END $$;
REVOKE EXECUTE ON FUNCTION known_documents(varchar, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION known_documents(varchar, date) TO {API};
"""


# In the order of time: what is new goes to its end, and what has changed since a day is one stretch of it.
INDEX = """
DROP INDEX changes_of_kind;
CREATE INDEX changes_since ON changes (record_type, at) INCLUDE (record_id, version, had_partner, had_public, closed);
"""

BEFORE = (
    "DROP FUNCTION known_documents(varchar, timestamptz); DROP FUNCTION known_document(jsonb, smallint); "
    "DROP FUNCTION known_parts(jsonb, smallint); DROP FUNCTION names_visible(jsonb, smallint);"
)


def upgrade() -> None:
    """Make it."""
    run(BEFORE + INDEX + known())


def _revision(number: str) -> Any:
    path = next(Path(__file__).parent.glob(f"*_{number}_*.py"))
    spec = importlib.util.spec_from_file_location(f"revision_{number}", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- a file beside this one
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def downgrade() -> None:
    """Put the functions back that took one record after the other."""
    run("DROP FUNCTION known_documents(varchar, date); DROP FUNCTION known_ceiling(); DROP INDEX changes_since;")
    run(_revision("0003").known())
