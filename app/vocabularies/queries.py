"""How vocabularies and rates are read."""

_TERMS = (
    "(SELECT coalesce(json_agg(json_build_object('code', t.code, 'label', t.label, 'definition', t.definition, "
    "'broader', t.broader, 'standard', t.standard, 'attributes', t.attributes) ORDER BY t.position), '[]') "
    "FROM vocabulary_terms t WHERE t.vocabulary = v.name)"
)
_OBJECT = f"json_build_object('name', v.name, 'title', v.title, 'definition', v.definition, 'terms', {_TERMS})"

ALL = (
    f"SELECT json_build_object('items', coalesce(json_agg({_OBJECT} ORDER BY v.name), '[]'))::text FROM vocabularies v"  # noqa: S608
)
ONE = f"SELECT {_OBJECT}::text FROM vocabularies v WHERE v.name = $1"  # noqa: S608
RATES = (
    "SELECT json_build_object('items', coalesce(json_agg(json_build_object('unit', unit, 'currency', currency, "
    "'jurisdiction', jurisdiction, 'valid_from', valid_from, 'amount', amount::text, 'source', source, "
    "'printed', printed) "
    "ORDER BY unit, currency, jurisdiction, valid_from), '[]'))::text FROM rates"
)
