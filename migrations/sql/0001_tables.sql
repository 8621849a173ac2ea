-- The tables of the registry. Levels: 0 public, 1 partner, 2 restricted. A date is five columns: EDTF text, its
-- bounds (null = open), the printed words, and whether it was inferred.

CREATE TABLE places (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind varchar NOT NULL,
    code varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    parent_id uuid,
    PRIMARY KEY (id),
    CONSTRAINT places_origin UNIQUE (origin, origin_id),
    UNIQUE (code),
    FOREIGN KEY (parent_id) REFERENCES places (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT places_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent'))
);
CREATE INDEX ix_places_parent_id ON places (parent_id);

CREATE TABLE organisations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind varchar NOT NULL,
    summary varchar,
    website varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    place_id uuid,
    parent_id uuid,
    founded varchar,
    founded_earliest date,
    founded_latest date,
    founded_printed varchar,
    founded_inferred boolean,
    dissolved varchar,
    dissolved_earliest date,
    dissolved_latest date,
    dissolved_printed varchar,
    dissolved_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT organisations_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (place_id) REFERENCES places (id) ON DELETE RESTRICT,
    FOREIGN KEY (parent_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT organisations_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (founded_earliest <= founded_latest),
    CHECK (dissolved_earliest <= dissolved_latest)
);
CREATE INDEX ix_organisations_parent_id ON organisations (parent_id);
CREATE INDEX ix_organisations_place_id ON organisations (place_id);

CREATE TABLE sources (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind varchar NOT NULL,
    title varchar,
    identifier varchar,
    url varchar,
    archived_url varchar,
    language varchar,
    other_languages varchar[] DEFAULT '{}' NOT NULL,
    sha256 varchar,
    reliability varchar,
    note varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    publisher_id uuid,
    originator_id uuid,
    published varchar,
    published_earliest date,
    published_latest date,
    published_printed varchar,
    published_inferred boolean,
    modified varchar,
    modified_earliest date,
    modified_latest date,
    modified_printed varchar,
    modified_inferred boolean,
    retrieved varchar,
    retrieved_earliest date,
    retrieved_latest date,
    retrieved_printed varchar,
    retrieved_inferred boolean,
    covers varchar,
    covers_earliest date,
    covers_latest date,
    covers_printed varchar,
    covers_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT sources_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (publisher_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (originator_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT sources_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (published_earliest <= published_latest),
    CHECK (modified_earliest <= modified_latest),
    CHECK (retrieved_earliest <= retrieved_latest),
    CHECK (covers_earliest <= covers_latest)
);
CREATE INDEX ix_sources_originator_id ON sources (originator_id);
CREATE INDEX ix_sources_publisher_id ON sources (publisher_id);

CREATE TABLE place_names (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    text varchar NOT NULL,
    language varchar,
    script varchar,
    kind varchar NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    source_id uuid,
    place_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (source_id) REFERENCES sources (id) ON DELETE RESTRICT,
    FOREIGN KEY (place_id) REFERENCES places (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_place_names_place_id ON place_names (place_id);
CREATE INDEX ix_place_names_source_id ON place_names (source_id);

CREATE TABLE organisation_names (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    text varchar NOT NULL,
    language varchar,
    script varchar,
    kind varchar NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    source_id uuid,
    organisation_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (source_id) REFERENCES sources (id) ON DELETE RESTRICT,
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_organisation_names_organisation_id ON organisation_names (organisation_id);
CREATE INDEX ix_organisation_names_source_id ON organisation_names (source_id);

CREATE TABLE statutes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    jurisdiction varchar NOT NULL,
    code varchar NOT NULL,
    article varchar,
    part varchar,
    nature varchar,
    note varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    key varchar NOT NULL,
    article_key varchar GENERATED ALWAYS AS (jurisdiction || '-' || code || '-' || article) STORED,
    code_key varchar GENERATED ALWAYS AS (jurisdiction || '-' || code) STORED NOT NULL,
    valid_from varchar,
    valid_from_earliest date,
    valid_from_latest date,
    valid_from_printed varchar,
    valid_from_inferred boolean,
    valid_to varchar,
    valid_to_earliest date,
    valid_to_latest date,
    valid_to_printed varchar,
    valid_to_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT statutes_origin UNIQUE (origin, origin_id),
    UNIQUE (key),
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT statutes_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (valid_from_earliest <= valid_from_latest),
    CHECK (valid_to_earliest <= valid_to_latest)
);
CREATE INDEX ix_statutes_article_key ON statutes (article_key);
CREATE INDEX ix_statutes_code_key ON statutes (code_key);

CREATE TABLE statute_titles (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    text varchar NOT NULL,
    language varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    statute_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (statute_id) REFERENCES statutes (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_statute_titles_statute_id ON statute_titles (statute_id);

CREATE TABLE persons (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    sex varchar,
    sex_basis varchar,
    groups varchar[] DEFAULT '{}' NOT NULL,
    summary varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    born varchar,
    born_earliest date,
    born_latest date,
    born_printed varchar,
    born_inferred boolean,
    died varchar,
    died_earliest date,
    died_latest date,
    died_printed varchar,
    died_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT persons_origin UNIQUE (origin, origin_id),
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT persons_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (born_earliest <= born_latest),
    CHECK (died_earliest <= died_latest)
);

CREATE TABLE person_names (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    text varchar NOT NULL,
    language varchar,
    script varchar,
    kind varchar NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    source_id uuid,
    person_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (source_id) REFERENCES sources (id) ON DELETE RESTRICT,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_person_names_person_id ON person_names (person_id);
CREATE INDEX ix_person_names_source_id ON person_names (source_id);

CREATE TABLE affiliations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    role varchar,
    state varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    person_id uuid NOT NULL,
    organisation_id uuid,
    start varchar,
    start_earliest date,
    start_latest date,
    start_printed varchar,
    start_inferred boolean,
    "end" varchar,
    end_earliest date,
    end_latest date,
    end_printed varchar,
    end_inferred boolean,
    PRIMARY KEY (id),
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CHECK (start_earliest <= start_latest),
    CHECK (end_earliest <= end_latest)
);
CREATE INDEX ix_affiliations_organisation_id ON affiliations (organisation_id);
CREATE INDEX ix_affiliations_person_id ON affiliations (person_id);

CREATE TABLE persons_private (
    person_id uuid NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (person_id),
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE CASCADE
);

CREATE TABLE cases (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    count integer,
    qualifier varchar,
    label varchar,
    kind varchar NOT NULL,
    in_absentia varchar DEFAULT 'unknown' NOT NULL,
    closed_hearing boolean,
    stage varchar,
    result varchar,
    contexts varchar[] DEFAULT '{}' NOT NULL,
    number varchar,
    summary varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    court_id uuid,
    body_id uuid,
    parent_id uuid,
    opened varchar,
    opened_earliest date,
    opened_latest date,
    opened_printed varchar,
    opened_inferred boolean,
    decided varchar,
    decided_earliest date,
    decided_latest date,
    decided_printed varchar,
    decided_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT cases_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (court_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (body_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (parent_id) REFERENCES cases (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT cases_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (opened_earliest <= opened_latest),
    CHECK (decided_earliest <= decided_latest),
    CHECK (count >= 1)
);
CREATE INDEX ix_cases_body_id ON cases (body_id);
CREATE INDEX ix_cases_court_id ON cases (court_id);
CREATE INDEX ix_cases_parent_id ON cases (parent_id);

CREATE TABLE case_judges (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    case_id uuid NOT NULL,
    person_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (case_id) REFERENCES cases (id) ON DELETE CASCADE,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_case_judges_case_id ON case_judges (case_id);
CREATE INDEX ix_case_judges_person_id ON case_judges (person_id);

CREATE TABLE charges (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    count integer,
    qualifier varchar,
    label varchar,
    status varchar NOT NULL,
    reason varchar,
    stage varchar,
    counts integer,
    some_only boolean DEFAULT 'false' NOT NULL,
    allegation varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    case_id uuid NOT NULL,
    person_id uuid,
    statute_id uuid,
    requalified_from_id uuid,
    date varchar,
    date_earliest date,
    date_latest date,
    date_printed varchar,
    date_inferred boolean,
    PRIMARY KEY (id),
    FOREIGN KEY (case_id) REFERENCES cases (id) ON DELETE CASCADE,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE RESTRICT,
    FOREIGN KEY (statute_id) REFERENCES statutes (id) ON DELETE RESTRICT,
    FOREIGN KEY (requalified_from_id) REFERENCES statutes (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CHECK (date_earliest <= date_latest),
    CHECK (count >= 1)
);
CREATE INDEX ix_charges_case_id ON charges (case_id);
CREATE INDEX ix_charges_person_id ON charges (person_id);
CREATE INDEX ix_charges_requalified_from_id ON charges (requalified_from_id);
CREATE INDEX ix_charges_statute_id ON charges (statute_id);

CREATE TABLE sentences (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    count integer,
    qualifier varchar,
    label varchar,
    outcome varchar NOT NULL,
    note varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    case_id uuid NOT NULL,
    person_id uuid,
    PRIMARY KEY (id),
    FOREIGN KEY (case_id) REFERENCES cases (id) ON DELETE CASCADE,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CHECK (count >= 1)
);
CREATE INDEX ix_sentences_case_id ON sentences (case_id);
CREATE INDEX ix_sentences_person_id ON sentences (person_id);

CREATE TABLE sentence_components (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind varchar NOT NULL,
    years numeric(7, 3),
    months numeric(8, 3),
    days numeric(10, 3),
    amount numeric(18, 4),
    unit varchar,
    converted_amount numeric(18, 4),
    converted_unit varchar,
    served boolean,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    sentence_id uuid NOT NULL,
    normal_days numeric GENERATED ALWAYS AS (CASE WHEN years IS NULL AND months IS NULL AND days IS NULL THEN NULL ELSE round(coalesce(years, 0) * 365.25 + coalesce(months, 0) * 30.4375 + coalesce(days, 0), 2) END) STORED,
    PRIMARY KEY (id),
    FOREIGN KEY (sentence_id) REFERENCES sentences (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT fine_has_unit CHECK (amount IS NULL OR unit IS NOT NULL)
);
CREATE INDEX ix_sentence_components_sentence_id ON sentence_components (sentence_id);

CREATE TABLE events (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    type varchar NOT NULL,
    incident uuid,
    ground varchar,
    result varchar,
    number varchar,
    contexts varchar[] DEFAULT '{}' NOT NULL,
    description varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    place_id uuid,
    facility_id uuid,
    case_id uuid,
    date varchar,
    date_earliest date,
    date_latest date,
    date_printed varchar,
    date_inferred boolean,
    reported varchar,
    reported_earliest date,
    reported_latest date,
    reported_printed varchar,
    reported_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT events_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (place_id) REFERENCES places (id) ON DELETE RESTRICT,
    FOREIGN KEY (facility_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (case_id) REFERENCES cases (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT events_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (date_earliest <= date_latest),
    CHECK (reported_earliest <= reported_latest)
);
CREATE INDEX ix_events_case_id ON events (case_id);
CREATE INDEX ix_events_facility_id ON events (facility_id);
CREATE INDEX ix_events_incident ON events (incident);
CREATE INDEX ix_events_place_id ON events (place_id);

CREATE TABLE participants (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    role varchar NOT NULL,
    count integer,
    unit varchar,
    qualifier varchar,
    label varchar,
    within uuid,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    event_id uuid NOT NULL,
    person_id uuid,
    organisation_id uuid,
    PRIMARY KEY (id),
    FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE RESTRICT,
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT one_person_or_group CHECK (num_nonnulls(person_id, organisation_id) = 1 OR (num_nonnulls(person_id, organisation_id) = 0 AND num_nonnulls(count, label) > 0)),
    CHECK (count >= 1)
);
CREATE INDEX ix_participants_event_id ON participants (event_id);
CREATE INDEX ix_participants_organisation_id ON participants (organisation_id);
CREATE INDEX ix_participants_person_id ON participants (person_id);

CREATE TABLE event_statutes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    event_id uuid NOT NULL,
    statute_id uuid NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE,
    FOREIGN KEY (statute_id) REFERENCES statutes (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2)
);
CREATE INDEX ix_event_statutes_event_id ON event_statutes (event_id);
CREATE INDEX ix_event_statutes_statute_id ON event_statutes (statute_id);

CREATE TABLE statuses (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    kind varchar NOT NULL,
    end_ground varchar,
    criterion varchar,
    note varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    person_id uuid,
    organisation_id uuid,
    facility_id uuid,
    declared_by_id uuid,
    start varchar,
    start_earliest date,
    start_latest date,
    start_printed varchar,
    start_inferred boolean,
    "end" varchar,
    end_earliest date,
    end_latest date,
    end_printed varchar,
    end_inferred boolean,
    PRIMARY KEY (id),
    CONSTRAINT statuses_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE RESTRICT,
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (facility_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (declared_by_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT statuses_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent')),
    CHECK (start_earliest <= start_latest),
    CHECK (end_earliest <= end_latest),
    CONSTRAINT status_one_subject CHECK (num_nonnulls(person_id, organisation_id) = 1)
);
CREATE INDEX ix_statuses_declared_by_id ON statuses (declared_by_id);
CREATE INDEX ix_statuses_facility_id ON statuses (facility_id);
CREATE INDEX ix_statuses_organisation_id ON statuses (organisation_id);
CREATE INDEX ix_statuses_person_id ON statuses (person_id);

CREATE TABLE figures (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    value numeric(20, 6) NOT NULL,
    qualifier varchar NOT NULL,
    measure varchar NOT NULL,
    filters jsonb NOT NULL,
    at varchar,
    start varchar,
    "end" varchar,
    unit varchar,
    printed varchar,
    definition varchar,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    origin varchar NOT NULL,
    origin_id varchar NOT NULL,
    version integer DEFAULT 0 NOT NULL,
    version_partner integer DEFAULT 0 NOT NULL,
    version_public integer DEFAULT 0 NOT NULL,
    publication_ground varchar,
    confidence varchar,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    originator_id uuid,
    publisher_id uuid,
    source_id uuid,
    base_id uuid,
    PRIMARY KEY (id),
    CONSTRAINT figures_origin UNIQUE (origin, origin_id),
    FOREIGN KEY (originator_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (publisher_id) REFERENCES organisations (id) ON DELETE RESTRICT,
    FOREIGN KEY (source_id) REFERENCES sources (id) ON DELETE RESTRICT,
    FOREIGN KEY (base_id) REFERENCES figures (id) ON DELETE RESTRICT,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT figures_public_needs_ground CHECK (level > 0 OR publication_ground IN ('public_record', 'consent'))
);
CREATE INDEX ix_figures_base_id ON figures (base_id);
CREATE INDEX ix_figures_originator_id ON figures (originator_id);
CREATE INDEX ix_figures_publisher_id ON figures (publisher_id);
CREATE INDEX ix_figures_source_id ON figures (source_id);

CREATE TABLE citations (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    fields varchar[] DEFAULT '{}' NOT NULL,
    page varchar,
    quote varchar,
    state varchar NOT NULL,
    value jsonb,
    preferred boolean DEFAULT false NOT NULL,
    level smallint DEFAULT 2 NOT NULL,
    effective_level smallint DEFAULT 2 NOT NULL,
    position smallint DEFAULT 0 NOT NULL,
    source_id uuid NOT NULL,
    person_id uuid,
    case_id uuid,
    statute_id uuid,
    event_id uuid,
    organisation_id uuid,
    place_id uuid,
    status_id uuid,
    cited_by_id uuid,
    figure_id uuid,
    PRIMARY KEY (id),
    FOREIGN KEY (source_id) REFERENCES sources (id) ON DELETE RESTRICT,
    FOREIGN KEY (person_id) REFERENCES persons (id) ON DELETE CASCADE,
    FOREIGN KEY (case_id) REFERENCES cases (id) ON DELETE CASCADE,
    FOREIGN KEY (statute_id) REFERENCES statutes (id) ON DELETE CASCADE,
    FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE,
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE CASCADE,
    FOREIGN KEY (place_id) REFERENCES places (id) ON DELETE CASCADE,
    FOREIGN KEY (status_id) REFERENCES statuses (id) ON DELETE CASCADE,
    FOREIGN KEY (cited_by_id) REFERENCES sources (id) ON DELETE CASCADE,
    FOREIGN KEY (figure_id) REFERENCES figures (id) ON DELETE CASCADE,
    CHECK (level BETWEEN 0 AND 2 AND effective_level BETWEEN level AND 2),
    CONSTRAINT citation_of_one_record CHECK (num_nonnulls(person_id, case_id, statute_id, event_id, organisation_id, place_id, status_id, cited_by_id, figure_id) = 1)
);
CREATE INDEX ix_citations_case_id ON citations (case_id);
CREATE INDEX ix_citations_cited_by_id ON citations (cited_by_id);
CREATE INDEX ix_citations_event_id ON citations (event_id);
CREATE INDEX ix_citations_figure_id ON citations (figure_id);
CREATE INDEX ix_citations_organisation_id ON citations (organisation_id);
CREATE INDEX ix_citations_person_id ON citations (person_id);
CREATE INDEX ix_citations_place_id ON citations (place_id);
CREATE INDEX ix_citations_source_id ON citations (source_id);
CREATE INDEX ix_citations_status_id ON citations (status_id);
CREATE INDEX ix_citations_statute_id ON citations (statute_id);

