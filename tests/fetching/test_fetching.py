"""Fetched pages: along sitemaps and links, as robots.txt allows, changes only, never from private addresses."""

import gzip
import ipaddress
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from conftest import FakeEmbedder, Run, published

from qa_service.errors import StorageError
from qa_service.fetching import Crawl, CrawlOptions, CrawlReport, network
from qa_service.fetching.markup import as_file, directions_of, read_sitemap
from qa_service.fetching.network import FetchError, checked_url, is_public
from qa_service.fetching.pages import STATE_FILE, file_of
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings

OPTIONS = CrawlOptions(delay=0, allow_private=True)


class Site:
    """A site on 127.0.0.1; ``pages`` maps a path to its body, or to a status with headers and a body."""

    def __init__(self) -> None:
        self.pages: dict[str, str | bytes | tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        self.address = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        page = self.pages.get(path, (404, {}, b"not here"))
        if isinstance(page, tuple):
            return page
        body = page.encode() if isinstance(page, str) else page
        kind = "text/html; charset=utf-8" if isinstance(page, str) else "application/octet-stream"
        return 200, {"Content-Type": kind, "ETag": f'"{hash(body)}"'}, body


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            status, headers, body = made.answer(self.path)
            if headers.get("ETag") and self.headers.get("If-None-Match") == headers["ETag"]:
                status, body = 304, b""
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with published(Handler) as made.address:
        yield made


def page(words: str, *links: str, head: str = "") -> str:
    anchors = "".join(f'<a href="{link}">{link}</a> ' for link in links)
    return f"<!doctype html><html><head>{head}<title>{words}</title></head><body><p>{words}</p>{anchors}</body></html>"


def crawled(site: Site, folder: Path, *paths: str, **options: Any) -> CrawlReport:
    site.asked.clear()
    made = CrawlOptions(**{"delay": 0, "allow_private": True, **options})
    return Crawl(folder, made).run([site.address + path for path in paths])


def counts(report: CrawlReport) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.removed


def names(folder: Path) -> set[str]:
    return {"/".join(path.relative_to(folder).parts[1:]) for path in folder.rglob("*.html")}


def test_links_are_followed_below_the_start_to_a_depth(site: Site, tmp_path: Path) -> None:
    """Within the host and the path; not elsewhere, not twice, not to other schemes."""
    site.pages = {
        "/docs/": page(
            "start", "a.html", "b/", "../outside.html", "mailto:a@b.c", "https://elsewhere.invalid/", "#top"
        ),
        "/docs/a.html": page("a", "deep.html", "/docs/"),
        "/docs/b/": page("b"),
        "/docs/deep.html": page("deep", "deeper.html"),
        "/docs/deeper.html": page("deeper"),
        "/outside.html": page("outside"),
    }
    assert counts(crawled(site, tmp_path / "0", "/docs/", depth=0)) == (1, 0, 0, 0)
    assert counts(crawled(site, tmp_path / "1", "/docs/")) == (3, 0, 0, 0)
    assert names(tmp_path / "1") == {"docs/index.html", "docs/a.html", "docs/b/index.html"}
    assert counts(crawled(site, tmp_path / "3", "/docs/", depth=3)) == (5, 0, 0, 0)
    assert "/outside.html" not in site.asked
    few = crawled(site, tmp_path / "few", "/docs/", depth=3, max_pages=2)
    assert (few.new, [*few.skipped.values()]) == (2, ["more than 2 pages (--max-pages)"])


def test_pages_of_sitemaps_are_fetched(site: Site, tmp_path: Path) -> None:
    """That robots.txt names, in an index, compressed; or given as the start."""
    head = '<?xml version="1.0"?><{0} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{1}</{0}>'

    def sitemap(kind: str, entry: str, *paths: str) -> bytes:
        entries = "".join(f"<{entry}><loc> {site.address}{path} </loc></{entry}>" for path in paths)
        return head.format(kind, entries).encode()

    site.pages = {
        "/robots.txt": (200, {}, f"Sitemap: {site.address}/maps/index.xml\n".encode()),
        "/maps/index.xml": sitemap("sitemapindex", "sitemap", "/maps/one.xml.gz", "/maps/index.xml", "/maps/none.xml"),
        "/maps/one.xml.gz": gzip.compress(sitemap("urlset", "url", "/d/a", "/d/b", "/other/c")),
        "/sitemap.xml": sitemap("urlset", "url", "/d/a", "/other/c"),
        "/d/": page("start"),
        **{path: page(path) for path in ("/d/a", "/d/b", "/other/c")},
    }
    assert crawled(site, tmp_path / "a", "/d/").new == 3
    assert crawled(site, tmp_path / "b", "/sitemap.xml").new == 2
    with pytest.raises(FetchError, match="not a sitemap"):
        crawled(site, tmp_path / "c", "/none.xml")
    assert read_sitemap(b"<a>").pages == read_sitemap(b"").pages == read_sitemap(b"\x1f\x8b broken").pages == ()
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c SYSTEM "file:///etc/passwd">]><urlset><url><loc>&c;</loc></url></urlset>'
    assert read_sitemap(bomb).pages == ()


