"""A crawl: from start addresses and sitemaps, along links below the start addresses, to files of a folder."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import httpx2

from qa_service.fetching.markup import as_file, directions_of, page_text, read_sitemap
from qa_service.fetching.network import FetchError, Limits, Network, Page, checked_url
from qa_service.fetching.pages import KnownPage, Pages
from qa_service.fetching.robots import Robots

_HTML = ("text/html", "application/xhtml+xml")
_GONE = {404, 410}
_OK, _NOT_MODIFIED = 200, 304
_MAX_SITEMAPS = 50
_SITEMAP_ENDINGS = (".xml", ".xml.gz")
_Links = list[tuple[httpx2.URL, int]]
"""Addresses, each with its number of links from the page that was fetched: 0 for the target of a redirect."""


@dataclass(frozen=True, slots=True)
class CrawlOptions:
    """How far a crawl goes: links from a start page, pages, the size of one page, seconds for it and between two."""

    depth: int = 1
    max_pages: int = 500
    max_mb: float = 10
    page_seconds: float = 30
    delay: float = 0.5
    allow_private: bool = False


@dataclass(slots=True)
class CrawlReport:
    """The result of a crawl: numbers of pages, and the pages that were not stored with the reasons."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A host with its port, and the beginning of the paths that belong to a crawl."""

    origin: tuple[str, str, int | None]
    prefix: str

    @classmethod
    def of(cls, url: httpx2.URL) -> "_Scope":
        return cls((url.scheme, url.host, url.port), url.path.rpartition("/")[0] + "/")

    def has(self, url: httpx2.URL) -> bool:
        return (url.scheme, url.host, url.port) == self.origin and (url.path or "/").startswith(self.prefix)


