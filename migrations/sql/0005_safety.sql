-- Who may be public, what erasing a person means, and how many requests a key may make.

-- --- publication -----------------------------------------------------------------------------------

-- Which codes keep somebody from being public is told by the vocabularies themselves: a group that is only ever
-- counted (children, parents of minors, recipients of aid), and a role that by itself makes nobody public.
CREATE FUNCTION refuse_unfit(person uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE shown persons;
BEGIN
    -- Whoever takes away one of a person's last two ties waits here for whoever takes the other.
    SELECT * INTO shown FROM persons WHERE id = person AND level = 0 FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM vocabulary_terms t WHERE t.vocabulary = 'person_group' AND t.code = ANY (shown.groups)
                  AND t.attributes @> '{"counted_only": true}')
    THEN
        RAISE EXCEPTION 'counted only' USING ERRCODE = 'CH422', CONSTRAINT = 'person_counted_only';
    END IF;
    IF shown.publication_ground <> 'consent'
        AND EXISTS (SELECT FROM participants p WHERE p.person_id = person)
        AND NOT EXISTS (SELECT FROM participants p WHERE p.person_id = person AND NOT private_alone(p.role))
        AND NOT EXISTS (SELECT FROM charges c WHERE c.person_id = person)
        AND NOT EXISTS (SELECT FROM sentences s WHERE s.person_id = person)
        AND NOT EXISTS (SELECT FROM statuses s WHERE s.person_id = person)
        AND NOT EXISTS (SELECT FROM case_judges j WHERE j.person_id = person)
    THEN
        RAISE EXCEPTION 'known only privately' USING ERRCODE = 'CH422', CONSTRAINT = 'person_private_alone';
    END IF;
END $$;

CREATE FUNCTION private_alone(role varchar) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM vocabulary_terms t WHERE t.vocabulary = 'participant_role' AND t.code = role
                      AND t.attributes @> '{"private_alone": true}');
$$;

CREATE FUNCTION person_published() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM refuse_unfit(NEW.id);
    RETURN NULL;
END $$;

-- A tie can only make somebody unfit when a private one comes or any goes.
CREATE FUNCTION participant_tied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' AND private_alone(NEW.role) THEN
        PERFORM refuse_unfit(NEW.person_id);
    ELSIF TG_OP = 'UPDATE' AND (OLD.person_id, OLD.role) IS DISTINCT FROM (NEW.person_id, NEW.role) THEN
        PERFORM refuse_unfit(OLD.person_id), refuse_unfit(NEW.person_id);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM refuse_unfit(OLD.person_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION person_untied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.person_id IS DISTINCT FROM NEW.person_id THEN
        PERFORM refuse_unfit(OLD.person_id);
    END IF;
    RETURN NULL;
END $$;

-- At the commit, when all ties of a request are there.
CREATE CONSTRAINT TRIGGER published AFTER INSERT OR UPDATE OF level, groups, publication_ground ON persons
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.level = 0) EXECUTE FUNCTION person_published();
CREATE CONSTRAINT TRIGGER published AFTER INSERT OR DELETE OR UPDATE OF person_id, role ON participants
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION participant_tied();
CREATE CONSTRAINT TRIGGER published AFTER DELETE OR UPDATE OF person_id ON charges
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.person_id IS NOT NULL) EXECUTE FUNCTION person_untied();
CREATE CONSTRAINT TRIGGER published AFTER DELETE OR UPDATE OF person_id ON sentences
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.person_id IS NOT NULL) EXECUTE FUNCTION person_untied();
CREATE CONSTRAINT TRIGGER published AFTER DELETE OR UPDATE OF person_id ON statuses
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.person_id IS NOT NULL) EXECUTE FUNCTION person_untied();
CREATE CONSTRAINT TRIGGER published AFTER DELETE OR UPDATE OF person_id ON case_judges
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION person_untied();

-- --- a group within a hidden group -----------------------------------------------------------------

CREATE INDEX participants_within ON participants (within) WHERE within IS NOT NULL;