def test_robots_txt_is_obeyed(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rules with wildcards, its delay; an unreadable one allows nothing, a missing one everything."""
    site.pages = {
        "/robots.txt": (200, {}, b"User-agent: *\nDisallow: /private\nDisallow: /*?print\nCrawl-delay: 7\n"),
        "/": page("start", "/private/a", "/b?print=1", "/b"),
        **{path: page(path) for path in ("/private/a", "/b?print=1", "/b")},
    }
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    report = crawled(site, tmp_path / "a", "/")
    assert report.new == 2
    assert {urlsplit(url).path: reason for url, reason in report.skipped.items()} == {
        "/private/a": "robots.txt does not allow it",
        "/b": "robots.txt does not allow it",
    }
    assert "/private/a" not in site.asked
    assert set(slept) == {7.0}
    site.pages["/robots.txt"] = (500, {}, b"")
    with pytest.raises(FetchError, match=r"robots\.txt"):
        crawled(site, tmp_path / "b", "/")
    assert site.asked == ["/robots.txt"]


def test_a_page_may_refuse_to_be_stored_or_followed(site: Site, tmp_path: Path) -> None:
    """By ``<meta name="robots">``; files of other types are not pages."""
    site.pages = {
        "/": page("start", "/hidden", "/quiet", "/file.bin"),
        "/hidden": page("hidden", head='<meta name="Robots" content="NOINDEX">'),
        "/quiet": page("quiet", "/next", head='<meta name="robots" content="nofollow">'),
        "/next": page("next"),
        "/file.bin": b"\x00\x01",
    }
    report = crawled(site, tmp_path, "/", depth=3)
    assert names(tmp_path) == {"index.html", "quiet/index.html"}
    assert sorted(report.skipped.values()) == [
        "it asks not to be indexed (noindex)",
        "it is application/octet-stream, not a web page",
    ]


def test_another_run_fetches_only_changes(site: Site, tmp_path: Path) -> None:
    """304 is unchanged, and its links are followed; 404 and 410 delete the file; 500 keeps it and is a failure."""
    site.pages = {"/": page("start", *(f"/{name}" for name in "abcde")), **{f"/{n}": page(n) for n in "abcde"}}
    assert counts(crawled(site, tmp_path, "/")) == (6, 0, 0, 0)
    assert counts(crawled(site, tmp_path, "/")) == (0, 0, 6, 0)
    before = (tmp_path / file_of(checked_url(f"{site.address}/d"))).read_bytes()
    site.pages |= {"/a": page("another"), "/d": (500, {}, b"")}
    site.pages |= {"/c": (410, {}, b""), "/": page("start", "/a", "/c", "/d", "/e")}
    del site.pages["/b"]  # no longer linked either
    report = crawled(site, tmp_path, "/")
    assert counts(report) == (0, 2, 1, 2)
    assert [*report.failed.values()] == ["the server answered 500"]
    assert names(tmp_path) == {"index.html", *(f"{name}/index.html" for name in "ade")}
    assert (tmp_path / file_of(checked_url(f"{site.address}/d"))).read_bytes() == before
    (tmp_path / file_of(checked_url(f"{site.address}/e"))).unlink()  # by hand: it is fetched again
    assert counts(crawled(site, tmp_path, "/"))[1] == 1


def test_a_state_file_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    """And a damaged one is reported."""
    for content in (
        "{",
        '{"pages": {"http://a/": {"file": "../../x.html"}}}',
        '{"pages": {"http://a/": {"file": "/x"}}}',
    ):
        (tmp_path / STATE_FILE).write_text(content)
        with pytest.raises(StorageError, match="delete"):
            Crawl(tmp_path, OPTIONS)


def test_private_addresses_are_refused(site: Site, tmp_path: Path) -> None:
    """As a number, by a name, mapped into IPv6; only http and https are fetched."""
    port = urlsplit(site.address).port
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "0.0.0.0"):
        with pytest.raises(FetchError):
            Crawl(tmp_path, CrawlOptions(delay=0)).run([f"http://{host}:{port}/sitemap.xml/"])
    assert site.asked == []
    for address in (
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://x/",
        "http://",
        "http://a:b@example.org/",
        "x",
    ):
        with pytest.raises(FetchError):
            checked_url(address)
    private = ("10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::", "fe80::1%eth0")
    private += ("fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "255.255.255.255")
    assert [address for address in private if is_public(address)] == []
    assert all(map(is_public, ("93.184.215.14", "2606:2800:21f::1", "64:ff9b::5db8:d70e")))


def test_a_redirect_into_a_private_network_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checked address is the one that is connected to, whatever the name resolves to later."""
    port = urlsplit(site.address).port
    monkeypatch.setattr(
        network, "is_public", lambda address: ipaddress.ip_address(address) == ipaddress.ip_address("127.0.0.1")
    )
    site.pages = {
        "/": page("start", "/away", "/loop", "/scheme"),
        "/away": (302, {"Location": f"http://127.0.0.2:{port}/secret"}, b""),
        "/loop": (302, {"Location": "/loop"}, b""),
        "/scheme": (302, {"Location": "file:///etc/passwd"}, b""),
        "/secret": page("secret"),
    }
    report = Crawl(tmp_path, CrawlOptions(delay=0)).run([f"{site.address}/"])
    assert report.new == 1
    reasons = {urlsplit(url).path: reason for url, reason in report.failed.items()}
    assert reasons == {
        "/away": "127.0.0.2 is at the private address 127.0.0.2; --allow-private allows it",
        "/loop": "it redirects more than 5 times",
        "/scheme": "its address is not http:// or https:// with a host and without a password",
    }
    assert "/secret" not in site.asked
    answers = iter(["127.0.0.1", "127.0.0.2"])  # a name that changes its address after the check
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (next(answers), port))])
    transport = network._CheckedTransport(allow_private=False)
    url = httpx2.URL(f"http://site.example:{port}/")
    assert transport._address_of(url) == "127.0.0.1"
    with pytest.raises(FetchError, match="private"):
        transport._address_of(url)