class Crawl:
    """Fetches pages into a folder. ``say`` gets the address of each page that is requested."""

    def __init__(self, folder: Path, options: CrawlOptions, say: Callable[[str], None] = lambda _: None) -> None:
        self._options = options
        self._say = say
        self._network = Network(
            Limits(int(options.max_mb * 1_000_000), options.page_seconds), allow_private=options.allow_private
        )
        self._pages = Pages(folder)
        self._robots: dict[tuple[str, str, int | None], Robots] = {}
        self._scopes: set[_Scope] = set()
        self._seen: set[str] = set()
        self._requested = 0
        self._report = CrawlReport()

    def run(self, addresses: list[str]) -> CrawlReport:
        """Fetch pages, delete those that are gone, and return the report; the state is kept even if it is stopped."""
        try:
            self._follow([seed for address in addresses for seed in self._seeds(address)])
            known = [checked_url(address) for address in self._pages.known if address not in self._seen]
            self._follow([(url, self._options.depth) for url in known if self._is_in_scope(url)])
        finally:
            self._pages.save()
            self._network.close()
        return self._report

    def _seeds(self, address: str) -> list[tuple[httpx2.URL, int]]:
        """Return the start pages of an address, with their depth 0. Raises :class:`FetchError` with the address."""
        try:
            return [(url, 0) for url in self._start_pages(address)]
        except FetchError as error:
            raise FetchError(f"{address} can't be fetched: {error}") from error

    def _start_pages(self, address: str) -> Iterator[httpx2.URL]:
        """Yield a start address, and the pages of its sitemaps."""
        url = checked_url(address)
        url = url if url.path else url.copy_with(path="/")
        is_sitemap = url.path.endswith(_SITEMAP_ENDINGS)
        if is_sitemap:
            self._scopes.add(_Scope.of(url))
            sitemaps = [str(url)]
        else:
            if self._robots_of(url).allows(url):
                url = self._get(url).url  # a site may redirect to the name that it prefers
            self._scopes.add(_Scope.of(url))
            yield url
            sitemaps = self._robots_of(url).sitemaps or [str(url.join("/sitemap.xml"))]
        named = (page for page in self._pages_of(sitemaps) if self._is_in_scope(page))
        pages = list(islice(named, self._options.max_pages + 1))
        if is_sitemap and not pages:
            raise FetchError("it is not a sitemap of pages below its folder, or can't be read")
        yield from pages

    def _pages_of(self, addresses: list[str]) -> Iterator[httpx2.URL]:
        """Yield the pages of sitemaps, and of the sitemaps that these name."""
        waiting, seen = deque(addresses), set(addresses)
        for _ in range(_MAX_SITEMAPS):
            if not waiting:
                return
            address = waiting.popleft()
            try:
                page = self._get(checked_url(address))
            except FetchError as error:
                self._report.failed[address] = str(error)
                continue
            sitemap = read_sitemap(page.body) if page.status == _OK else read_sitemap(b"")
            waiting += [address for address in sitemap.sitemaps if address not in seen]
            seen |= set(sitemap.sitemaps)
            for named in sitemap.pages:
                try:
                    yield checked_url(named)
                except FetchError as error:
                    self._report.skipped[named] = str(error)

    def _follow(self, seeds: list[tuple[httpx2.URL, int]]) -> None:
        """Fetch pages, nearest first, and the pages that they link to."""
        waiting = deque(seeds)
        while waiting:
            url, depth = waiting.popleft()
            if str(url) in self._seen or not self._is_in_scope(url):
                continue
            if self._requested >= self._options.max_pages:
                self._report.skipped[str(url)] = f"more than {self._options.max_pages} pages (--max-pages)"
                return
            self._seen.add(str(url))
            try:
                links = self._fetched(url)
            except FetchError as error:
                self._report.failed[str(url)] = str(error)
                continue
            waiting += [(link, depth + steps) for link, steps in links if depth + steps <= self._options.depth]

    def _fetched(self, url: httpx2.URL) -> _Links:
        """Fetch a page unless it has not changed, store it, and return its links."""
        if not self._robots_of(url).allows(url):
            self._report.skipped[str(url)] = "robots.txt does not allow it"
            return []
        known = self._pages.known.get(str(url), KnownPage(""))
        stored = self._pages.content(str(url))
        self._requested += 1
        self._say(str(url))
        page = self._get(url, known.conditions() if stored is not None else {})
        if page.status == _NOT_MODIFIED and stored is not None:
            self._report.unchanged += 1
            return _valid(directions_of(stored.decode("utf-8-sig"), url).links)
        if page.url != url:
            self._forget(url)
            if not self._is_in_scope(page.url):
                self._report.skipped[str(url)] = "it redirects to a page elsewhere"
            return [(page.url, 0)]  # fetched by its own address, if that belongs to the crawl
        if page.status in _GONE and str(url) in self._pages.known:
            self._forget(url)
            return []
        if page.status != _OK:
            raise FetchError(f"the server answered {page.status}")
        return self._stored(page)

    def _stored(self, page: Page) -> _Links:
        kind = page.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() not in _HTML:
            self._report.skipped[str(page.url)] = f"it is {kind or 'of an unknown type'}, not a web page"
            return []
        try:
            text = page_text(page.body, kind)
        except ValueError as error:
            raise FetchError(f"it {error}") from error
        directions = directions_of(text, page.url)
        if directions.noindex:
            self._report.skipped[str(page.url)] = "it asks not to be indexed (noindex)"
            self._forget(page.url)
        else:
            is_new = str(page.url) not in self._pages.known
            is_changed = self._pages.store(page.url, as_file(text, page.url), page.headers)
            self._report.new += is_new
            self._report.changed += is_changed and not is_new
            self._report.unchanged += not is_changed and not is_new
        return _valid(directions.links)

    def _forget(self, url: httpx2.URL) -> None:
        if str(url) in self._pages.known:
            self._pages.remove(str(url))
            self._report.removed += 1

    def _get(self, url: httpx2.URL, headers: dict[str, str] | None = None) -> Page:
        time.sleep(max(self._options.delay, self._robots_of(url).delay))
        return self._network.get(url, headers)

    def _robots_of(self, url: httpx2.URL) -> Robots:
        origin = (url.scheme, url.host, url.port)
        if origin not in self._robots:
            self._robots[origin] = Robots(self._network, url)
        return self._robots[origin]

    def _is_in_scope(self, url: httpx2.URL) -> bool:
        return any(scope.has(url) for scope in self._scopes)


def _valid(addresses: tuple[str, ...]) -> _Links:
    found = []
    for address in addresses:
        try:
            found.append((checked_url(address), 1))
        except FetchError:  # mail addresses, scripts
            continue
    return found
