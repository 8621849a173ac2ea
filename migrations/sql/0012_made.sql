-- New records are logged when their transaction closes, in one row each, whole. Until then one row says what a statement
-- made, and which numbers the changes will have; it never outlives the transaction.

CREATE TABLE made (
    transaction bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    record_type varchar NOT NULL,
    records uuid[] NOT NULL,
    changes bigint[] NOT NULL,
    actor varchar
);
CREATE INDEX made_in ON made (transaction);
ALTER TABLE made ENABLE ROW LEVEL SECURITY;
ALTER TABLE made FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON made TO chronika_owner USING (true) WITH CHECK (true);

-- A deleted id, or an origin's deleted id, is never given again: whoever mirrored the deletion would lose the new one.
-- Asked when the rows are there, so that a deletion which they had to wait for counts.
CREATE OR REPLACE FUNCTION records_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_nestloop = on AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh f JOIN tombstones t ON t.id = f.id)
        OR EXISTS (SELECT FROM fresh f JOIN tombstones t ON t.origin = f.origin AND t.origin_id = f.origin_id)
        OR EXISTS (SELECT FROM tombstones t JOIN fresh f ON f.origin = t.origin
                    WHERE t.erased_for IS NOT NULL AND t.origin_id = erased_origin_id(t.id, f.origin_id))
    THEN
        RAISE EXCEPTION 'buried' USING ERRCODE = 'CH410';
    END IF;
    INSERT INTO made (record_type, records, changes, actor)
    SELECT TG_ARGV[0], array_agg(n.id), array_agg(n.change), nullif(current_setting('chronika.actor', true), '')
      FROM (SELECT f.id, nextval('changes_id_seq') AS change FROM (SELECT id FROM fresh ORDER BY id) AS f) AS n
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

-- Counting a record's versions is not a change of it.
CREATE OR REPLACE FUNCTION records_rewritten() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = on SET enable_nestloop = off AS $$
DECLARE ids uuid[];
BEGIN
    SELECT array_agg(f.id) INTO ids FROM stale s JOIN fresh f USING (id)
     WHERE s.version = f.version AND s.version_partner = f.version_partner AND s.version_public = f.version_public
       AND s.* IS DISTINCT FROM f.*;
    IF ids IS NOT NULL THEN PERFORM open_changes(TG_ARGV[0], 'update', ids); END IF;
    RETURN NULL;
END $$;

-- Opens the changes of records, of each once in a transaction, but not of those that it made. In the order of their ids,
-- so that two who write the same records wait for each other and do not block each other.
CREATE OR REPLACE FUNCTION open_changes(kind varchar, operation varchar, records uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_nestloop = on AS $$
DECLARE
    made_by varchar := nullif(current_setting('chronika.actor', true), '');
    new uuid[];
BEGIN
    IF operation <> 'delete' THEN
        SELECT array_agg(n.id) INTO new FROM made m CROSS JOIN LATERAL unnest(m.records) AS n (id)
         WHERE m.transaction = pg_current_xact_id()::text::bigint;
    END IF;
    INSERT INTO changes AS c (record_type, record_id, op, actor)
    SELECT kind, r.id, operation, made_by
      FROM (SELECT unnest(records) EXCEPT SELECT unnest(new)) AS r (id)
     WHERE operation = 'delete' OR NOT EXISTS (SELECT FROM changes o WHERE o.record_id = r.id AND NOT o.closed)
     ORDER BY r.id
    ON CONFLICT (record_id) WHERE NOT closed DO UPDATE SET op = 'delete' WHERE excluded.op = 'delete';
END $$;

-- At the commit the first of these closes everything; the others find nothing left.
CREATE OR REPLACE FUNCTION close_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changes WHERE id = NEW.id AND NOT closed) THEN PERFORM close_changes(NEW.id); END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION close_made() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM made WHERE transaction = NEW.transaction) THEN PERFORM close_changes(NEW.changes[1]); END IF;
    RETURN NULL;
END $$;

DROP TRIGGER closed ON changes;
CREATE CONSTRAINT TRIGGER closed AFTER INSERT ON changes DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NOT NEW.closed) EXECUTE FUNCTION close_change();
CREATE CONSTRAINT TRIGGER closed AFTER INSERT ON made DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION close_made();
