"""URLs that name several PostgreSQL servers, as libpq writes them: `postgresql://a:5432,b:5432/database`."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit


def split(url: str) -> list[str]:
    """Return a URL for each server that the URL names, in the same order; a URL of one server comes back as it is.

    Servers stand in the place of the host, or in `?host=`, with one `port=` for all or one for each; an IPv6 address
    stands in brackets. Raises `ValueError` for a list with a gap or with another number of ports.
    """
    parts = urlsplit(url)
    owner, at, place = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    if place:
        named = [(host, query) for host in place.split(",")]
    else:
        hosts, ports = query.pop("host", "").split(","), query.pop("port", "").split(",")
        if len(ports) == 1:
            ports *= len(hosts)
        if len(ports) != len(hosts):
            msg = "give one port for all hosts, or one for each"
            raise ValueError(msg)
        named = [("", {"host": h, **({"port": p} if p else {}), **query}) for h, p in zip(hosts, ports, strict=True)]
    if len(named) == 1:
        return [url]
    if not all(host or given.get("host") for host, given in named):
        msg = "a host in the list is empty"
        raise ValueError(msg)
    asked = [(host, urlencode(given, quote_via=quote, safe="")) for host, given in named]
    return [f"{parts.scheme}://{owner}{at}{host}{parts.path}{'?' if text else ''}{text}" for host, text in asked]
