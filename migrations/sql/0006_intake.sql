-- What other registries send: what each partner sent last, and what waits for an editor's decision.

-- What a partner sent of each of its records. Repetitions are answered from here, so that no answer depends on what
-- became of the record. Hashes only: of an erased person no word is left here.
CREATE TABLE intake (
    origin varchar NOT NULL,
    identity bytea NOT NULL CHECK (length(identity) = 32),
    record_type varchar NOT NULL,
    told uuid NOT NULL,             -- id that the partner was told
    record_id uuid NOT NULL,        -- the record that it is here, if there is any
    record_version integer,         -- its version when it was last written as sent
    fields jsonb NOT NULL,          -- field → hash of what was sent
    times integer NOT NULL CHECK (times > 0),
    PRIMARY KEY (origin, identity)
);
CREATE INDEX intake_told ON intake (told);

-- new: the record is there, restricted, and nobody has looked at it; edit: a partner's later edit of a record that an
-- editor has had in hands; conflict: the same field was changed here and there.
CREATE TABLE proposals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind varchar NOT NULL CHECK (kind IN ('new', 'edit', 'conflict')),
    record_type varchar NOT NULL,
    record_id uuid NOT NULL,        -- the record; or the id that it is to have
    source varchar NOT NULL,        -- the key's name, or the registry that was pulled from
    origin varchar NOT NULL,
    base_version integer,           -- version of the record that it was made on
    fields varchar[] NOT NULL,      -- what it would change
    data jsonb,                     -- the whole record as proposed
    state varchar NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'rejected')),
    decided_by varchar,
    decided_at timestamptz,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX proposals_open ON proposals (record_id, source) WHERE state = 'open';
CREATE INDEX proposals_listed ON proposals (state, at, id);

-- What was pulled: the version here after it was stored, hashes of what came, and which fields were edited here since.
ALTER TABLE pulled
    ADD COLUMN local_version integer,
    ADD COLUMN fields jsonb,
    ADD COLUMN edited varchar[] NOT NULL DEFAULT '{}';

-- --- whose key it is -------------------------------------------------------------------------------

-- The origin that a partner's key may write for. The key is proven anew by whoever writes with it: a handler that is
-- wrong about who is asking, or SQL of somebody's own under the partners' login, writes nothing.
CREATE FUNCTION partner_origin(key_id varchar, proof bytea) RETURNS varchar LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE found varchar;
BEGIN
    SELECT k.origin INTO found FROM keys k WHERE k.id = key_id AND k.digest = proof AND k.role = 'partner'
       AND k.revoked_at IS NULL AND k.expires_at > now();
    IF found IS NULL THEN
        RAISE EXCEPTION 'no such key' USING ERRCODE = '28000';
    END IF;
    RETURN found;
END $$;

-- The record that an id leads to: itself, or what it was merged into; null if it is gone.
CREATE FUNCTION live_record(kind varchar, record uuid) RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    found uuid;
    steps integer := 0;
BEGIN
    WHILE record IS NOT NULL AND steps < 100 LOOP
        EXECUTE format('SELECT id FROM %I WHERE id = $1', record_table(kind)) INTO found USING record;
        IF found IS NOT NULL THEN RETURN found; END IF;
        SELECT merged_into INTO record FROM tombstones WHERE id = record;
        steps := steps + 1;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION intake_identity(kind varchar, made_as varchar) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN sha256(convert_to(kind || E'\n' || made_as, 'UTF8'));

