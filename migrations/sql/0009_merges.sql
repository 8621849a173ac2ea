-- A merge keeps all that its undoing needs: the names, affiliations and citations themselves, should they be deleted
-- meanwhile, and whose protected parts name the old person as a relative.

ALTER TABLE merges_private ADD COLUMN relatives jsonb NOT NULL DEFAULT '[]';

-- A protected part in which one relative is another person now.
CREATE FUNCTION with_relative(content jsonb, old_entry jsonb, new_entry jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
RETURN jsonb_set(content, '{relatives}', (
    SELECT coalesce(jsonb_agg(CASE WHEN r.item = old_entry THEN new_entry ELSE r.item END ORDER BY r.n), '[]')
      FROM jsonb_array_elements(content -> 'relatives') WITH ORDINALITY AS r (item, n)));

-- Names the person who stays wherever a protected part names the old one, and returns what it changed: whose, and the entry
-- as it was. Nobody is made a relative of their own.
CREATE FUNCTION move_relative(old uuid, into_person uuid) RETURNS jsonb LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    named record;
    moved jsonb := '[]';
BEGIN
    FOR named IN
        SELECT p.person_id, r.item FROM persons_private p, jsonb_array_elements(p.content -> 'relatives') AS r (item)
         WHERE p.person_id <> into_person AND p.content -> 'relatives' @> jsonb_build_array(jsonb_build_object('person', old)) AND r.item ->> 'person' = old::text
         ORDER BY p.person_id
    LOOP
        UPDATE persons_private SET content = with_relative(content, named.item, named.item || jsonb_build_object('person', into_person))
         WHERE person_id = named.person_id;
        moved := moved || jsonb_build_object('of', named.person_id, 'entry', named.item);
    END LOOP;
    RETURN moved;
END $$;

CREATE OR REPLACE FUNCTION merge_persons(old uuid, into_person uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    own persons;
    target persons;
    tab varchar;
    listed boolean;
    kept jsonb;
    all_moved jsonb := '{}';
    merge_id bigint;
    old_private jsonb;
    into_private jsonb;
    relatives_moved jsonb;
    before_levels jsonb;
    shown boolean;
BEGIN
    PERFORM FROM persons WHERE id IN (old, into_person) ORDER BY id FOR UPDATE;
    SELECT * INTO STRICT own FROM persons WHERE id = old;
    SELECT * INTO STRICT target FROM persons WHERE id = into_person;
    SELECT coalesce(jsonb_object_agg(l.tab || l.row_id, l.lvl), '{}') INTO before_levels FROM levels_around(old) AS l;
    FOREACH tab IN ARRAY ARRAY['person_names', 'affiliations', 'citations', 'participants', 'charges', 'sentences', 'case_judges', 'statuses'] LOOP
        listed := tab IN ('person_names', 'affiliations', 'citations');
        EXECUTE format('SELECT coalesce(jsonb_agg(%s ORDER BY t.id), ''[]'') FROM %I t WHERE t.person_id = $1',
                       CASE WHEN listed THEN 'to_jsonb(t)' ELSE 'jsonb_build_object(''id'', t.id)' END, tab)
        INTO kept USING old;
        all_moved := all_moved || jsonb_build_object(tab, kept);
        IF kept <> '[]' THEN
            -- What is listed comes after the other person's own list.
            EXECUTE format('UPDATE %I SET person_id = $2 %s WHERE person_id = $1', tab,
                           CASE WHEN listed THEN
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
        INSERT INTO persons_private (person_id, content) VALUES (into_person, old_private)
        ON CONFLICT (person_id) DO UPDATE SET content = both_protected(into_private, old_private);
    END IF;
    DELETE FROM persons WHERE id = old;
    relatives_moved := move_relative(old, into_person);
    IF old_private IS NOT NULL OR relatives_moved <> '[]' THEN
        INSERT INTO merges_private (merge_id, old_content, into_content, relatives) VALUES (merge_id, old_private, into_private, relatives_moved);
    END IF;
    UPDATE tombstones SET merged_into = into_person, effective_level = greatest(own.effective_level, target.effective_level) WHERE id = old;
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION unmerge_persons(old uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    m merges;
    p merges_private;
    tab varchar;
    named jsonb;
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
    -- What was listed and is deleted by now comes back, but for what cites or names a record that is gone. Merges that are
    -- older than this keep no more than the ids.
    INSERT INTO person_names SELECT r.* FROM jsonb_populate_recordset(NULL::person_names, m.moved -> 'person_names') AS r
     WHERE r.text IS NOT NULL AND NOT EXISTS (SELECT FROM person_names n WHERE n.id = r.id)
       AND (r.source_id IS NULL OR EXISTS (SELECT FROM sources s WHERE s.id = r.source_id));
    INSERT INTO affiliations SELECT r.* FROM jsonb_populate_recordset(NULL::affiliations, m.moved -> 'affiliations') AS r
     WHERE r.person_id IS NOT NULL AND NOT EXISTS (SELECT FROM affiliations a WHERE a.id = r.id)
       AND (r.organisation_id IS NULL OR EXISTS (SELECT FROM organisations o WHERE o.id = r.organisation_id));
    INSERT INTO citations SELECT r.* FROM jsonb_populate_recordset(NULL::citations, m.moved -> 'citations') AS r
     WHERE r.person_id IS NOT NULL AND NOT EXISTS (SELECT FROM citations c WHERE c.id = r.id)
       AND EXISTS (SELECT FROM sources s WHERE s.id = r.source_id);
    SELECT bool_or(l.lvl < (before_levels ->> (l.tab || l.row_id))::smallint) INTO shown FROM levels_around(old) AS l;
    IF shown THEN RETURN false; END IF;
    SELECT * INTO p FROM merges_private WHERE merge_id = m.id;
    IF FOUND THEN
        -- What guardians wrote since then stays with the person who was shown to them.
        IF p.into_content IS NULL THEN
            DELETE FROM persons_private WHERE person_id = m.into_id AND content = p.old_content;
        ELSIF p.old_content IS NOT NULL THEN
            UPDATE persons_private SET content = p.into_content WHERE person_id = m.into_id AND content = both_protected(p.into_content, p.old_content);
        END IF;
        IF p.old_content IS NOT NULL THEN
            INSERT INTO persons_private (person_id, content) VALUES (old, p.old_content);
        END IF;
        FOR named IN SELECT * FROM jsonb_array_elements(p.relatives) LOOP
            UPDATE persons_private SET content = with_relative(content, (named -> 'entry') || jsonb_build_object('person', m.into_id), named -> 'entry')
             WHERE person_id = (named ->> 'of')::uuid AND jsonb_typeof(content -> 'relatives') = 'array';
        END LOOP;
        DELETE FROM merges_private WHERE merge_id = m.id;
    END IF;
    UPDATE merges SET undone_at = now(), moved = '{}' WHERE id = m.id;
    RETURN true;
END $$;
-- Whoever is deleted or erased is not told of by what other merges keep either.
CREATE OR REPLACE FUNCTION forget_merges(person uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH RECURSIVE gone (id) AS (SELECT person UNION SELECT m.old_id FROM merges m JOIN gone g ON m.into_id = g.id)
    DELETE FROM merges WHERE old_id = person OR into_id IN (SELECT id FROM gone);
    UPDATE merges_private SET relatives = (
        SELECT coalesce(jsonb_agg(r.item ORDER BY r.n), '[]') FROM jsonb_array_elements(relatives) WITH ORDINALITY AS r (item, n)
         WHERE person::text NOT IN (r.item ->> 'of', r.item -> 'entry' ->> 'person'))
     WHERE relatives @> jsonb_build_array(jsonb_build_object('of', person))
        OR relatives @> jsonb_build_array(jsonb_build_object('entry', jsonb_build_object('person', person)));
$$;
REVOKE EXECUTE ON FUNCTION with_relative(jsonb, jsonb, jsonb), move_relative(uuid, uuid) FROM PUBLIC;
