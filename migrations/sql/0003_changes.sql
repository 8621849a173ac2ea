-- Keys, tombstones, the change log, and the store of repeated requests.

CREATE TABLE keys (
    id varchar PRIMARY KEY,
    name varchar NOT NULL,
    role varchar NOT NULL CHECK (role IN ('partner', 'editor', 'guardian')),
    origin varchar NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);

-- What a deleted or merged record leaves: no content, and a level, so that it is as hidden as the record was.
CREATE TABLE tombstones (
    id uuid PRIMARY KEY,
    record_type varchar NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    effective_level smallint NOT NULL,
    merged_into uuid,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (origin, origin_id)
);

-- One row for each change of a record's content or level, written in the record's own transaction: the history, and
-- what the feed is made of. A row is opened at the first touch and closed at the commit, when its document is built.
-- `seq` is given later, by whoever numbers the committed rows: the order of ids is not the order of commits.
CREATE TABLE changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq bigint UNIQUE,
    uid uuid NOT NULL DEFAULT gen_random_uuid(),
    record_type varchar NOT NULL,
    record_id uuid NOT NULL,
    op varchar NOT NULL CHECK (op IN ('insert', 'update', 'delete')),
    version integer,
    level_before smallint,
    level_after smallint,
    origin varchar,
    actor varchar,
    at timestamptz NOT NULL DEFAULT now(),
    data jsonb,
    closed boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX changes_open ON changes (record_id) WHERE NOT closed;
CREATE INDEX changes_of_record ON changes (record_id, id);
CREATE INDEX changes_unnumbered ON changes (id) WHERE seq IS NULL;

