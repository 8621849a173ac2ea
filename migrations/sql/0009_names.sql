-- Searching by name in bounded time: tokens that make the usual questions rare, and no index of letters.

-- What a folded name is found by: all readings of its words; the initial of each in a capital (C for the sound of church,
-- which is a digit); its consonants in capitals, which outlive most slips; a bare initial with each full word beside it
-- (Tsargai: sargai in full, T. as printed); and a word that is all of the name (Xsargai; no folded word has an x).
CREATE FUNCTION name_tokens(folded varchar, every varchar) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN (
    SELECT array_to_tsvector(
        array_agg(w) || array_agg(translate(upper(left(w, 1)), '4', 'C'))
        || coalesce(array_agg(translate(upper(translate(w, 'ai', '')), '4', 'C')) FILTER (WHERE length(translate(w, 'ai', '')) > 2), '{}')
        || CASE WHEN position(' ' IN folded) = 0 THEN array_agg('X' || w) ELSE '{}' END
        || CASE WHEN bool_or(length(w) = 1) THEN (
               SELECT coalesce(array_agg(translate(upper(i), '4', 'C') || f), '{}') FROM unnest(array_agg(w)) AS i, unnest(array_agg(w)) AS f
                WHERE length(i) = 1 AND length(f) > 1) ELSE '{}' END)
      FROM string_to_table(translate(every, '/', ' '), ' ') AS w WHERE w <> '');

-- The consonants of a word in capitals; null if they are too few to tell anything.
CREATE FUNCTION name_consonants(word varchar) RETURNS varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE WHEN length(translate(word, 'ai', '')) > 2 THEN translate(upper(translate(word, 'ai', '')), '4', 'C') END;

-- All words one slip away: a letter dropped, added, changed, or swapped with the next; the first `fixed` letters are right.
CREATE FUNCTION name_slips(word varchar, letters varchar, fixed integer) RETURNS SETOF varchar LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
BEGIN ATOMIC
    SELECT word
    UNION SELECT left(word, n) || substr(word, n + 2) FROM generate_series(fixed, length(word) - 1) AS n
    UNION SELECT left(word, n) || substr(word, n + 2, 1) || substr(word, n + 1, 1) || substr(word, n + 3)
            FROM generate_series(fixed, length(word) - 2) AS n
    UNION SELECT left(word, n) || c || substr(word, n + d)
            FROM generate_series(fixed, length(word)) AS n, string_to_table(letters, NULL) AS c, generate_series(1, 2) AS d
           WHERE n + d <= length(word) + 1;
END;

-- The keys of a kind of record that the caller may read.
CREATE FUNCTION name_keys(kind varchar) RETURNS varchar LANGUAGE sql STABLE SECURITY INVOKER SET search_path = pg_catalog
RETURN kind || '_keys' || CASE current_user WHEN 'chronika_public' THEN '_public' WHEN 'chronika_partner' THEN '_shown' ELSE '' END;

-- This word and the words in these keys that are one slip from it, its first `fixed` letters apart, as alternatives of a question.
CREATE FUNCTION name_near(keys varchar, word varchar, fixed integer) RETURNS varchar LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE found varchar;
BEGIN
    EXECUTE format($q$
        SELECT concat_ws(' | ', $1, string_agg(v, ' | ')) FROM name_slips($1, 'aivbdfgklmnprstz4', $2) AS v
         WHERE v <> $1 AND length(v) > 1 AND EXISTS (SELECT FROM %I WHERE words @@ v::tsquery)$q$, keys)
    INTO found USING word, fixed;
    RETURN found;
END $$;

-- The consonants in these keys that are one slip from this word's, likewise; null if it has too few to tell anything.
CREATE FUNCTION name_about(keys varchar, word varchar) RETURNS varchar LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    consonants varchar := name_consonants(word);
    found varchar;
BEGIN
    IF length(consonants) > 3 THEN
        EXECUTE format($q$
            SELECT string_agg(v, ' | ') FROM name_slips($1, 'VBDFGKLMNPRSTZC', 0) AS v
             WHERE EXISTS (SELECT FROM %I WHERE words @@ v::tsquery)$q$, keys)
        INTO found USING consonants;
    END IF;
    RETURN found;