-- `within` names a participant, of any event, and without a foreign key; what it names must be as visible as itself.
CREATE FUNCTION participants_within() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE found smallint;
BEGIN
    SELECT effective_level INTO found FROM participants WHERE id = NEW.within AND id <> NEW.id FOR SHARE;
    NEW.effective_level := greatest(NEW.effective_level, found);
    RETURN NEW;
END $$;
-- Named so that it comes after `level`, which begins anew.
CREATE TRIGGER within BEFORE INSERT OR UPDATE OF level, effective_level, event_id, person_id, organisation_id, within
ON participants FOR EACH ROW WHEN (NEW.within IS NOT NULL) EXECUTE FUNCTION participants_within();

CREATE FUNCTION participants_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE participants SET effective_level = effective_level WHERE within = NEW.id AND id <> NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER hold_new AFTER INSERT ON participants FOR EACH ROW WHEN (NEW.effective_level > 0)
EXECUTE FUNCTION participants_hold();
CREATE TRIGGER hold AFTER UPDATE ON participants FOR EACH ROW
WHEN (OLD.effective_level IS DISTINCT FROM NEW.effective_level) EXECUTE FUNCTION participants_hold();

-- --- what was deleted, merged, erased --------------------------------------------------------------

ALTER TABLE tombstones
    ADD COLUMN level smallint NOT NULL DEFAULT 2 CHECK (level BETWEEN 0 AND 2),
    ADD COLUMN erased_for varchar CHECK (erased_for IN ('consent_withdrawn', 'request', 'safety', 'error')),
    ADD CHECK (effective_level BETWEEN level AND 2);
UPDATE tombstones SET level = effective_level;
CREATE INDEX tombstones_merged ON tombstones (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX tombstones_erased ON tombstones (origin) WHERE erased_for IS NOT NULL;

-- A tombstone that leads on to another record is as hidden as that one: else it would tell of it.
CREATE FUNCTION tombstones_level() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE target smallint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.level := NEW.effective_level;
    END IF;
    NEW.effective_level := NEW.level;
    IF NEW.merged_into IS NOT NULL THEN
        EXECUTE format('SELECT effective_level FROM %I WHERE id = $1 FOR SHARE', record_table(NEW.record_type))
           INTO target USING NEW.merged_into;
        NEW.effective_level := greatest(NEW.level, target);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION record_table(kind varchar) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog
RETURN CASE kind WHEN 'status' THEN 'statuses' ELSE kind || 's' END;

CREATE TRIGGER level BEFORE INSERT OR UPDATE OF level, effective_level, merged_into ON tombstones
FOR EACH ROW EXECUTE FUNCTION tombstones_level();

CREATE FUNCTION spread_to_tombstones() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE tombstones SET effective_level = effective_level WHERE merged_into = NEW.id;
    RETURN NULL;
END $$;

-- An erased record's id in its origin is kept only as a hash, and still never taken again.
CREATE FUNCTION erased_origin_id(tombstone uuid, origin_id varchar) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN 'erased:' || encode(sha256(convert_to(tombstone::text || origin_id, 'UTF8')), 'hex');

CREATE OR REPLACE FUNCTION refuse_buried() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM tombstones t WHERE t.id = NEW.id)
        OR EXISTS (SELECT FROM tombstones t WHERE t.origin = NEW.origin AND t.origin_id = NEW.origin_id)
        OR EXISTS (SELECT FROM tombstones t WHERE t.erased_for IS NOT NULL AND t.origin = NEW.origin
                      AND t.origin_id = erased_origin_id(t.id, NEW.origin_id))
    THEN
        RAISE EXCEPTION 'buried' USING ERRCODE = 'CH410';
    END IF;
    RETURN NEW;
END $$;

-- --- erasing a person ------------------------------------------------------------------------------

-- What was erased, why and by whose decision: to be repeated after a backup is restored. Appended to, never changed.
CREATE TABLE erasures (
    person_id uuid PRIMARY KEY,
    reason varchar NOT NULL CHECK (reason IN ('consent_withdrawn', 'request', 'safety', 'error')),
    actor varchar,
    at timestamptz NOT NULL DEFAULT now()
);

