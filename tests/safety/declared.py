"""Who may do what in the database, login by login: what `guarantees` holds the grants and policies against."""

RECORDS = {
    "places": "place", "organisations": "organisation", "sources": "source", "statutes": "statute", "persons": "person",
    "cases": "case", "events": "event", "statuses": "status", "figures": "figure",
}  # fmt: skip
TIES = {
    "participants": ("event_id", "events", ("person_id", "organisation_id")),
    "event_statutes": ("event_id", "events", ("statute_id",)),
    "case_judges": ("case_id", "cases", ("person_id",)),
    "charges": ("case_id", "cases", ("person_id", "statute_id", "requalified_from_id")),
    "sentences": ("case_id", "cases", ("person_id",)),
}
CEILING = {"chronika_public": 0, "chronika_partner": 1, "chronika_editor": 2, "chronika_guardian": 2}
API = (*CEILING, "chronika_auth", "chronika_feed")
KEPT = {"effective_level", "version", "version_partner", "version_public", "created_at", "updated_at"}
LEVELLED = {
    *RECORDS, *TIES, "place_names", "organisation_names", "person_names", "statute_titles", "affiliations",
    "sentence_components", "citations",
}  # fmt: skip
EVERYBODY, WRITERS, GUARDIAN = set(CEILING), {"chronika_editor", "chronika_guardian"}, {"chronika_guardian"}

# Table without levels → who may select all of it (tombstones: their own level), and what else may be done to it.
READ_BY = {
    "vocabularies": EVERYBODY, "vocabulary_terms": EVERYBODY, "rates": EVERYBODY, "alembic_version": EVERYBODY,
    "tombstones": EVERYBODY, "changes": EVERYBODY, "idempotency_keys": WRITERS, "protected_reads": GUARDIAN,
    "persons_private": GUARDIAN, "erasures": GUARDIAN, "keys": set(), "key_usage": set(),
    "feed": EVERYBODY, "name_fold": EVERYBODY, "feed_acks": set(), "pulls": WRITERS, "pulled": WRITERS,
    "not_same": WRITERS, "merges": set(), "merges_private": set(), "intake": set(), "proposals": WRITERS, "made": set(),
}  # fmt: skip
NAMED = {"person": "persons", "organisation": "organisations", "place": "places"}
for _kind in NAMED:
    READ_BY |= {f"{_kind}_keys": WRITERS, f"{_kind}_keys_shown": {"chronika_partner"}}
    READ_BY |= {f"{_kind}_keys_public": {"chronika_public"}, f"{_kind}_keys_partner": set()}
    READ_BY[f"{_kind}_keys_restricted"] = set()
SOME_COLUMNS = {
    ("tombstones", "chronika_public"): {"id", "record_type", "merged_into"},
    ("tombstones", "chronika_partner"): {"id", "record_type", "merged_into", "origin", "origin_id"},
    ("persons_private", "chronika_guardian"): {"person_id"},
    **{
        ("changes", f"chronika_{who}"): {"uid", "record_type", "record_id", "origin", "at", f"had_{who}", f"seq_{who}"}
        for who in ("public", "partner")
    },
}
WRITTEN = {
    ("idempotency_keys", "INSERT"): (WRITERS, None),
    ("idempotency_keys", "UPDATE"): (WRITERS, {"location", "etag", "answer"}),
    ("persons_private", "INSERT"): (GUARDIAN, None),
    ("persons_private", "UPDATE"): (GUARDIAN, {"content"}),
    ("not_same", "INSERT"): (WRITERS, {"one", "other", "actor"}),
    **{
        (table, privilege): (WRITERS, None)
        for table in ("pulls", "pulled", "proposals")
        for privilege in ("INSERT", "UPDATE")
    },
}
DELETED = {
    "idempotency_keys": WRITERS, "persons_private": GUARDIAN, "not_same": WRITERS, "pulls": WRITERS, "pulled": WRITERS,
    "proposals": WRITERS,
}  # fmt: skip
ASKED = {
    "judged_not_same", "known_documents", "search_names", "similar_persons", "name_keys", "name_slips", "name_near",
    "name_about", "name_consonants", "is_common", "first_named", "common_among", "meant",
}  # fmt: skip
FUNCTIONS = {
    "chronika_public": ASKED,
    "chronika_partner": {*ASKED, "own_records", "take_in", "found_record", "found_key", "found_origin"},
    "chronika_editor": {
        *ASKED, "level_name", "changed_fields", "found_record", "found_key", "found_origin", "merge_persons",
        "unmerge_persons", "unconfirmed_withdrawals", "forget_withdrawn", "changed_since",
    },
    "chronika_auth": {"key_lookup", "lease_requests"},
    "chronika_feed": {"number_changes", "feed_lag", "confirm_feed"},
}  # fmt: skip
FUNCTIONS["chronika_guardian"] = {*FUNCTIONS["chronika_editor"], "read_protected", "erase_person"}

WRONG = {
    "participants": ["person_id = NULL, organisation_id = NULL, count = NULL, label = NULL", "count = 0"],
    "cases": ["count = 0"],
    "charges": ["count = 0"],
    "sentences": ["count = 0"],
    "sentence_components": ["amount = 1, unit = NULL"],
    "statuses": ["person_id = NULL, organisation_id = NULL"],
    "citations": [", ".join(f"{x}_id = NULL" for x in ("person", "case", "statute", "event", "organisation", "place",
                                                       "status", "cited_by", "figure"))],
    "rates": ["amount = 0"],
    "keys": ["role = 'owner'", "digest = 'short'"],
    "changes": ["op = 'merge'"],
    "tombstones": ["level = 3", "level = -1", "erased_for = 'a name'"],
    "erasures": ["reason = 'a name'"],
    "key_usage": ["taken = -1"],
    "feed": ["single = false"],
    "not_same": ["one = other"],
    "intake": ["times = 0", "identity = 'short'"],
    "proposals": ["kind = 'other'", "state = 'other'"],
}  # fmt: skip
"""Table → assignments that a check refuses, besides levels, grounds and dates, which are alike everywhere."""
