"""A small world in which every filter has something to find and something to leave out."""

from typing import Any

INCIDENT = "7b1f0c0e-3c43-4a52-9a77-0f2ac7d4c6a1"
UNKNOWN = "5e0c9a3d-0000-4000-8000-000000000000"


def own(name: str) -> dict[str, str]:
    """Refer to a record of this module's by the name it was made with."""
    return {"origin": "world", "origin_id": name}


def name(text: str) -> list[dict[str, str]]:
    return [{"text": text}]


# Two records of each kind, A and B, that differ in all that can be filtered by; what is referred to comes first.
# C has what a filter must not put together from two parts of a record, D says nothing.
WORLD: list[tuple[str, str, dict[str, Any]]] = [
    ("places", "land", {"kind": "country", "code": "XX", "names": name("Exland")}),
    ("places", "region A", {"kind": "region", "code": "XX-A", "names": name("Alpha region"), "parent": "XX"}),
    ("places", "region B", {"kind": "region", "code": "XX-B", "names": name("Beta region"), "parent": "XX"}),
    ("places", "town A", {"names": name("Atown"), "parent": "XX-A"}),
    ("places", "town B", {"names": name("Btown"), "parent": "XX-B"}),
    ("organisations", "A", {"kind": "district_court", "names": name("Court of Atown"), "place": own("town A")}),
    ("organisations", "B", {"kind": "ngo", "names": name("Watch of Btown"), "place": own("town B")}),
    ("organisations", "part of A", {"kind": "court", "names": name("Chamber"), "parent": own("A")}),
    ("sources", "A", {"title": "First report", "published": "2024-01", "publisher": own("A"), "originator": own("B")}),
    ("sources", "B", {"title": "Second", "kind": "book", "published": "2025", "citations": [{"source": own("A")}]}),
    ("statutes", "article", {"titles": [{"text": "Public order"}], "nature": "criminal"}),
    ("statutes", "part", {"part": "1", "nature": "criminal"}),
    ("statutes", "other", {"jurisdiction": "YY", "code": "AC", "article": "2.3", "nature": "administrative"}),
    ("statutes", "code", {"jurisdiction": "YY", "code": "AC", "article": None}),
    (
        "persons",
        "A",
        {
            "names": [*name("Vera Example"), {"text": "Вера Пример"}],
            "sex": "female",
            "born": "1990",
            "groups": ["lawyer", "blogger"],
            "affiliations": [{"organisation": own("part of A")}],
            "citations": [{"source": own("A")}],
        },
    ),
    ("persons", "B", {"names": name("Ivan Sample"), "sex": "male", "born": "1950-05", "groups": ["medic"]}),
    (
        "cases",
        "A",
        {
            "kind": "administrative",
            "stage": "verdict",
            "result": "upheld",
            "in_absentia": "yes",
            "court": own("part of A"),
            "judges": [own("B")],
            "contexts": ["war"],
            "opened": "2023-05",
            "decided": "2024-02",
            "charges": [
                {
                    "person": own("A"),
                    "statute": "XX-CC-1-1",
                    "status": "dropped",
                    "reason": "limitation",
                    "date": "2024",
                }
            ],
            "sentences": [
                {
                    "person": own("A"),
                    "outcome": "convicted",
                    "components": [
                        {
                            "kind": "fine",
                            "amount": "10",
                            "unit": "base_value",
                            "converted_amount": "400",
                            "converted_unit": "BYN",
                        },
                        {"kind": "administrative_arrest", "days": 10},
                    ],
                }
            ],
            "citations": [{"source": own("A")}],
        },
    ),
    (
        "cases",
        "B",
        {
            "origin": "elsewhere",
            "kind": "criminal",
            "stage": "trial",
            "opened": "2024-05",
            "decided": "2025-06-01",
            "contexts": ["protest_2020"],
            "charges": [
                {"person": own("B"), "statute": "YY-AC-2.3", "status": "alleged", "date": "2025-01-01"},
                {"person": own("B"), "statute": "YY-AC", "status": "alleged"},
            ],
            "sentences": [{"person": own("B"), "outcome": "unknown", "components": [{"kind": "imprisonment"}]}],
        },
    ),
    (
        "cases",
        "C",
        {
            "origin": "elsewhere",
            "kind": "civil",
            "in_absentia": "no",
            "court": own("A"),
            "charges": [
                {"statute": "XX-CC-1", "status": "charged"},
                {"statute": "YY-AC-2.3", "status": "charged"},
                {"status": "charged"},
            ],
            "sentences": [{"outcome": "acquitted"}],
        },
    ),
    ("cases", "D", {"origin": "elsewhere", "kind": "civil"}),
    (
        "events",
        "A",
        {
            "type": "detention",
            "date": "2024-01-10",
            "reported": "2024-01-20",
            "place": own("town A"),
            "facility": own("part of A"),
            "case": own("A"),
            "statutes": ["XX-CC-1-1"],
            "incident": INCIDENT,
            "contexts": ["war"],
            "description": "In front of the court.",
            "participants": [{"person": own("A"), "role": "victim"}, {"organisation": own("A"), "role": "perpetrator"}],
            "citations": [{"source": own("A")}],
        },
    ),
    (
        "events",
        "B",
        {
            "origin": "elsewhere",
            "type": "raid",
            "date": "2025-01",
            "reported": "2025-03",
            "place": own("town B"),
            "participants": [{"person": own("B"), "role": "witness"}, {"organisation": own("B"), "role": "organiser"}],
        },
    ),
    (
        "events",
        "C",
        {
            "origin": "elsewhere",
            "type": "interrogation",
            "date": "2025",
            "place": own("region A"),
            "facility": own("A"),
            "statutes": ["XX-CC-1", "YY-AC-2.3"],
            "participants": [{"person": own("A"), "role": "victim"}, {"person": own("B"), "role": "witness"}],
        },
    ),
    ("events", "D", {"origin": "elsewhere", "type": "interrogation"}),
    (
        "statuses",
        "A",
        {
            "kind": "in_custody",
            "person": own("A"),
            "start": "2024-01-10",
            "end": "2024-03-01",
            "end_ground": "served",
            "criterion": "WGAD-II",
            "facility": own("part of A"),
            "declared_by": own("B"),
            "citations": [{"source": own("A")}],
        },
    ),
    (
        "statuses",
        "B",
        {"origin": "elsewhere", "kind": "deregistered", "organisation": own("B"), "start": "2025-01-01"},
    ),
    (
        "statuses",
        "C",
        {"origin": "elsewhere", "kind": "wanted", "person": own("B"), "start": "2026", "facility": own("A")},
    ),
    (
        "figures",
        "A",
        {
            "measure": "events",
            "qualifier": "at_least",
            "unit": "events",
            "originator": own("A"),
            "publisher": own("B"),
            "source": own("A"),
            "citations": [{"source": own("A")}],
        },
    ),
    ("figures", "B", {"measure": "share", "unit": "share"}),
    ("organisations", "cited", {"names": name("Office"), "citations": [{"source": own("A")}]}),
    ("places", "cited", {"names": name("Ctown"), "citations": [{"source": own("A")}]}),
    ("statutes", "cited", {"article": "9", "citations": [{"source": own("A")}]}),
]