-- A document without what it says of a person: every object that names them keeps only that somebody was there.
CREATE FUNCTION without_person(document jsonb, person uuid) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
BEGIN
    IF jsonb_typeof(document) = 'array' THEN
        RETURN (SELECT coalesce(jsonb_agg(without_person(e.item, person) ORDER BY e.n), '[]')
                  FROM jsonb_array_elements(document) WITH ORDINALITY AS e (item, n));
    ELSIF jsonb_typeof(document) = 'object' AND document ->> 'person_id' = person::text THEN
        RETURN (SELECT jsonb_object_agg(key, value) FROM jsonb_each(document)
                 WHERE key IN ('id', 'level', 'effective_level', 'position', 'role', 'statute_id', 'status', 'outcome',
                               'components'));
    ELSIF jsonb_typeof(document) = 'object' THEN
        RETURN (SELECT coalesce(jsonb_object_agg(key, without_person(value, person)), '{}') FROM jsonb_each(document));
    END IF;
    RETURN document;
END $$;

-- The protected part of somebody else without the relatives that are among the given persons.
CREATE FUNCTION without_relatives(content jsonb, persons uuid[]) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE WHEN jsonb_typeof(content -> 'relatives') = 'array' THEN jsonb_set(content, '{relatives}', (
    SELECT coalesce(jsonb_agg(r.item ORDER BY r.n), '[]')
      FROM jsonb_array_elements(content -> 'relatives') WITH ORDINALITY AS r (item, n)
     WHERE NOT coalesce(r.item ->> 'person' = ANY (persons::text[]), false))) ELSE content END;

-- Removes a person from everywhere: the record with its names, ties, protected part and statuses, all versions of
-- these, the mentions in versions of other records and in the protected parts of others, the answers kept for repeated
-- requests, what merges keep for their undoing, judgements, and what ties it to a record of another registry. Whoever
-- was merged is one person: erasing either id erases what became of both. Where an event or a case counted the person,
-- one person without a name is left. Returns the records whose own words may still tell of the person, for people to
-- read; null when there is no such person, erased or not.
CREATE FUNCTION erase_person(person uuid, why varchar) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    kept uuid;
    same uuid[];
    gone uuid[];
    mentioned jsonb;
    one uuid;