def test_a_redirect_within_the_site_is_a_page_once(site: Site, tmp_path: Path) -> None:
    """Stored by its own address; the old file is deleted when a page begins to redirect."""
    site.pages = {"/d/": page("start", "old"), "/d/old": page("old"), "/d/new": page("new")}
    assert crawled(site, tmp_path, "/d/").new == 2
    site.pages["/d/old"] = (301, {"Location": "/d/new"}, b"")
    assert counts(crawled(site, tmp_path, "/d/")) == (1, 0, 1, 1)
    assert names(tmp_path) == {"d/index.html", "d/new/index.html"}


def test_large_pages_are_not_stored(site: Site, tmp_path: Path) -> None:
    """Also if compression hides their size."""
    site.pages = {
        "/": page("start", "/large", "/bomb"),
        "/large": page("x" * 200_000),
        "/bomb": (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(b"x" * 5_000_000)),
    }
    report = crawled(site, tmp_path, "/", max_mb=0.1)
    assert (report.new, set(report.failed.values())) == (1, {"it is larger than 0.1 MB"})


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/", "h/index.html"),
        ("/a", "h/a/index.html"),
        ("/a/b.html", "h/a/b.html"),
        ("/%2e%2e/%2e%2e/up.html", "h/_/_/up.html"),
        ("/.git/config", "h/_.git/config/index.html"),
        ("/a%2F..%2F..%2Fb", "h/a_.._.._b/index.html"),
        ("/con/nul.html", "h/_con/_nul.html"),
        ("/%ED%95%9C.html", "h/한.html"),
    ],
)
def test_a_page_has_a_file_in_safe_characters(path: str, file: str) -> None:
    """The host and the path name it; one with a query has a digest in its name."""
    url = checked_url(f"http://h{path}")
    assert file_of(url) == file
    assert file_of(url, apart=True) != file
    queried = {file_of(checked_url(f"http://h/s?q={number}")) for number in range(9)}
    assert len(queried) == 9
    assert len(file_of(checked_url("http://h/" + "x" * 4000))) < 300


def test_a_file_names_the_address_of_its_page() -> None:
    """Before the page's own canonical link, in UTF-8 whatever the page was in, in pages without a head too."""
    url = checked_url("http://h/a?b=1&c=2")
    link = '<link rel="canonical" href="http://h/a?b=1&amp;c=2">'
    own = '<html><head lang="en"><link rel="canonical" href="http://h/other"></head></html>'
    assert as_file(own, url).decode("utf-8-sig").startswith(f'<html><head lang="en">{link}<link')
    assert as_file("<!DOCTYPE html><p>Bär", url).decode("utf-8-sig") == f"<!DOCTYPE html><head>{link}</head><p>Bär"
    found = directions_of('<base href="/x/"><a href="y">1</a><a href="">2</a><a>3</a>', url)
    assert found.links == ("http://h/x/y", "http://h/x/")


def test_citations_link_to_the_published_page(
    site: Site, settings: Settings, run: Run, fake: FakeEmbedder, tmp_path: Path
) -> None:
    """From the command to the answer, also for a page in an encoding that only its server names."""
    korean = "<title>Owls</title><p>Owls hunt at night in the forest. 올빼미는 밤에 사냥한다.</p>".encode("euc-kr")
    site.pages = {"/owls": (200, {"Content-Type": "text/html; charset=euc-kr"}, korean)}
    arguments = (f"{site.address}/owls", "--into", settings.source / "site", "--delay", 0)
    refused, _, why = run("fetch", *arguments)
    assert (refused, "--allow-private" in why) == (7, True)
    code, out, _ = run("fetch", *arguments, "--allow-private")
    assert (code, out) == (0, "1 new, 0 changed, 0 unchanged, 0 removed; 0 skipped, 0 failed\n")
    build(settings, fake)
    answer = open_answerer(settings, fake)[0].ask("When do owls hunt?")
    citation = answer.results[0].citation
    assert citation.url.startswith(f"{site.address}/owls#:~:text=")
    assert "올빼미" in answer.results[0].scored.passage.text
