-- Code lists and rates: data that an installation loads, the same for every caller.

CREATE TABLE vocabularies (
    name varchar PRIMARY KEY,
    title jsonb NOT NULL,
    definition varchar NOT NULL
);

CREATE TABLE vocabulary_terms (
    vocabulary varchar NOT NULL REFERENCES vocabularies (name) ON DELETE CASCADE,
    code varchar NOT NULL,
    position smallint NOT NULL,
    label jsonb NOT NULL,
    definition varchar,
    broader varchar,
    standard jsonb NOT NULL DEFAULT '{}',
    attributes jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (vocabulary, code)
);

CREATE TABLE rates (
    unit varchar NOT NULL,
    currency varchar NOT NULL,
    jurisdiction varchar NOT NULL,
    valid_from date NOT NULL,
    amount numeric NOT NULL CHECK (amount > 0),
    source varchar NOT NULL,
    printed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (unit, currency, jurisdiction, valid_from)
);
