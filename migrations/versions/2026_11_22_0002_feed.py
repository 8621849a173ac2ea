"""The feed: a numbering of changes per audience, made after the commit, and who has confirmed how much of it.

Everything below is frozen: it says what this revision made, whatever the models say today.
"""

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RECORDS = {
    "places": "place",
    "organisations": "organisation",
    "sources": "source",
    "statutes": "statute",
    "persons": "person",
    "cases": "case",
    "events": "event",
    "statuses": "status",
    "figures": "figure",
}
READERS = "chronika_public, chronika_partner"
WRITERS = "chronika_editor, chronika_guardian"

# Each audience has numbers of its own, without gaps, so that nobody can count changes that are hidden from them.
# had_partner: null = the change altered nothing that partners may see; false = it did, and they could not see the
# record before; true = they could. Likewise had_public.
TABLES = """
ALTER TABLE changes
    ADD COLUMN version_partner integer,
    ADD COLUMN version_public integer,
    ADD COLUMN had_partner boolean,
    ADD COLUMN had_public boolean,
    ADD COLUMN seq_partner bigint,
    ADD COLUMN seq_public bigint;
UPDATE changes SET
    had_partner = CASE WHEN least(level_before, level_after) <= 1 THEN coalesce(level_before <= 1, false) END,
    had_public = CASE WHEN least(level_before, level_after) <= 0 THEN coalesce(level_before <= 0, false) END;
CREATE UNIQUE INDEX changes_partner ON changes (seq_partner) WHERE seq_partner IS NOT NULL;
CREATE UNIQUE INDEX changes_public ON changes (seq_public) WHERE seq_public IS NOT NULL;

-- Which feed this is; a cursor of another one is refused.
CREATE TABLE feed (id uuid NOT NULL DEFAULT gen_random_uuid(), single boolean PRIMARY KEY DEFAULT true CHECK (single));
INSERT INTO feed DEFAULT VALUES;

-- How far each holder of a key has confirmed; `types` is the set of record types that it follows, a bit each.
CREATE TABLE feed_acks (
    holder varchar NOT NULL,
    types integer NOT NULL,
    level smallint NOT NULL,
    seq bigint NOT NULL,
    uid uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (holder, types)
);

-- What this registry pulls from others: the cursor reached, and which record of theirs is which of ours.
CREATE TABLE pulls (
    peer varchar NOT NULL,
    types varchar NOT NULL,
    cursor varchar NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (peer, types)
);
CREATE TABLE pulled (
    peer varchar NOT NULL,
    remote_id uuid NOT NULL,
    record_type varchar NOT NULL,
    local_id uuid NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (peer, remote_id)
);
"""

# What its owner withdrew may come back under the same id, unlike what was deleted for good.
FORGET = """
CREATE FUNCTION forget_withdrawn(record uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM tombstones t WHERE t.id = record AND t.merged_into IS NULL
       AND EXISTS (SELECT FROM pulled p WHERE p.local_id = record);
$$;
"""

# Numbers are given to committed rows only, so the order of numbers is an order of commits: whoever has seen number n
# can see all below it. The lock is a statement of its own and each statement here has a fresh snapshot, so whoever
# gets it sees all that the holder before it numbered; at a stricter isolation that would not be so.
# Numbers follow the greatest given, not a sequence: none is ever skipped, and none depends on what is hidden.
NUMBER = """
CREATE FUNCTION number_changes(OUT editors bigint, OUT partners bigint, OUT everyone bigint,
    OUT editors_uid uuid, OUT partners_uid uuid, OUT everyone_uid uuid, OUT more boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE numbered integer := 0;
BEGIN
    IF EXISTS (SELECT FROM changes WHERE seq IS NULL AND closed) THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'numbering needs read committed' USING ERRCODE = 'CH500';
        END IF;
        PERFORM pg_advisory_xact_lock(7308895160742);
        WITH waiting AS (
            SELECT id, had_partner, had_public FROM changes WHERE seq IS NULL AND closed ORDER BY id LIMIT 5000
        ), given AS (
            SELECT id, row_number() OVER w AS editors,
                   CASE WHEN had_partner IS NOT NULL THEN count(had_partner) OVER w END AS partners,
                   CASE WHEN had_public IS NOT NULL THEN count(had_public) OVER w END AS everyone
              FROM waiting WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING)
        ), last AS (
            SELECT (SELECT coalesce(max(seq), 0) FROM changes) AS editors,
                   (SELECT coalesce(max(seq_partner), 0) FROM changes) AS partners,
                   (SELECT coalesce(max(seq_public), 0) FROM changes) AS everyone
        )
        UPDATE changes c
           SET seq = last.editors + given.editors, seq_partner = last.partners + given.partners,
               seq_public = last.everyone + given.everyone
          FROM given, last WHERE c.id = given.id;
        GET DIAGNOSTICS numbered = ROW_COUNT;
    END IF;
    SELECT c.seq, c.uid INTO editors, editors_uid FROM changes c WHERE c.seq IS NOT NULL ORDER BY c.seq DESC LIMIT 1;
    SELECT c.seq_partner, c.uid INTO partners, partners_uid FROM changes c
     WHERE c.seq_partner IS NOT NULL ORDER BY c.seq_partner DESC LIMIT 1;
    SELECT c.seq_public, c.uid INTO everyone, everyone_uid FROM changes c
     WHERE c.seq_public IS NOT NULL ORDER BY c.seq_public DESC LIMIT 1;
    more := numbered = 5000;
END $$;
"""

