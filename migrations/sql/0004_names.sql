-- What searching by name needs besides the keys themselves.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
SELECT similarity('', '');  -- loads it, so that the setting below is known

-- Which version of the fold the names were folded with; when the program's differs, they are folded anew.
CREATE TABLE name_fold (version integer NOT NULL);
ALTER TABLE name_fold ENABLE ROW LEVEL SECURITY;
ALTER TABLE name_fold FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON name_fold TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY everyone ON name_fold FOR SELECT TO chronika_public, chronika_partner, chronika_editor, chronika_guardian USING (true);
GRANT SELECT ON name_fold TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;

-- A folded name is words by blanks, the readings of a word by slashes; the first reading is the likeliest.
CREATE FUNCTION first_readings(folded varchar) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN regexp_replace(folded, '/[^ ]*', '', 'g');

-- All readings of all words, and the initial of each, in a capital; a small letter alone is an initial as written.
CREATE FUNCTION key_words(folded varchar) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN (SELECT array_to_tsvector(array_agg(word) || array_agg(upper(left(word, 1))))
          FROM regexp_split_to_table(folded, '[ /]+') AS word WHERE word <> '');

-- The ids of the records that have such a name, best rank first in meaning, in no order. `asked` holds the folded name and
-- then the questions, the strictest first: the first that finds anything answers. Where none does, a typing error is
-- allowed for: every long word must resemble a word of the name, from its first letter on unless it is long.
-- It runs with the caller's rights: a login that reads a partition which it was not granted gets an error, not names.
CREATE FUNCTION search_names(kind varchar, asked varchar[]) RETURNS TABLE (id uuid, rank integer)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 50
SET search_path = public, pg_temp SET pg_trgm.word_similarity_threshold = 0.5 AS $$
DECLARE
    keys varchar := kind || '_keys' || CASE current_user WHEN 'chronika_public' THEN '_public' WHEN 'chronika_partner' THEN '_shown' ELSE '' END;
    question varchar;
    long varchar[];
    alike varchar := '';
BEGIN
    FOREACH question IN ARRAY asked[2:] LOOP
        RETURN QUERY EXECUTE format('SELECT record_id, max(1000 * similarity(folded, $2))::integer FROM %I WHERE words @@ $1::tsquery GROUP BY 1', keys)
        USING question, asked[1];
        IF FOUND THEN RETURN; END IF;
    END LOOP;
    SELECT array_agg(w) INTO long FROM (
        SELECT w FROM regexp_split_to_table(asked[1], ' ') w WHERE length(w) > 3 ORDER BY length(w) DESC, w LIMIT 4) AS words;
    IF long IS NULL THEN RETURN; END IF;
    FOR n IN 1 .. cardinality(long) LOOP
        alike := alike || format(' AND folded %%> $1[%s]', n);
    END LOOP;
    RETURN QUERY EXECUTE format($q$
        SELECT record_id, max(1000 * similarity(folded, $2))::integer FROM %I
         WHERE true %s AND NOT EXISTS (SELECT FROM unnest($1) AS w WHERE NOT EXISTS (
               SELECT FROM string_to_array(folded, ' ') AS a, unnest(a) AS x
                WHERE similarity(w, x) >= CASE WHEN left(w, 1) = left(x, 1) THEN 0.3 ELSE 0.5 END))
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 200 $q$, keys, alike)
    USING long, asked[1];