CREATE TABLE idempotency_keys (
    holder varchar NOT NULL,
    key varchar NOT NULL,
    request bytea NOT NULL,
    location varchar,
    etag varchar,
    answer bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (holder, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Who read which protected part, and when; appended to, never changed.
CREATE TABLE protected_reads (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor varchar NOT NULL,
    person_id uuid NOT NULL
);

CREATE FUNCTION level_name(level smallint) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE level WHEN 0 THEN 'public' WHEN 1 THEN 'partner' WHEN 2 THEN 'restricted' END;

-- Fields in which two documents differ; the counters and levels that the database keeps are not content.
CREATE FUNCTION changed_fields(after jsonb, before jsonb) RETURNS varchar[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN (
    SELECT coalesce(array_agg(DISTINCT k.key ORDER BY k.key), '{}')
      FROM jsonb_each(coalesce(after, '{}') || coalesce(before, '{}')) AS k
     WHERE after -> k.key IS DISTINCT FROM before -> k.key
       AND (before IS NULL AND after -> k.key NOT IN ('null', '[]') OR before IS NOT NULL)
);

-- What an audience may see of a document: nothing of a record above its level, and no part above its level.
CREATE FUNCTION visible(document jsonb, ceiling smallint) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
DECLARE
    result jsonb;
    part record;
BEGIN
    IF (document ->> 'effective_level')::smallint > ceiling THEN
        RETURN NULL;
    END IF;
    -- Without `position`: a hidden part that comes before a visible one moves its place, and nothing that can be seen.
    result := document - 'effective_level' - 'position';
    -- `value` and `filters` hold whatever a client wrote, and no parts.
    FOR part IN SELECT key, value FROM jsonb_each(document)
                 WHERE jsonb_typeof(value) = 'array' AND key NOT IN ('value', 'filters') LOOP
        IF jsonb_typeof(part.value -> 0) = 'object' AND part.value -> 0 ? 'effective_level' THEN
            result := jsonb_set(result, ARRAY[part.key], coalesce((
                SELECT jsonb_agg(visible(e.item, ceiling) ORDER BY e.n)
                  FROM jsonb_array_elements(part.value) WITH ORDINALITY AS e (item, n)
                 WHERE (e.item ->> 'effective_level')::smallint <= ceiling), '[]'));
        END IF;
    END LOOP;
    RETURN result;
END $$;

-- Opens the change of a record, once in a transaction; the level before is that of the first touch.
CREATE FUNCTION open_change(kind varchar, record uuid, operation varchar, before smallint, made_by varchar)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO changes AS c (record_type, record_id, op, level_before, origin, actor)
    VALUES (kind, record, operation, before, made_by, nullif(current_setting('chronika.actor', true), ''))
    ON CONFLICT (record_id) WHERE NOT closed DO UPDATE
       SET op = CASE WHEN excluded.op = 'delete' THEN 'delete' ELSE c.op END
     WHERE excluded.op = 'delete';
$$;

-- A record was written. Counting its versions is not a change of it.
CREATE FUNCTION record_written() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO tombstones (id, record_type, origin, origin_id, effective_level)
        VALUES (OLD.id, TG_ARGV[0], OLD.origin, OLD.origin_id, OLD.effective_level)
        ON CONFLICT (id) DO NOTHING;
        PERFORM open_change(TG_ARGV[0], OLD.id, 'delete', OLD.effective_level, OLD.origin);
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM open_change(TG_ARGV[0], NEW.id, 'insert', NULL, NEW.origin);
    ELSIF OLD.version = NEW.version THEN
        PERFORM open_change(TG_ARGV[0], NEW.id, 'update', OLD.effective_level, NEW.origin);
    END IF;
    RETURN NULL;
END $$;

-- A deleted id, or an origin's deleted id, is never given again: whoever mirrored the deletion would lose the new one.
CREATE FUNCTION refuse_buried() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM tombstones t WHERE t.id = NEW.id OR (t.origin = NEW.origin AND t.origin_id = NEW.origin_id)) THEN
        RAISE EXCEPTION 'buried' USING ERRCODE = 'CH410';
    END IF;
    RETURN NEW;
END $$;

-- Nothing contains itself. The walk is bounded, so that a cycle made by an older version cannot hang it.
CREATE FUNCTION refuse_cycle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    above uuid := NEW.parent_id;
    steps integer := 0;
BEGIN
    -- Two moves that each are sound can close a circle together, so moves within one table queue up.
    PERFORM pg_advisory_xact_lock(hashtext('tree:' || TG_TABLE_NAME));
    WHILE above IS NOT NULL LOOP
        steps := steps + 1;
        IF above = NEW.id OR steps > 1000 THEN
            RAISE EXCEPTION 'cycle' USING ERRCODE = 'CH001';
        END IF;
        EXECUTE format('SELECT parent_id FROM %I WHERE id = $1', TG_TABLE_NAME) INTO above USING above;
    END LOOP;
    RETURN NEW;
END $$;

-- The key of a request: who holds it and how to tell it; run by a login that can do nothing else.
CREATE FUNCTION key_lookup(key_id varchar) RETURNS TABLE (name varchar, role varchar, origin varchar, digest bytea, valid boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT k.name, k.role, k.origin, k.digest, k.revoked_at IS NULL AND k.expires_at > now() FROM keys k WHERE k.id = key_id;
$$;

-- References are looked up under the caller's own rights: a hidden record answers as an absent one.
CREATE FUNCTION found_record(kind varchar, record uuid) RETURNS uuid LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp AS $$
DECLARE found uuid;
BEGIN
    EXECUTE format('SELECT id FROM %I WHERE id = $1', kind) INTO found USING record;
    RETURN found;
END $$;

CREATE FUNCTION found_key(kind varchar, natural_key varchar) RETURNS uuid LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp AS $$
DECLARE found uuid;
BEGIN
    IF kind = 'statutes' THEN
        SELECT id INTO found FROM statutes WHERE key = natural_key;
    ELSIF kind = 'places' THEN
        SELECT id INTO found FROM places WHERE code = natural_key;
    END IF;
    RETURN found;
END $$;

CREATE FUNCTION found_origin(kind varchar, made_by varchar, made_as varchar) RETURNS uuid LANGUAGE plpgsql STABLE
SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE found uuid;
BEGIN
    EXECUTE format('SELECT id FROM %I WHERE origin = $1 AND origin_id = $2', kind) INTO found USING made_by, made_as;
    RETURN found;
END $$;
