"""The distance of two words against the table that defines it."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.likeness import distance

WORDS = st.text(alphabet="aivk4", max_size=12)


def by_definition(one: str, other: str) -> int:
    """Return the distance with neighbours swapped, number by number."""
    table = [[n + m for m in range(len(other) + 1)] for n in range(len(one) + 1)]
    for n, a in enumerate(one, 1):
        for m, b in enumerate(other, 1):
            ways = [table[n - 1][m] + 1, table[n][m - 1] + 1, table[n - 1][m - 1] + (a != b)]
            if n > 1 and m > 1 and (a, one[n - 2]) == (other[m - 2], b):
                ways.append(table[n - 2][m - 2] + 1)
            table[n][m] = min(ways)
    return table[-1][-1]


@given(WORDS, WORDS, st.integers(0, 12))
def test_a_distance_is_exact_up_to_the_most_that_matters(one: str, other: str, most: int) -> None:
    exact, found = by_definition(one, other), distance(one, other, most)
    assert found == exact if exact <= most else found > most
