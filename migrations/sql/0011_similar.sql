-- Whom `similar` looks at, in three questions however many names somebody has, of which each requires something rare.

-- Those of these questions that very many names answer, told as by `is_common`, for all of them at once.
CREATE FUNCTION common_among(keys varchar, questions varchar[]) RETURNS varchar[] LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    several CONSTANT integer := 8000;
    looked_at CONSTANT integer := 2000;
    names CONSTANT double precision := (SELECT sum(pg_relation_size(relid)) / 130 FROM pg_partition_tree(keys::regclass));
    found varchar[];
BEGIN
    IF names < 20 * several THEN
        RETURN '{}';
    END IF;
    EXECUTE format($q$
        WITH q AS MATERIALIZED (SELECT DISTINCT q AS text, q::tsquery AS question FROM unnest($1) AS q WHERE q <> ''),
             k AS MATERIALIZED (SELECT words FROM %I ORDER BY record_id LIMIT $2)
        SELECT coalesce(array_agg(c.text), '{}') FROM (
            SELECT q.text FROM k JOIN q ON k.words @@ q.question GROUP BY q.text HAVING count(*) * $3 / $2 > $4) AS c$q$, keys)
    INTO found USING questions, looked_at, names, several;
    RETURN found;
END $$;

-- The persons whose names are about like these, for a closer look: only what the caller may see of either. Each name is
-- the folded name and then, one a line, its words, each as all its forms. A name is like it that has all of its words, or
-- two of them with a slip, or one beside another's bare initial, or is nothing but one of them. Of two words of which very
-- many have each, such as a given name and a patronymic, nothing is asked; and of the beginning or the consonants of a word
-- neither, if very many words have them.
-- Of very many namesakes those born at the same time come first; the rest is chance.
CREATE OR REPLACE FUNCTION similar_persons(person uuid, names varchar[]) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 100 SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    none CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    slips CONSTANT integer := 12;
    keys varchar := name_keys('person');
    name varchar;
    word varchar;
    first varchar;
    words varchar[];
    entire varchar[];
    common varchar[];
    about jsonb := '{}';
    whole varchar[] := '{}';
    pairs varchar[] := '{}';
    short varchar[] := '{}';
    question varchar;
    some_ids uuid[];
    some_names varchar[];
    ids uuid[] := '{}';
    found_names varchar[] := '{}';
