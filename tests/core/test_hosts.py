"""URLs of several servers: split as libpq reads them, refused as settings when they are not whole."""

import pytest

from app.core.hosts import split
from app.core.settings import Settings

SECRET = "a secret for tests, of 32 characters or more"


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://db:5432/x", ["postgresql://db:5432/x"]),
        ("postgresql:///x?host=%2Frun%2Fpg", ["postgresql:///x?host=%2Frun%2Fpg"]),
        ("postgresql://a,b/x", ["postgresql://a/x", "postgresql://b/x"]),
        (
            "postgresql://o:p%2Cw%40@a:1,[::1]:2/x?sslmode=require",
            ["postgresql://o:p%2Cw%40@a:1/x?sslmode=require", "postgresql://o:p%2Cw%40@[::1]:2/x?sslmode=require"],
        ),
        (
            "postgresql://o@/x?host=/a,/b&port=5433",
            ["postgresql://o@/x?host=%2Fa&port=5433", "postgresql://o@/x?host=%2Fb&port=5433"],
        ),
        ("postgresql:///x?host=a,b&port=1,2", ["postgresql:///x?host=a&port=1", "postgresql:///x?host=b&port=2"]),
    ],
)
def test_a_url_of_several_servers_is_one_url_for_each(url: str, each: list[str]) -> None:
    assert split(url) == each
    for name in ("database_url", "read_database_url"):
        assert getattr(Settings(**{name: url}, secret=SECRET), name) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a,,b/x",
        "postgresql://a,/x",
        "postgresql://,a/x",
        "postgresql:///x?host=a,b&port=1,2,3",
        "postgresql:///x?host=a,",
        "postgresql://a:1,b:nonsense/x",
        "postgresql://a:1,b:0/x",
        "postgresql://a,b/",
        "mysql://a,b/x",
    ],
)
@pytest.mark.parametrize("name", ["database_url", "read_database_url"])
def test_a_url_that_is_not_whole_is_refused(url: str, name: str) -> None:
    with pytest.raises(ValueError, match="must be postgresql://"):
        Settings(**{name: url}, secret=SECRET)  # type: ignore[arg-type]