LAG = """
CREATE FUNCTION feed_lag(ceiling smallint) RETURNS float8 LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM changes
     WHERE seq IS NULL AND closed
       AND CASE ceiling WHEN 0 THEN had_public IS NOT NULL WHEN 1 THEN had_partner IS NOT NULL ELSE true END;
$$;
"""

# A holder confirms; going back is for a server that was restored, where the confirmed row is no longer the same.
ACK = """
CREATE FUNCTION confirm_feed(who varchar, kinds integer, ceiling smallint, reached bigint, row_uid uuid)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO feed_acks AS a (holder, types, level, seq, uid) VALUES (who, kinds, ceiling, reached, row_uid)
    ON CONFLICT (holder, types) DO UPDATE SET level = excluded.level, seq = excluded.seq, uid = excluded.uid, at = now()
     WHERE excluded.seq >= a.seq OR excluded.level <> a.level OR NOT EXISTS (
        SELECT FROM changes c WHERE c.uid = a.uid
           AND a.seq = CASE a.level WHEN 0 THEN c.seq_public WHEN 1 THEN c.seq_partner ELSE c.seq END);
$$;

-- Withdrawals from partners, newest first, with each partner key that has not confirmed them. A partner that confirms
-- nothing at all may hold everything, so it is listed for whatever was withdrawn since its key was made.
CREATE FUNCTION unconfirmed_withdrawals(kinds varchar[], before bigint, most integer)
RETURNS TABLE (seq bigint, record_type varchar, record_id uuid, at timestamptz, deleted boolean, partners jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT c.seq_partner, c.record_type, c.record_id, c.at, c.op = 'delete', p.waiting
      FROM changes c
     CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('key', k.id, 'name', k.name, 'confirmed_at', a.at) ORDER BY k.name, k.id) AS waiting
          FROM keys k
          LEFT JOIN LATERAL (
            SELECT max(f.seq) AS seq, max(f.at) AS at, bit_or(f.types) AS types FROM feed_acks f
             WHERE f.holder = k.id AND f.level = 1
               AND f.types & (1 << array_position(kinds, c.record_type) - 1) <> 0) a ON true
         WHERE k.role = 'partner' AND k.revoked_at IS NULL AND k.expires_at > now() AND k.created_at <= c.at
           AND (a.seq < c.seq_partner
                OR a.seq IS NULL AND NOT EXISTS (SELECT FROM feed_acks f WHERE f.holder = k.id AND f.level = 1))) p
     WHERE c.seq_partner < before AND c.had_partner AND coalesce(c.level_after, 2) > 1 AND p.waiting IS NOT NULL
       AND NOT EXISTS (SELECT FROM changes l WHERE l.record_id = c.record_id AND l.seq_partner > c.seq_partner)
     ORDER BY c.seq_partner DESC LIMIT most;
$$;
"""


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def close_function() -> str:
    """Return the trigger that closes a change at the commit; new is what it notes for each audience's feed.

    The state before is the newest version's, not the newest id's: an id may be drawn before another writer of the
    same record commits. Versions go on where a record comes back after a withdrawal elsewhere.
    """
    counters = "\n".join(
        f"        WHEN '{kind}' THEN UPDATE {table} SET version = greatest(version, earlier.version) + 1, "
        f"version_partner = greatest(version_partner, earlier.version_partner) + partner_moved::integer, "
        f"version_public = greatest(version_public, earlier.version_public) + public_moved::integer, updated_at = now() "
        f"WHERE id = c.record_id RETURNING version, version_partner, version_public INTO counted;"
        for table, kind in RECORDS.items()
    )
    return f"""
CREATE OR REPLACE FUNCTION close_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c changes;
    earlier changes;
    after jsonb;
    partner_moved boolean := false;
    public_moved boolean := false;
    counted record;
BEGIN
    SELECT * INTO c FROM changes WHERE id = NEW.id AND NOT closed;
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT * INTO earlier FROM changes WHERE record_id = c.record_id AND closed ORDER BY version DESC LIMIT 1;
    IF c.op = 'delete' THEN
        IF earlier.id IS NULL OR earlier.op = 'delete' THEN  -- made and deleted in one transaction: nobody ever saw it
            DELETE FROM changes WHERE id = c.id;
        ELSE
            UPDATE changes SET closed = true, version = earlier.version + 1, level_before = earlier.level_after,
                   version_partner = coalesce(earlier.version_partner, 0) + 1,
                   version_public = coalesce(earlier.version_public, 0) + 1,
                   had_partner = CASE WHEN earlier.level_after <= 1 THEN true END,
                   had_public = CASE WHEN earlier.level_after <= 0 THEN true END
             WHERE id = c.id;
        END IF;
        RETURN NULL;
    END IF;
    after := document(c.record_type, c.record_id);
    IF c.op = 'update' AND after = earlier.data THEN
        DELETE FROM changes WHERE id = c.id;
        RETURN NULL;
    END IF;
    IF least((after ->> 'effective_level')::smallint, earlier.level_after) < 2 THEN
        partner_moved := visible(after, 1::smallint) IS DISTINCT FROM visible(earlier.data, 1::smallint);
        public_moved := visible(after, 0::smallint) IS DISTINCT FROM visible(earlier.data, 0::smallint);
    END IF;
    CASE c.record_type
{counters}
    END CASE;
    UPDATE changes SET closed = true, data = after, level_before = earlier.level_after,
           level_after = (after ->> 'effective_level')::smallint,
           version = counted.version, version_partner = counted.version_partner, version_public = counted.version_public,
           had_partner = CASE WHEN partner_moved THEN coalesce(earlier.level_after <= 1, false) END,
           had_public = CASE WHEN public_moved THEN coalesce(earlier.level_after <= 0, false) END
     WHERE id = c.id;
    RETURN NULL;
END $$;
"""