-- What a partner's own references stand for, of the asked (n, kind, id or origin_id): a row for each record that it has
-- sent, with the id that it was told; null where there is none now.
CREATE FUNCTION own_records(key_id varchar, proof bytea, asked jsonb) RETURNS TABLE (n integer, id uuid, told uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH me AS MATERIALIZED (SELECT partner_origin(key_id, proof) AS origin)
    SELECT a.n, live_record(i.record_type, i.record_id), i.told
      FROM me, jsonb_to_recordset(asked) AS a (n integer, kind varchar, id uuid, origin varchar, origin_id varchar)
      JOIN intake i ON i.record_type = a.kind
       AND (i.told = a.id OR i.identity = intake_identity(a.kind, a.origin_id))
     WHERE i.origin = me.origin AND (a.origin IS NULL OR a.origin = me.origin);
$$;

-- --- taking in -------------------------------------------------------------------------------------

-- Writes the rows of one record with its parts: restricted, under the given origin, and naming only what partners may
-- see or what the partner itself has sent. Which tables and columns there are is the catalogue's to say.
CREATE FUNCTION put_record(kind varchar, target uuid, made_by varchar, made_as varchar, given jsonb, there boolean)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    named record;
    rows jsonb;
    columns varchar;
    wrong boolean;
BEGIN
    FOR part IN
        WITH RECURSIVE parts (tab, owner, above, depth) AS (
            SELECT record_table(kind)::regclass::oid, NULL::name, NULL::oid, 0
            UNION ALL
            SELECT c.conrelid, a.attname, p.tab, p.depth + 1
              FROM parts p JOIN pg_constraint c ON c.confrelid = p.tab AND c.contype = 'f' AND c.confdeltype = 'c'
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
             WHERE EXISTS (SELECT FROM pg_attribute l WHERE l.attrelid = c.conrelid AND l.attname = 'effective_level')
        ) SELECT tab, tab::regclass::varchar AS name, owner, above::regclass::varchar AS above, depth FROM parts ORDER BY depth, tab
    LOOP
        rows := coalesce(given -> part.name, '[]');
        IF part.depth = 0 THEN
            rows := jsonb_build_array((rows -> 0)
                || jsonb_build_object('id', target, 'origin', made_by, 'origin_id', made_as, 'level', 2));
        ELSIF part.depth = 1 THEN
            IF there THEN
                EXECUTE format('DELETE FROM %s WHERE %I = $1', part.name, part.owner) USING target;
            END IF;
            SELECT coalesce(jsonb_agg(r || jsonb_build_object(part.owner, target)), '[]') INTO rows
              FROM jsonb_array_elements(rows) AS r;
        ELSIF EXISTS (SELECT FROM jsonb_array_elements(rows) AS r WHERE NOT EXISTS (
            SELECT FROM jsonb_array_elements(given -> part.above) AS o WHERE o ->> 'id' = r ->> part.owner::text))
        THEN
            RAISE EXCEPTION 'a part of another record' USING ERRCODE = '42501';
        END IF;
        CONTINUE WHEN rows = '[]';
        FOR named IN
            SELECT a.attname AS name, c.confrelid::regclass::varchar AS tab FROM pg_constraint c
              JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
             WHERE c.conrelid = part.tab AND c.contype = 'f' AND c.confdeltype <> 'c'
        LOOP
            -- Hidden and absent are one: else whoever holds a key could ask for either.
            EXECUTE format('SELECT EXISTS (SELECT FROM jsonb_array_elements($1) AS r WHERE r ->> %2$L IS NOT NULL '
                'AND NOT EXISTS (SELECT FROM %1$s x WHERE x.id = (r ->> %2$L)::uuid AND x.effective_level <= 1) '
                'AND NOT EXISTS (SELECT FROM intake i WHERE i.origin = $2 AND i.record_type = $3 '
                'AND live_record($3, i.record_id) = (r ->> %2$L)::uuid))', named.tab, named.name)
               INTO wrong USING rows, made_by, (SELECT t.kind FROM record_types() AS t WHERE t.tab = named.tab);
            IF wrong THEN
                RAISE EXCEPTION 'it names what the partner may not see' USING ERRCODE = '42501';
            END IF;
        END LOOP;
        SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
         WHERE attrelid = part.tab AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
           AND attname NOT IN ('effective_level', 'version', 'version_partner', 'version_public', 'created_at', 'updated_at');
        IF part.depth = 0 AND there THEN
            EXECUTE format('UPDATE %1$s t SET (%2$s) = (SELECT %2$s FROM jsonb_populate_recordset(NULL::%1$s, $1)) WHERE t.id = $2',
                           part.name, columns) USING rows, target;
        ELSE
            EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM jsonb_populate_recordset(NULL::%1$s, $1)',
                           part.name, columns) USING rows;
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION record_types() RETURNS TABLE (kind varchar, tab varchar) LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = public, pg_temp AS $$
    SELECT k, record_table(k) FROM unnest('{place,organisation,source,statute,person,case,event,status,figure}'::varchar[]) AS k;
$$;

-- Takes in one record of a partner's own, and says only what follows from what this partner has sent and may see:
-- created, updated, unchanged, stale (it was not made on what the partner sent last), gone (deleted while the partner
-- could see it). Whatever the rest of the registry has against the record makes a proposal of it, and no answer.
-- `given` are its rows, null where it names a record that the partner sent and that is not to be had; `sent` is the
-- whole record for a proposal; `hashes` of its fields.
CREATE FUNCTION take_in(key_id varchar, proof bytea, kind varchar, made_as varchar, base integer, given jsonb, sent jsonb, hashes jsonb)
RETURNS TABLE (result varchar, told uuid, version integer) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    who varchar := partner_origin(key_id, proof);
    tab varchar := record_table(kind);
    mark bytea := intake_identity(kind, made_as);
    known intake;
    grave tombstones;
    target uuid;
    now_at integer;
    seen_at integer;
    buried boolean := false;
    written boolean := false;
    changed varchar[];
    by_name varchar;
