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
