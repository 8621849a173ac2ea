"""The pages for people, opened in a real browser: they show what they promise and ask no other site for anything."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import app
from app.core.schema import RESOURCES
from tests.conftest import Server, make_site, start_server

ASSETS = Path(app.__file__).parent / "explorer" / "assets"
NAME = "chronika.test"
"""Not the local address: on that one Swagger UI leaves out what it would ask of others."""

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-default-apps --disable-extensions --hide-scrollbars
--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication --window-size=1100,1400
--virtual-time-budget=15000 --timeout=30000
""".split()  # noqa: SIM905 -- reads as it is typed


def browse(server: Server, path: str, where: Path) -> tuple[str, set[str]]:
    """Open a page; return what the browser made of it, and the hosts that it asked for anything."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if not os.environ.get("CI"):
            pytest.skip("chromium is not installed: apt-get install chromium")
        pytest.fail("chromium is missing, which CI installs")
    log = where / "net.json"
    port = urlsplit(server.url).port
    flags = [
        *FLAGS,
        f"--user-data-dir={where / 'profile'}",
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--log-net-log={log}",
    ]
    url = f"http://{NAME}:{port}{path}"
    command = [chromium, *flags, "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    if folder := os.environ.get("SCREENSHOTS"):
        picture = Path(folder) / f"{path.strip('/') or 'front'}.png"
        subprocess.run([chromium, *flags, f"--screenshot={picture}", url], capture_output=True, check=True, timeout=120)
    return done.stdout, asked_hosts(log.read_text())


def asked_hosts(log: str) -> set[str]:
    """Return the hosts of all requests in a net log, but for those that the browser makes for itself at its start."""
    try:
        recorded = json.loads(log)
    except ValueError:  # the browser left before it closed the list
        recorded = json.loads(log.rstrip().rstrip(",") + "]}")
    kind = recorded["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    urls = {
        event["params"]["url"]
        for event in recorded["events"]
        if event["type"] == kind and "url" in event.get("params", {})
        if event["params"].get("initiator", "not an origin") != "not an origin" or NAME in event["params"]["url"]
    }
    return {urlsplit(url).hostname or "" for url in urls}


def text_of(dom: str) -> str:
    """Return the words of a page as a reader sees them, without scripts and styles."""
    words: list[str] = []

    class Reader(HTMLParser):
        inside = ""

        def handle_starttag(self, tag: str, _attrs: object) -> None:
            self.inside = tag

        def handle_data(self, data: str) -> None:
            if self.inside not in {"script", "style"}:
                words.append(data)

    Reader().feed(dom)
    return re.sub(r"\s+", " ", "".join(words))


@pytest.fixture(scope="module")
def demo(server_url: str) -> Iterator[Server]:
    """Run the service with the sample, so that there is something to count."""
    running = start_server(make_site(server_url, "explored"), "--demo")
    yield running
    running.process.terminate()
    running.process.wait(30)


def test_the_front_page_tells_where_everything_is(demo: Server, tmp_path: Path) -> None:
    dom, hosts = browse(demo, "/", tmp_path)
    assert hosts == {NAME}
    records = httpx.get(f"{demo.url}/v1/status").json()["records"]
    assert records.keys() == set(RESOURCES)
    for resource, count in records.items():
        assert f'href="/v1/{resource}"' in dom
        assert count > 0
        assert f'data-count="{resource}">{count}<' in dom
    assert f"curl 'http://{NAME}:" in text_of(dom)


def test_the_front_page_needs_no_script(demo: Server) -> None:
    page = text_of(httpx.get(demo.url).text)
    for words in ("A registry of politically motivated persecution", "Рэестр", "Реестр", "Keys", *RESOURCES):
        assert words in page


def test_every_link_of_the_front_page_answers(demo: Server) -> None:
    page = httpx.get(demo.url)
    links = re.findall(r'href="(/[^"]*)"', page.text)
    assert {"/docs", "/openapi.json", "/v1/persons"} <= set(links)
    for link in links:
        assert httpx.get(demo.url + link, timeout=60).status_code == 200, link


def test_the_documentation_shows_every_operation_and_asks_nobody_else(demo: Server, tmp_path: Path) -> None:
    dom, hosts = browse(demo, "/docs", tmp_path)
    assert hosts == {NAME}
    document = httpx.get(f"{demo.url}/openapi.json").json()
    operations = {op["operationId"] for path in document["paths"].values() for op in path.values()}
    shown = set(re.findall(r'id="operations-[^"]*?-([a-z_0-9]+)"', dom))
    missing = {o for o in operations if not any(o.endswith(s) or s.endswith(o) for s in shown)}
    assert len(operations) > 50
    assert not missing


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_forbid_the_browser_to_ask_others(demo: Server, path: str) -> None:
    policy = httpx.get(demo.url + path).headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    ("name", "kind"), [("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")]
)
def test_assets_are_served(demo: Server, name: str, kind: str) -> None:
    answer = httpx.get(f"{demo.url}/assets/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert b"sourceMappingURL" not in answer.content


@pytest.mark.parametrize("name", ["nothing.js", "LICENSE", "..%2froutes.py", "%2e%2e%2fpages%2findex.html", ".js"])
def test_nothing_else_is_served_as_an_asset(demo: Server, name: str) -> None:
    assert httpx.get(f"{demo.url}/assets/{name}").status_code == 404


def test_what_is_not_ours_carries_its_licence_and_version() -> None:
    assert "Apache License" in (ASSETS / "LICENSE").read_text()
    assert "SmartBear" in (ASSETS / "NOTICE").read_text()
    assert re.match(r"swagger-ui-dist 5\.\d+\.\d+ ", (ASSETS / "VERSION").read_text())