BEGIN
    -- Of one partner one at a time, so that what it sent last is certain.
    PERFORM pg_advisory_xact_lock(hashtext('intake ' || who));
    SELECT * INTO known FROM intake i WHERE i.origin = who AND i.identity = mark;
    SELECT * INTO grave FROM tombstones t
     WHERE t.id = known.record_id OR (t.origin = who AND t.origin_id = made_as)
        OR (t.erased_for IS NOT NULL AND t.origin = who AND t.origin_id = erased_origin_id(t.id, made_as)) LIMIT 1;
    IF known.origin IS NULL THEN
        EXECUTE format('SELECT id FROM %I WHERE origin = $1 AND origin_id = $2', tab) INTO target USING who, made_as;
    ELSE
        target := live_record(kind, known.record_id);
    END IF;
    IF target IS NULL AND grave.id IS NOT NULL THEN
        target := live_record(kind, grave.id);
        buried := target IS NULL;
        IF buried AND grave.effective_level <= 1 THEN
            RETURN QUERY SELECT 'gone'::varchar, NULL::uuid, NULL::integer;
            RETURN;
        END IF;
    END IF;
    IF target IS NOT NULL THEN
        EXECUTE format('SELECT version, CASE WHEN effective_level <= 1 THEN version_partner END FROM %I WHERE id = $1 FOR UPDATE', tab)
           INTO now_at, seen_at USING target;
    END IF;
    IF base IS NOT NULL AND base IS DISTINCT FROM known.times AND base IS DISTINCT FROM seen_at THEN
        RETURN QUERY SELECT 'stale'::varchar, known.told, coalesce(seen_at, known.times);
        RETURN;
    ELSIF known.fields = hashes THEN
        RETURN QUERY SELECT 'unchanged'::varchar, known.told, known.times;
        RETURN;
    END IF;
    known.told := coalesce(known.told, CASE WHEN seen_at IS NOT NULL THEN target END, gen_random_uuid());
    IF given IS NOT NULL AND NOT buried AND (target IS NULL OR now_at = known.record_version) THEN
        BEGIN
            PERFORM put_record(kind, coalesce(target, known.told), who, made_as, given, target IS NOT NULL);
            SET CONSTRAINTS ALL IMMEDIATE;
            SET CONSTRAINTS ALL DEFERRED;
            target := coalesce(target, known.told);
            written := true;
        EXCEPTION WHEN unique_violation OR foreign_key_violation OR restrict_violation OR SQLSTATE 'CH001' OR SQLSTATE 'CH410' OR SQLSTATE 'CH422' THEN
            -- Another record of the same key is what the partner means by its own.
            IF target IS NULL AND kind IN ('place', 'statute') THEN
                EXECUTE format('SELECT id FROM %I WHERE %I = $1', tab, CASE kind WHEN 'place' THEN 'code' ELSE 'key' END)
                   INTO target USING given -> tab -> 0 ->> (CASE kind WHEN 'place' THEN 'code' ELSE 'key' END);
            END IF;
        END;
    END IF;
    IF target IS NOT NULL THEN
        EXECUTE format('SELECT t.version FROM %I t WHERE t.id = $1', tab) INTO now_at USING target;
    END IF;
    SELECT k.name INTO by_name FROM keys k WHERE k.id = key_id;
    SELECT array_agg(h.key ORDER BY h.key) INTO changed FROM jsonb_each(hashes) AS h WHERE h.value IS DISTINCT FROM known.fields -> h.key;
    IF NOT buried THEN
        INSERT INTO proposals AS p (kind, record_type, record_id, source, origin, base_version, fields, data)
        VALUES (CASE WHEN written THEN 'new' ELSE 'edit' END, kind, coalesce(target, known.told), by_name, who,
                CASE WHEN written THEN now_at ELSE known.record_version END,
                CASE WHEN written THEN '{}' ELSE changed END, CASE WHEN NOT written THEN sent END)
        ON CONFLICT (record_id, source) WHERE state = 'open' DO UPDATE
           SET kind = excluded.kind, base_version = excluded.base_version, data = excluded.data, at = now(),
               fields = CASE WHEN written THEN '{}' ELSE (SELECT array_agg(DISTINCT f ORDER BY f) FROM unnest(p.fields || excluded.fields) AS f) END;
    END IF;
    INSERT INTO intake AS i (origin, identity, record_type, told, record_id, record_version, fields, times)
    VALUES (who, mark, kind, known.told, coalesce(target, known.record_id, known.told), CASE WHEN written THEN now_at END, hashes, 1)
    ON CONFLICT (origin, identity) DO UPDATE
       SET record_id = excluded.record_id, record_version = coalesce(excluded.record_version, i.record_version),
           fields = excluded.fields, times = i.times + 1;
    RETURN QUERY SELECT CASE WHEN known.times IS NULL AND seen_at IS NULL THEN 'created' ELSE 'updated' END::varchar,
                        known.told, coalesce(known.times, 0) + 1;
END $$;

-- Nothing that names an erased record waits any longer.
CREATE FUNCTION forget_proposals() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM proposals WHERE record_id = NEW.id OR data::text LIKE '%' || NEW.id || '%';
    RETURN NULL;
END $$;
CREATE TRIGGER proposals AFTER UPDATE OF erased_for ON tombstones FOR EACH ROW WHEN (NEW.erased_for IS NOT NULL)
EXECUTE FUNCTION forget_proposals();

-- Which fields of a record differ between now and one of its versions, by the names that the documents have.
CREATE FUNCTION changed_since(kind varchar, record uuid, since integer) RETURNS varchar[] LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT changed_fields(document(kind, record), (SELECT data FROM changes WHERE record_id = record AND closed AND version = since));
$$;