END $$;
REVOKE EXECUTE ON FUNCTION search_names(varchar, varchar[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_names(varchar, varchar[]) TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;

-- The records whose names are about like this one's, for a closer look: only what the caller may see of either.
CREATE FUNCTION similar_names(kind varchar, record uuid) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 100
SET search_path = public, pg_temp SET pg_trgm.similarity_threshold = 0.4 AS $$
DECLARE
    keys varchar := kind || '_keys' || CASE current_user WHEN 'chronika_public' THEN '_public' WHEN 'chronika_partner' THEN '_shown' ELSE '' END;
    names varchar[];
BEGIN
    EXECUTE format('SELECT array_agg(folded) FROM (SELECT DISTINCT folded FROM %I WHERE record_id = $1 ORDER BY 1 LIMIT 10) AS n', keys)
    INTO names USING record;
    IF names IS NULL THEN RETURN; END IF;
    RETURN QUERY EXECUTE format(
        'SELECT k.record_id FROM unnest($1) AS n (folded) JOIN %I AS k ON k.folded %% n.folded WHERE k.record_id <> $2 '
        'GROUP BY 1 ORDER BY max(similarity(k.folded, n.folded)) DESC, 1 LIMIT 100', keys) USING names, record;
END $$;
REVOKE EXECUTE ON FUNCTION similar_names(varchar, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION similar_names(varchar, uuid) TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;

-- Two persons of whom somebody said that they are not one. Ids alone, so that a judgement outlives a merge and its undo.
CREATE TABLE not_same (
    one uuid NOT NULL,
    other uuid NOT NULL,
    actor varchar,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (one, other),
    CHECK (one < other)
);
CREATE INDEX not_same_other ON not_same (other);

-- Whether two persons were judged not to be one; tells nothing but that, and only of ids that the caller knows already.
CREATE FUNCTION judged_not_same(a uuid, b uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM not_same WHERE one = least(a, b) AND other = greatest(a, b));
$$;
REVOKE EXECUTE ON FUNCTION judged_not_same(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION judged_not_same(uuid, uuid) TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;

-- What a merge moved, so that it can be undone: the merged person's own row, and table → [{id, position}] of the rows moved.
CREATE TABLE merges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old_id uuid NOT NULL,
    into_id uuid NOT NULL,
    own jsonb NOT NULL,
    moved jsonb NOT NULL,
    actor varchar,
    at timestamptz NOT NULL DEFAULT now(),
    undone_at timestamptz
);
CREATE UNIQUE INDEX merges_of ON merges (old_id) WHERE undone_at IS NULL;

-- The protected parts before a merge of two; no login reads it.
CREATE TABLE merges_private (
    merge_id bigint PRIMARY KEY REFERENCES merges (id) ON DELETE CASCADE,
    old_content jsonb,
    into_content jsonb
);

ALTER TABLE not_same ENABLE ROW LEVEL SECURITY;
ALTER TABLE not_same FORCE ROW LEVEL SECURITY;
ALTER TABLE merges ENABLE ROW LEVEL SECURITY;
ALTER TABLE merges FORCE ROW LEVEL SECURITY;
ALTER TABLE merges_private ENABLE ROW LEVEL SECURITY;
ALTER TABLE merges_private FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON not_same TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY owner ON merges TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY owner ON merges_private TO chronika_owner USING (true) WITH CHECK (true);
CREATE POLICY editors ON not_same TO chronika_editor, chronika_guardian USING (true) WITH CHECK (true);
GRANT SELECT, DELETE, INSERT (one, other, actor) ON not_same TO chronika_editor, chronika_guardian;

-- The levels of what names a person, and of the records that do it through a part, to see whether any became more visible.
CREATE FUNCTION levels_around(person uuid) RETURNS TABLE (tab varchar, row_id uuid, lvl smallint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 'participants', id, effective_level FROM participants WHERE person_id = person
    UNION ALL SELECT 'charges', id, effective_level FROM charges WHERE person_id = person
    UNION ALL SELECT 'sentences', id, effective_level FROM sentences WHERE person_id = person
    UNION ALL SELECT 'case_judges', id, effective_level FROM case_judges WHERE person_id = person
    UNION ALL SELECT 'statuses', id, effective_level FROM statuses WHERE person_id = person
    UNION ALL SELECT 'person_names', id, effective_level FROM person_names WHERE person_id = person
    UNION ALL SELECT 'affiliations', id, effective_level FROM affiliations WHERE person_id = person
    UNION ALL SELECT 'citations', id, effective_level FROM citations WHERE person_id = person
    UNION ALL SELECT 'events', id, effective_level FROM events WHERE id IN (SELECT event_id FROM participants WHERE person_id = person)
    UNION ALL SELECT 'cases', id, effective_level FROM cases WHERE id IN (
        SELECT case_id FROM charges WHERE person_id = person UNION SELECT case_id FROM sentences WHERE person_id = person
        UNION SELECT case_id FROM case_judges WHERE person_id = person)
$$;

-- Two protected parts in one: lists one after the other, anything else from the first that has it.
CREATE FUNCTION both_protected(first jsonb, second jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
RETURN (
    SELECT jsonb_object_agg(k.key, CASE
             WHEN jsonb_typeof(first -> k.key) = 'array' AND jsonb_typeof(second -> k.key) = 'array' THEN (first -> k.key) || (second -> k.key)
             WHEN coalesce(first -> k.key, 'null') = 'null' THEN second -> k.key
             ELSE first -> k.key END)
      FROM (SELECT jsonb_object_keys(first) UNION SELECT jsonb_object_keys(second)) AS k (key));

-- Makes one person of two: everything that names the old one names the other, and the old id becomes a tombstone that says
-- into whom. False, and the caller must roll back, where anything would be seen by more people than before.
-- The tombstone is as hidden as the stricter of the two: it may name neither to anyone who may not see both.
CREATE FUNCTION merge_persons(old uuid, into_person uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    own persons;
    target persons;
    tab varchar;
    kept jsonb;
    all_moved jsonb := '{}';
    merge_id bigint;
    old_private jsonb;
    into_private jsonb;
    before_levels jsonb;
    shown boolean;
BEGIN
    PERFORM FROM persons WHERE id IN (old, into_person) ORDER BY id FOR UPDATE;
    SELECT * INTO STRICT own FROM persons WHERE id = old;
    SELECT * INTO STRICT target FROM persons WHERE id = into_person;
    SELECT coalesce(jsonb_object_agg(l.tab || l.row_id, l.lvl), '{}') INTO before_levels FROM levels_around(old) AS l;
    FOREACH tab IN ARRAY ARRAY['person_names', 'affiliations', 'citations', 'participants', 'charges', 'sentences', 'case_judges', 'statuses'] LOOP
        EXECUTE format('SELECT coalesce(jsonb_agg(jsonb_build_object(''id'', id, ''position'', %s) ORDER BY id), ''[]'') FROM %I WHERE person_id = $1',
                       CASE WHEN tab IN ('person_names', 'affiliations', 'citations') THEN 'position' ELSE 'NULL' END, tab)
        INTO kept USING old;
        all_moved := all_moved || jsonb_build_object(tab, kept);
        IF kept <> '[]' THEN
            -- What is listed comes after the other person's own list.
            EXECUTE format('UPDATE %I SET person_id = $2 %s WHERE person_id = $1', tab,
                           CASE WHEN tab IN ('person_names', 'affiliations', 'citations') THEN
                               format(', position = position + (SELECT coalesce(max(position) + 1, 0) FROM %I WHERE person_id = $2)', tab) END)
            USING old, into_person;
        END IF;
    END LOOP;
    SELECT bool_or(l.lvl < (before_levels ->> (l.tab || l.row_id))::smallint) INTO shown FROM levels_around(into_person) AS l;
    IF shown THEN RETURN false; END IF;
    INSERT INTO merges (old_id, into_id, own, moved, actor)
    VALUES (old, into_person, to_jsonb(own), all_moved, nullif(current_setting('chronika.actor', true), '')) RETURNING id INTO merge_id;
    SELECT content INTO old_private FROM persons_private WHERE person_id = old;
    SELECT content INTO into_private FROM persons_private WHERE person_id = into_person;
    IF old_private IS NOT NULL THEN
        INSERT INTO merges_private (merge_id, old_content, into_content) VALUES (merge_id, old_private, into_private);
        INSERT INTO persons_private (person_id, content) VALUES (into_person, old_private)
        ON CONFLICT (person_id) DO UPDATE SET content = both_protected(into_private, old_private);
    END IF;
    DELETE FROM persons WHERE id = old;
    UPDATE tombstones SET merged_into = into_person, effective_level = greatest(own.effective_level, target.effective_level) WHERE id = old;
    RETURN true;
END $$;

-- Takes a merge back: the old person as it was, and every row that moved and still is there. Null if there is none to undo,
-- false where the other person is no longer there, or something would be seen by more people than now.
CREATE FUNCTION unmerge_persons(old uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    m merges;
    p merges_private;
    tab varchar;
    before_levels jsonb;
    shown boolean;
BEGIN
    SELECT * INTO m FROM merges WHERE old_id = old AND undone_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM FROM persons WHERE id = m.into_id FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    SELECT coalesce(jsonb_object_agg(l.tab || l.row_id, l.lvl), '{}') INTO before_levels FROM levels_around(m.into_id) AS l;
    DELETE FROM tombstones WHERE id = old;
    -- Its deletion counted as a version; the numbers go on from there.
    INSERT INTO persons SELECT r.* FROM jsonb_populate_record(NULL::persons, m.own || jsonb_build_object(
        'version', (m.own ->> 'version')::integer + 1, 'version_partner', (m.own ->> 'version_partner')::integer + 1,
        'version_public', (m.own ->> 'version_public')::integer + 1)) AS r;
    FOR tab IN SELECT jsonb_object_keys(m.moved) LOOP
        EXECUTE format('UPDATE %I t SET person_id = $1 %s FROM jsonb_to_recordset($2) AS r (id uuid, position smallint) WHERE t.id = r.id AND t.person_id = $3',
                       tab, CASE WHEN tab IN ('person_names', 'affiliations', 'citations') THEN ', position = r.position' END)
        USING old, m.moved -> tab, m.into_id;
    END LOOP;
    SELECT bool_or(l.lvl < (before_levels ->> (l.tab || l.row_id))::smallint) INTO shown FROM levels_around(old) AS l;
    IF shown THEN RETURN false; END IF;
    SELECT * INTO p FROM merges_private WHERE merge_id = m.id;
    IF FOUND THEN
        -- What guardians wrote since then stays with the person who was shown to them.
        IF p.into_content IS NULL THEN
            DELETE FROM persons_private WHERE person_id = m.into_id AND content = p.old_content;
        ELSE
            UPDATE persons_private SET content = p.into_content WHERE person_id = m.into_id AND content = both_protected(p.into_content, p.old_content);
        END IF;
        INSERT INTO persons_private (person_id, content) VALUES (old, p.old_content);
        DELETE FROM merges_private WHERE merge_id = m.id;
    END IF;
    UPDATE merges SET undone_at = now() WHERE id = m.id;
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION merge_persons(uuid, uuid), unmerge_persons(uuid), levels_around(uuid), both_protected(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION merge_persons(uuid, uuid), unmerge_persons(uuid) TO chronika_editor, chronika_guardian;

-- A merge into somebody who is deleted or erased cannot be undone any more, nor may it keep what was erased.
CREATE FUNCTION forget_merges(person uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE gone (id) AS (SELECT person UNION SELECT m.old_id FROM merges m JOIN gone g ON m.into_id = g.id)
    DELETE FROM merges WHERE old_id = person OR into_id IN (SELECT id FROM gone);
$$;
CREATE FUNCTION merges_forgotten() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'tombstones' OR NOT EXISTS (SELECT FROM merges WHERE old_id = OLD.id AND undone_at IS NULL) THEN
        PERFORM forget_merges(OLD.id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER merges AFTER DELETE ON persons FOR EACH ROW EXECUTE FUNCTION merges_forgotten();
-- Only an erasure changes what a tombstone says of the origin.
CREATE TRIGGER merges AFTER UPDATE ON tombstones FOR EACH ROW
WHEN (OLD.origin_id IS DISTINCT FROM NEW.origin_id) EXECUTE FUNCTION merges_forgotten();
REVOKE EXECUTE ON FUNCTION forget_merges(uuid), merges_forgotten() FROM PUBLIC;