END $$;

-- Whether a question finds so many names that it is quicker to read in the order of ids until there are enough than to
-- gather and sort them: told from the first names in that order, since ids are random. Whole words that must all be there
-- seldom do, so fewer names are looked at for them.
CREATE FUNCTION is_common(keys varchar, question varchar) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY INVOKER
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    several CONSTANT integer := 8000;
    looked_at CONSTANT integer := CASE WHEN position('&' IN question) > 0 AND position(':*' IN question) = 0 THEN 1000 ELSE 4000 END;
    names CONSTANT double precision := (SELECT sum(pg_relation_size(relid)) / 130 FROM pg_partition_tree(keys::regclass));
    found integer;
BEGIN
    IF names < 20 * several THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT words FROM %I ORDER BY record_id LIMIT $2) AS k WHERE words @@ $1::tsquery', keys)
    INTO found USING question, looked_at;
    RETURN found >= looked_at / 400 AND found * names / looked_at > several;
END $$;

-- The first records after this id that have a name which answers a question with very many answers.
CREATE FUNCTION first_named(keys varchar, question varchar, after uuid, most integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 50
SET search_path = public, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashagg = off AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT record_id FROM %I WHERE words @@ $1::tsquery AND record_id > $2 GROUP BY record_id ORDER BY record_id LIMIT $3', keys)
    USING question, after, most;
END $$;

-- The records that have such a name, with a rank, the greatest best. `asked` holds the folded name and then the questions,
-- the strictest first: the first that finds anything answers. A question may be several, one a line, of which those that
-- very many names answer count only if no other finds anything. Last come the questions that allow for slips: ~1 and
-- the words that may each have one; ~2, one of them may be missing; ~3, the consonants or the beginning must be there; ~4, with a slip.
-- What the last two find, the first `many` names if they are more, must resemble the words asked for.
-- Without `most` all are returned; with it so many, the best first, after the given rank and id.
-- Up to `many` names are ranked by likeness; more in the order of ids, those first that are the word asked for and no more.
-- It runs with the caller's rights: a login that reads a partition which it was not granted gets an error, not names.
CREATE FUNCTION search_names(kind varchar, asked varchar[], most integer DEFAULT NULL, after_rank integer DEFAULT NULL, after_id uuid DEFAULT NULL)
RETURNS TABLE (id uuid, rank integer)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 50 SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    many CONSTANT integer := 20000;
    none CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    keys varchar := name_keys(kind);
    stage varchar;
    question varchar;
    slips integer;
    sought varchar[];
    near varchar[];
    questions varchar[];
    common varchar;
    some_ids uuid[];
    some_names varchar[];
    ids uuid[];
    names varchar[];
BEGIN
    FOREACH stage IN ARRAY asked[2:] LOOP
        slips := substring(stage FROM '^~([1-4])');
        IF slips IS NULL THEN
            questions := string_to_array(stage, E'\n');
        ELSE
            sought := string_to_array(substr(stage, 3), ' ');
            -- In a word that is not long the first letter is taken to be right.
            near := coalesce(near, ARRAY(SELECT name_near(keys, w, CASE WHEN length(w) < 8 THEN 1 ELSE 0 END) FROM unnest(sought) AS w));
            questions := CASE slips
                WHEN 1 THEN ARRAY['(' || array_to_string(near, ') & (') || ')']
                WHEN 2 THEN ARRAY(
                    SELECT '(' || string_agg(q, ') & (') || ')' FROM generate_subscripts(near, 1) AS n, unnest(near) WITH ORDINALITY AS o (q, m)
                     WHERE m <> n GROUP BY n ORDER BY n)
                ELSE ARRAY(
                    SELECT '(' || string_agg(concat_ws(' | ', q, w || ':*', CASE slips WHEN 3 THEN name_consonants(w) ELSE name_about(keys, w) END), ') & (') || ')'
                      FROM unnest(near, sought) AS o (q, w)) END;
        END IF;
        ids := '{}'; names := '{}'; common := NULL;
        FOREACH question IN ARRAY questions LOOP
            some_ids := NULL;
            IF slips IS NOT NULL OR NOT is_common(keys, question) THEN
                EXECUTE format('SELECT array_agg(record_id), array_agg(folded) FROM (SELECT record_id, folded FROM %I WHERE words @@ $1::tsquery LIMIT $2) AS k', keys)
                INTO some_ids, some_names USING question, many + 1;
                CONTINUE WHEN some_ids IS NULL;
            END IF;
            IF some_ids IS NULL OR cardinality(some_ids) > many AND coalesce(slips, 1) < 3 THEN
                common := concat_ws(' | ', common, '(' || question || ')');
            ELSE
                ids := ids || some_ids;
                names := names || some_names;
            END IF;
        END LOOP;

        IF ids <> '{}' THEN
            RETURN QUERY
            WITH likeness AS MATERIALIZED (
                SELECT n.name, 2 + (1000 * similarity(n.name, asked[1]))::integer AS worth FROM (SELECT DISTINCT unnest(names) AS name) AS n
                 WHERE coalesce(slips, 1) < 3 OR NOT EXISTS (SELECT FROM unnest(sought) AS w WHERE NOT EXISTS (
                           SELECT FROM string_to_table(n.name, ' ') AS x
                            WHERE similarity(w, x) >= CASE WHEN left(w, 1) = left(x, 1) THEN 0.3 ELSE 0.5 END)))
            SELECT * FROM (
                SELECT n.record_id, max(l.worth) AS best FROM unnest(ids, names) AS n (record_id, name) JOIN likeness l USING (name) GROUP BY 1) AS r
             WHERE after_id IS NULL OR r.best < after_rank OR r.best = after_rank AND r.record_id > after_id
             ORDER BY 2 DESC, 1 LIMIT most;
            IF FOUND OR after_id IS NOT NULL THEN RETURN; END IF;
        ELSIF common IS NOT NULL THEN
            EXECUTE format('SELECT array_agg(DISTINCT record_id) FROM (SELECT record_id FROM %I WHERE words @@ quote_literal($1)::tsquery LIMIT $2) AS k', keys)
            INTO ids USING 'X' || asked[1], many;
            ids := coalesce(ids, '{}');
            RETURN QUERY SELECT i, 1 FROM unnest(ids) AS i
              WHERE after_id IS NULL OR after_rank > 1 OR after_rank = 1 AND i > after_id ORDER BY 1 LIMIT most;
            IF most IS NULL THEN
                RETURN QUERY EXECUTE format('SELECT DISTINCT record_id, 0 FROM %I WHERE words @@ $1::tsquery AND record_id <> ALL ($2)', keys)
                USING common, ids;
            ELSE
                RETURN QUERY SELECT f, 0 FROM first_named(keys, common, CASE WHEN after_rank = 0 THEN after_id ELSE none END, most + cardinality(ids)) AS f
                  WHERE f <> ALL (ids) LIMIT most;
            END IF;
            RETURN;
        END IF;
    END LOOP;
END $$;
-- The persons whose names are about like these, for a closer look: only what the caller may see of either. Each name is
-- the folded name and then, one a line, its words, each as all its forms. A name is like it that has all of its words, or
-- two of them with a slip, or one beside another's bare initial, or is nothing but one of them.
-- Of very many namesakes those born at the same time come first; the rest is chance.
CREATE FUNCTION similar_persons(person uuid, names varchar[]) RETURNS TABLE (id uuid)
LANGUAGE plpgsql STABLE SECURITY INVOKER ROWS 100 SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    keys varchar := name_keys('person');
    name varchar;
    word varchar;
    words varchar[];
    first varchar;
    entire varchar[];
    question varchar;
    questions varchar[];
    known jsonb := '{}';
    some_ids uuid[];
    some_names varchar[];
    ids uuid[] := '{}';
    found_names varchar[] := '{}';
BEGIN
    FOREACH name IN ARRAY names LOOP
        words := (string_to_array(name, E'\n'))[2:];
        entire := ARRAY(SELECT w FROM unnest(words) AS w WHERE length(w) > 1);
        FOREACH word IN ARRAY entire LOOP
            IF NOT known ? word THEN
                first := split_part(word, ' ', 1);
                known := known || jsonb_build_object(word, concat_ws(' | ', replace(word, ' ', ' | '),
                    CASE WHEN length(first) > 3 THEN concat_ws(' | ', first || ':*', name_near(keys, first, 0)) END,
                    CASE WHEN length(first) > 5 THEN left(first, -2) END, name_consonants(first)));
            END IF;
        END LOOP;
        CONTINUE WHEN entire = '{}';
        questions := ARRAY[(SELECT '(' || string_agg(replace(w, ' ', ' | '), ') & (') || ')' FROM unnest(entire) AS w)];
        IF cardinality(words) = 1 THEN
            questions := questions || ARRAY[(known ->> entire[1])]::varchar[];
        ELSE
            questions := questions
                || ARRAY(SELECT concat('(', known ->> a, ') & (', known ->> b, ')')
                           FROM unnest(entire) WITH ORDINALITY AS x (a, n), unnest(entire) WITH ORDINALITY AS y (b, m) WHERE n < m)::varchar[]
                || ARRAY(SELECT concat('(', known ->> a, ') & ', translate(upper(i), '4', 'C')) FROM unnest(entire) AS a, unnest(words) AS i WHERE length(i) = 1)::varchar[]
                || (SELECT string_agg(DISTINCT translate(upper(left(f, 1)), '4', 'C') || split_part(a, ' ', 1), ' | ')
                      FROM unnest(entire) WITH ORDINALITY AS x (a, n), unnest(entire) WITH ORDINALITY AS y (b, m), string_to_table(b, ' ') AS f WHERE n <> m)::varchar
                || (SELECT string_agg('X' || f, ' | ') FROM unnest(entire) AS a, string_to_table(a, ' ') AS f)::varchar;
        END IF;
        FOREACH question IN ARRAY questions LOOP
            CONTINUE WHEN question IS NULL OR question <> questions[1] AND is_common(keys, question);
            EXECUTE format('SELECT array_agg(record_id), array_agg(folded) FROM (SELECT record_id, folded FROM %I WHERE words @@ $1::tsquery AND record_id <> $2 LIMIT 2000) AS k', keys)
            INTO some_ids, some_names USING question, person;
            ids := ids || coalesce(some_ids, '{}');
            found_names := found_names || coalesce(some_names, '{}');
        END LOOP;
    END LOOP;
    RETURN QUERY
    WITH likeness AS MATERIALIZED (
        SELECT f.name, max(similarity(f.name, split_part(n, E'\n', 1))) AS worth
          FROM (SELECT DISTINCT unnest(found_names) AS name) AS f, unnest(names) AS n GROUP BY 1)
    SELECT c.other FROM (
        SELECT k.other, max(l.worth) AS worth FROM unnest(ids, found_names) AS k (other, name) JOIN likeness l USING (name) GROUP BY 1) AS c
      JOIN persons p ON p.id = c.other, persons mine
     WHERE mine.id = person
     ORDER BY c.worth + CASE WHEN (p.born_earliest, p.born_latest) = (mine.born_earliest, mine.born_latest) THEN 0.3 ELSE 0 END DESC, 1 LIMIT 100;
END $$;

REVOKE EXECUTE ON FUNCTION name_tokens(varchar, varchar), name_slips(varchar, varchar, integer), name_keys(varchar), name_near(varchar, varchar, integer), name_about(varchar, varchar), name_consonants(varchar), is_common(varchar, varchar), first_named(varchar, varchar, uuid, integer), search_names(varchar, varchar[], integer, integer, uuid), similar_persons(uuid, varchar[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION name_slips(varchar, varchar, integer), name_keys(varchar), name_near(varchar, varchar, integer), name_about(varchar, varchar), name_consonants(varchar), is_common(varchar, varchar), first_named(varchar, varchar, uuid, integer), search_names(varchar, varchar[], integer, integer, uuid), similar_persons(uuid, varchar[]) TO chronika_public, chronika_partner, chronika_editor, chronika_guardian;