BEGIN
    -- Nobody merges, undoes or names anybody anew meanwhile: the last in the line of merges is locked, and looked up again.
    LOOP
        WITH RECURSIVE line (id, n) AS (
            SELECT person, 0 UNION ALL SELECT t.merged_into, n + 1 FROM tombstones t JOIN line ON t.id = line.id
             WHERE t.merged_into IS NOT NULL AND n < 1000
        ) SELECT id INTO kept FROM line ORDER BY n DESC LIMIT 1;
        PERFORM FROM persons WHERE id = kept FOR UPDATE;
        EXIT WHEN FOUND OR NOT EXISTS (SELECT FROM tombstones WHERE id = kept AND merged_into IS NOT NULL);
    END LOOP;
    IF NOT EXISTS (SELECT FROM persons WHERE id = kept)
        AND NOT EXISTS (SELECT FROM tombstones WHERE id = kept AND record_type = 'person')
    THEN
        RETURN NULL;
    END IF;
    WITH RECURSIVE line (id) AS (
        SELECT kept UNION SELECT t.id FROM tombstones t JOIN line ON t.merged_into = line.id
    ) SELECT array_agg(id) INTO same FROM line;
    gone := same || ARRAY(SELECT id FROM statuses WHERE person_id = kept);
    SELECT coalesce(jsonb_agg(DISTINCT m.url ORDER BY m.url), '[]') INTO mentioned FROM (
        SELECT '/v1/events/' || event_id FROM participants WHERE person_id = kept
        UNION ALL SELECT '/v1/cases/' || case_id FROM charges WHERE person_id = kept
        UNION ALL SELECT '/v1/cases/' || case_id FROM sentences WHERE person_id = kept
        UNION ALL SELECT '/v1/cases/' || case_id FROM case_judges WHERE person_id = kept
    ) AS m (url);

    UPDATE participants SET person_id = NULL, label = NULL, count = 1, qualifier = 'exact' WHERE person_id = kept;
    UPDATE charges SET person_id = NULL, label = NULL, allegation = NULL, count = coalesce(count, 1) WHERE person_id = kept;
    UPDATE sentences SET person_id = NULL, label = NULL, note = NULL, count = coalesce(count, 1) WHERE person_id = kept;
    DELETE FROM case_judges WHERE person_id = kept;
    DELETE FROM statuses WHERE person_id = kept;
    UPDATE persons_private SET content = without_relatives(content, same) WHERE content <> without_relatives(content, same);
    UPDATE merges_private
       SET old_content = without_relatives(old_content, same), into_content = without_relatives(into_content, same);
    DELETE FROM persons WHERE id = kept;

    UPDATE changes SET data = NULL WHERE record_id = ANY (gone) AND closed;
    FOREACH one IN ARRAY same LOOP
        -- A version that named the person differs now from what is recorded, so that the feed tells of it.
        UPDATE changes SET data = without_person(data, one) WHERE closed AND data::text LIKE '%' || one || '%';
        PERFORM forget_merges(one);
    END LOOP;
    DELETE FROM idempotency_keys k WHERE EXISTS (
        SELECT FROM unnest(gone) AS g (id) WHERE position(convert_to(g.id::text, 'UTF8') IN k.answer) > 0);
    DELETE FROM not_same n WHERE n.one = ANY (same) OR n.other = ANY (same);
    DELETE FROM pulled WHERE local_id = ANY (gone);
    UPDATE tombstones SET erased_for = why, origin_id = erased_origin_id(id, origin_id)
     WHERE id = ANY (gone) AND erased_for IS NULL;
    INSERT INTO erasures (person_id, reason, actor)
    SELECT unnest(same), why, nullif(current_setting('chronika.actor', true), '') ON CONFLICT DO NOTHING;
    RETURN mentioned;
END $$;

-- What its owner withdrew may come back under the same id, unlike what was deleted for good; what was erased never does.
CREATE OR REPLACE FUNCTION forget_withdrawn(record uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM tombstones t WHERE t.id = record AND t.merged_into IS NULL AND t.erased_for IS NULL
       AND EXISTS (SELECT FROM pulled p WHERE p.local_id = record);
$$;

-- --- the protected part ----------------------------------------------------------------------------

-- The only way to read it, so that no reading goes without a record of it.
CREATE FUNCTION read_protected(person uuid) RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    INSERT INTO protected_reads (actor, person_id) VALUES (nullif(current_setting('chronika.actor', true), ''), person);
    SELECT content::text FROM persons_private WHERE person_id = person;
$$;

-- --- how many requests a key may make --------------------------------------------------------------

CREATE TABLE key_usage (
    key_id varchar PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    since timestamptz NOT NULL,
    taken integer NOT NULL CHECK (taken >= 0)
);

-- Hands a worker some of the requests that a key has left in its minute. The share shrinks with what is left, so that
-- little of it is ever out of reach of the other workers; what a worker did not use is lost with it, never doubled.
CREATE FUNCTION lease_requests(key varchar, per_minute integer)
RETURNS TABLE (granted integer, remaining integer, resets_in double precision)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    used key_usage;
    span CONSTANT interval := interval '1 minute';
BEGIN
    INSERT INTO key_usage (key_id, since, taken) VALUES (key, clock_timestamp(), 0) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT used FROM key_usage WHERE key_id = key FOR UPDATE;
    IF used.since + span <= clock_timestamp() THEN
        used.since := clock_timestamp();
        used.taken := 0;
    END IF;
    remaining := greatest(per_minute - used.taken, 0);
    granted := least(remaining, greatest(1, remaining / 16));
    remaining := remaining - granted;
    UPDATE key_usage SET since = used.since, taken = used.taken + granted WHERE key_id = key;
    resets_in := extract(epoch FROM used.since + span - clock_timestamp());
    RETURN NEXT;
END $$;