BEGIN
    -- Each word as it stands, and as what it may be a slip of; of the latter nothing that very many have.
    entire := ARRAY(SELECT w FROM unnest(names) WITH ORDINALITY AS x (n, at), unnest((string_to_array(n, E'\n'))[2:]) AS w
                     WHERE length(w) > 1 GROUP BY w ORDER BY min(at), w);
    common := common_among(keys, ARRAY(
        SELECT q FROM unnest(entire) AS w, split_part(w, ' ', 1) AS f,
               unnest(ARRAY[replace(w, ' ', ' | '), f || ':*', left(f, -2), name_consonants(f)]) AS q WHERE length(q) > 1));
    FOREACH word IN ARRAY entire LOOP
        first := split_part(word, ' ', 1);
        about := about || jsonb_build_object(word, concat_ws(' | ', replace(word, ' ', ' | '),
            CASE WHEN length(first) > 3 AND array_position(entire, word) <= slips THEN name_near(keys, first, 0) END,
            CASE WHEN length(first) > 3 AND first || ':*' <> ALL (common) THEN first || ':*' END,
            CASE WHEN length(first) > 5 AND left(first, -2) <> ALL (common) THEN left(first, -2) END,
            CASE WHEN name_consonants(first) <> ALL (common) THEN name_consonants(first) END));
    END LOOP;

    FOREACH name IN ARRAY names LOOP
        words := (string_to_array(name, E'\n'))[2:];
        entire := ARRAY(SELECT w FROM unnest(words) AS w WHERE length(w) > 1);
        CONTINUE WHEN entire = '{}';
        question := (SELECT '(' || string_agg(replace(w, ' ', ' | '), ') & (') || ')' FROM unnest(entire) AS w);
        IF NOT EXISTS (SELECT FROM unnest(entire) AS w WHERE replace(w, ' ', ' | ') <> ALL (common)) AND is_common(keys, question) THEN
            EXECUTE format('SELECT array_agg(k.record_id), array_agg(k.folded) FROM first_named($1, $2, $3, 100) AS f JOIN %I k ON k.record_id = f WHERE f <> $4', keys)
            INTO some_ids, some_names USING keys, question, none, person;
            ids := ids || coalesce(some_ids, '{}');
            found_names := found_names || coalesce(some_names, '{}');
        ELSE
            whole := whole || question;
        END IF;
        short := short || ARRAY(SELECT 'X' || f FROM unnest(entire) AS a, string_to_table(a, ' ') AS f)::varchar[];
        IF cardinality(words) = 1 THEN
            pairs := pairs || ARRAY(SELECT about ->> a FROM unnest(entire) AS a WHERE replace(a, ' ', ' | ') <> ALL (common))::varchar[];
        ELSE
            pairs := pairs || ARRAY(
                SELECT concat('(', about ->> least(a, b), ') & (', about ->> greatest(a, b), ')')
                  FROM unnest(entire) WITH ORDINALITY AS x (a, n), unnest(entire) WITH ORDINALITY AS y (b, m)
                 WHERE n < m AND (replace(a, ' ', ' | ') <> ALL (common) OR replace(b, ' ', ' | ') <> ALL (common)))::varchar[];
            short := short || ARRAY(
                SELECT concat('(', about ->> a, ') & ', translate(upper(i), '4', 'C')) FROM unnest(entire) AS a, unnest(words) AS i
                 WHERE length(i) = 1 AND replace(a, ' ', ' | ') <> ALL (common)
                UNION ALL
                SELECT translate(upper(left(f, 1)), '4', 'C') || split_part(a, ' ', 1)
                  FROM unnest(entire) WITH ORDINALITY AS x (a, n), unnest(entire) WITH ORDINALITY AS y (b, m), string_to_table(b, ' ') AS f WHERE n <> m)::varchar[];
        END IF;
    END LOOP;

    FOREACH question IN ARRAY ARRAY(
        SELECT string_agg(DISTINCT '(' || q || ')', ' | ' ORDER BY '(' || q || ')')
          FROM (SELECT 1, unnest(whole) UNION ALL SELECT 2, unnest(pairs) UNION ALL SELECT 3, unnest(short)) AS x (n, q) GROUP BY n ORDER BY n)
    LOOP
        EXECUTE format('SELECT array_agg(record_id), array_agg(folded) FROM (SELECT record_id, folded FROM %I WHERE words @@ $1::tsquery AND record_id <> $2 LIMIT 2000) AS k', keys)
        INTO some_ids, some_names USING question, person;
        ids := ids || coalesce(some_ids, '{}');
        found_names := found_names || coalesce(some_names, '{}');
    END LOOP;
    RETURN QUERY
    WITH likeness AS MATERIALIZED (
        SELECT f.name, max(similarity(f.name, split_part(n, E'\n', 1))) AS worth
          FROM (SELECT DISTINCT unnest(found_names) AS name) AS f, unnest(names) AS n GROUP BY 1),
    best AS MATERIALIZED (
        SELECT k.other, max(l.worth) AS worth FROM unnest(ids, found_names) AS k (other, name) JOIN likeness l USING (name) GROUP BY 1)
    SELECT b.other FROM best b JOIN persons p ON p.id = b.other, persons mine
     WHERE mine.id = person
       AND b.worth >= coalesce((SELECT worth - 0.3 FROM best ORDER BY worth DESC OFFSET 99 LIMIT 1), 0)
     ORDER BY b.worth + CASE WHEN (p.born_earliest, p.born_latest) = (mine.born_earliest, mine.born_latest) THEN 0.3 ELSE 0 END DESC, 1 LIMIT 100;
END $$;

-- The ids among these words, and the ids into which those were merged, as far as the caller may see it.
CREATE FUNCTION meant(asked varchar[]) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY INVOKER ROWS 1 SET search_path = public, pg_temp AS $$
    WITH RECURSIVE led (id) AS (
        SELECT CASE WHEN pg_input_is_valid(a, 'uuid') THEN a::uuid END FROM unnest(asked) AS a
        UNION SELECT t.merged_into FROM led JOIN tombstones t ON t.id = led.id WHERE t.merged_into IS NOT NULL
    ) SELECT id FROM led WHERE id IS NOT NULL;
$$;

REVOKE EXECUTE ON FUNCTION common_among(varchar, varchar[]), meant(varchar[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION common_among(varchar, varchar[]), meant(varchar[]) TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;
