"""Statistics: what was known on an earlier day, to each audience only what it could read then and still can.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

from typing import Any

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RECORDS = ("places", "organisations", "sources", "statutes", "persons", "cases", "events", "statuses", "figures")
PARTS = (
    "affiliations",
    "case_judges",
    "charges",
    "citations",
    "event_statutes",
    "organisation_names",
    "participants",
    "person_names",
    "place_names",
    "sentence_components",
    "sentences",
    "statute_titles",
)
API = "chronika_public, chronika_partner, chronika_editor, chronika_guardian"


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def known() -> str:
    """Return the functions that give documents as they were.

    They read the change log, which only editors may, so they decide by themselves what the login may see, and by the
    login alone: `session_user` is who connected, whatever role was set since. Of a record they give the last version
    before the given time, or, where that was hidden from this login at its time, the first later one that was not: no
    text is ever shown that its audience could not read once. And everything must still be visible today: the record,
    the part, and whatever these name. What is in no table and under no tombstone is hidden.
    """
    records = " UNION ALL ".join(f"SELECT id, effective_level FROM {t}" for t in (*RECORDS, "tombstones"))
    parts = " UNION ALL ".join(f"SELECT id, effective_level FROM {t}" for t in PARTS)
    return f"""
CREATE INDEX changes_of_kind ON changes (record_type, record_id, id);

CREATE FUNCTION known_ceiling() RETURNS smallint LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog
RETURN CASE session_user
    WHEN 'chronika_public' THEN 0::smallint WHEN 'chronika_partner' THEN 1::smallint
    WHEN 'chronika_editor' THEN 2::smallint WHEN 'chronika_guardian' THEN 2::smallint ELSE (-1)::smallint END;

-- Whether all that an object of a document names can be seen today.
CREATE FUNCTION names_visible(item jsonb, ceiling smallint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT NOT EXISTS (
        SELECT FROM jsonb_each_text(item) AS f (key, value)
         WHERE f.key LIKE '%\\_id' AND f.key NOT IN ('origin_id') AND f.value IS NOT NULL
           AND NOT EXISTS (SELECT FROM ({records}) AS r WHERE r.id = f.value::uuid AND r.effective_level <= ceiling));
$$;

-- A list of a document with only the parts that could be seen then and can be today; components go with their sentence.
CREATE FUNCTION known_parts(items jsonb, ceiling smallint) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT coalesce(jsonb_agg(
             CASE WHEN e.item ? 'components'
                  THEN e.item || jsonb_build_object('components', known_parts(e.item -> 'components', ceiling))
                  ELSE e.item END ORDER BY e.n), '[]')
      FROM jsonb_array_elements(items) WITH ORDINALITY AS e (item, n)
     WHERE (e.item ->> 'effective_level')::smallint <= ceiling
       AND NOT EXISTS (SELECT FROM ({parts}) AS p WHERE p.id = (e.item ->> 'id')::uuid AND p.effective_level > ceiling)
       AND names_visible(e.item, ceiling);
$$;

-- A document as its audience may know it, null for one that it may not. A part that openly names what is hidden today
-- hides the whole record, as it would if it stood there today.
CREATE FUNCTION known_document(document jsonb, ceiling smallint) RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    result jsonb := document;
    list record;
BEGIN
    IF NOT names_visible(document, ceiling) THEN RETURN NULL; END IF;
    FOR list IN SELECT key, value FROM jsonb_each(document)
                 WHERE jsonb_typeof(value) = 'array' AND jsonb_typeof(value -> 0) = 'object' LOOP
        IF list.key IN ('participants', 'event_statutes', 'case_judges', 'charges', 'sentences') AND EXISTS (
               SELECT FROM jsonb_array_elements(list.value) AS e (item)
                WHERE (e.item ->> 'level')::smallint <= ceiling AND NOT names_visible(e.item, ceiling)) THEN
            RETURN NULL;
        END IF;
        result := jsonb_set(result, ARRAY[list.key], known_parts(list.value, ceiling));
    END LOOP;
    RETURN result;
END $$;

CREATE FUNCTION known_documents(kind varchar, until timestamptz) RETURNS SETOF jsonb LANGUAGE sql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH known AS (
        SELECT DISTINCT ON (record_id) record_id, id, op, data, level_after
          FROM changes WHERE closed AND record_type = kind AND at < until ORDER BY record_id, id DESC
    ), readable AS (
        SELECT k.record_id, CASE WHEN k.level_after <= known_ceiling() THEN k.data ELSE (
                   SELECT c.data FROM changes c
                    WHERE c.record_type = kind AND c.record_id = k.record_id AND c.id > k.id AND c.closed
                      AND c.level_after <= known_ceiling() AND c.data IS NOT NULL ORDER BY c.id LIMIT 1) END AS data
          FROM known k WHERE k.op <> 'delete'
    )
    SELECT d.document FROM readable r, LATERAL known_document(r.data, known_ceiling()) AS d (document)
     WHERE r.data IS NOT NULL AND d.document IS NOT NULL
       AND EXISTS (SELECT FROM ({records}) AS t WHERE t.id = r.record_id AND t.effective_level <= known_ceiling());
$$;
REVOKE EXECUTE ON FUNCTION known_ceiling(), names_visible(jsonb, smallint), known_parts(jsonb, smallint),
    known_document(jsonb, smallint), known_documents(varchar, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION known_documents(varchar, timestamptz) TO {API};
"""


def upgrade() -> None:
    """Make the functions."""
    run(known())


def downgrade() -> None:
    """Remove them."""
    run(
        "DROP FUNCTION known_documents(varchar, timestamptz); DROP FUNCTION known_document(jsonb, smallint); "
        "DROP FUNCTION known_parts(jsonb, smallint); DROP FUNCTION names_visible(jsonb, smallint); "
        "DROP FUNCTION known_ceiling(); DROP INDEX changes_of_kind"
    )