def access() -> str:
    """Return policies and grants: readers see the entries of their own feed, and of those nothing about levels."""
    sql = "".join(
        f"ALTER TABLE {t} ENABLE ROW LEVEL SECURITY; ALTER TABLE {t} FORCE ROW LEVEL SECURITY; "
        f"CREATE POLICY owner ON {t} TO chronika_owner USING (true) WITH CHECK (true);\n"
        for t in ("feed", "feed_acks", "pulls", "pulled")
    )
    for audience in ("public", "partner"):
        sql += (
            f"CREATE POLICY chronika_{audience}_reads ON changes FOR SELECT TO chronika_{audience} "
            f"USING (had_{audience} IS NOT NULL);\n"
            f"GRANT SELECT (uid, record_type, record_id, origin, at, had_{audience}, seq_{audience}) ON changes "
            f"TO chronika_{audience};\n"
        )
    return (
        sql
        + f"""
CREATE POLICY everyone ON feed FOR SELECT TO {READERS}, {WRITERS} USING (true);
GRANT SELECT ON feed TO {READERS}, {WRITERS};
REVOKE EXECUTE ON FUNCTION number_changes(), feed_lag(smallint), confirm_feed(varchar, integer, smallint, bigint, uuid),
    unconfirmed_withdrawals(varchar[], bigint, integer), forget_withdrawn(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION number_changes(), feed_lag(smallint),
    confirm_feed(varchar, integer, smallint, bigint, uuid) TO chronika_feed;
GRANT EXECUTE ON FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer), forget_withdrawn(uuid) TO {WRITERS};
CREATE POLICY editors ON pulls TO {WRITERS} USING (true) WITH CHECK (true);
CREATE POLICY editors ON pulled TO {WRITERS} USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pulls, pulled TO {WRITERS};
"""
    )


def upgrade() -> None:
    """Add the feed to the change log."""
    run(TABLES + FORGET + NUMBER + LAG + ACK + close_function() + access())


def downgrade() -> None:
    """Take the feed away and put the closing of a change back as it was."""
    path = next(Path(__file__).parent.glob("*_0001_registry.py"))
    spec = importlib.util.spec_from_file_location("registry", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- a file beside this one
    before = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(before)
    functions = before.close_function().partition("CREATE CONSTRAINT TRIGGER")[0]
    run(functions.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    run(
        "DROP FUNCTION number_changes(), feed_lag(smallint), confirm_feed(varchar, integer, smallint, bigint, uuid), "
        "unconfirmed_withdrawals(varchar[], bigint, integer), forget_withdrawn(uuid);"
        "DROP TABLE feed, feed_acks, pulls, pulled;"
        "DROP POLICY chronika_public_reads ON changes; DROP POLICY chronika_partner_reads ON changes;"
        "REVOKE ALL ON changes FROM chronika_public, chronika_partner;"
        "ALTER TABLE changes DROP COLUMN version_partner, DROP COLUMN version_public, DROP COLUMN had_partner, "
        "DROP COLUMN had_public, DROP COLUMN seq_partner, DROP COLUMN seq_public"
    )
