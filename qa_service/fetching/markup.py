"""HTML pages and sitemaps: the links in them, and a page as a file that names its address."""

import html
import re
import zlib
from dataclasses import dataclass

import httpx2
from lxml import etree
from lxml import html as lxml_html

from qa_service.loading.decoding import declared_encoding, decode

_MAX_SITEMAP_BYTES = 50_000_000
_GZIP = b"\x1f\x8b"
_HEAD = re.compile(r"<head(?:\s[^>]*)?>", re.IGNORECASE)
_PREAMBLE = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!doctype[^>]*>\s*)?(?:<html[^>]*>)?", re.IGNORECASE)
_CHARSET = re.compile(r"charset=\s*\"?([\w.:-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The addresses in a sitemap: of pages, and of further sitemaps."""

    pages: tuple[str, ...]
    sitemaps: tuple[str, ...]


def read_sitemap(data: bytes) -> Sitemap:
    """Return the addresses in a sitemap or an index of sitemaps, which may be compressed; none if it is unreadable."""
    if data.startswith(_GZIP):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, _MAX_SITEMAP_BYTES)
        except zlib.error:
            return Sitemap((), ())
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(data, parser)
    except etree.LxmlError:
        return Sitemap((), ())
    if root is None:
        return Sitemap((), ())

    def found(parent: str) -> tuple[str, ...]:
        texts = root.xpath(f"/*/*[local-name()='{parent}']/*[local-name()='loc']/text()")
        return tuple(text.strip() for text in texts)

    return Sitemap(found("url"), found("sitemap"))


def page_text(body: bytes, content_type: str) -> str:
    """Return the text of a page, by the encoding that its server or the page itself declares."""
    named = _CHARSET.search(content_type)
    text, _ = decode(body, named[1] if named else declared_encoding(body), lenient=True)
    return text.removeprefix("\ufeff")


def as_file(text: str, url: httpx2.URL) -> bytes:
    """Return a page as UTF-8 with its address as the first canonical link, to which citations link."""
    link = f'<link rel="canonical" href="{html.escape(str(url))}">'
    head = _HEAD.search(text)
    if head is None:
        head = _PREAMBLE.match(text)
        link = f"<head>{link}</head>"
    place = head.end() if head else 0
    return ("\ufeff" + text[:place] + link + text[place:]).encode()


@dataclass(frozen=True, slots=True)
class Directions:
    """The links of a page, and whether it asks programs not to store it."""

    links: tuple[str, ...]
    noindex: bool


def directions_of(text: str, url: httpx2.URL) -> Directions:
    """Return the addresses that a page links to, and what it says to programs (``<meta name="robots">``)."""
    try:
        tree = lxml_html.document_fromstring(
            text.encode(errors="replace"), parser=lxml_html.HTMLParser(encoding="utf-8")
        )
    except (etree.LxmlError, ValueError):
        return Directions((), noindex=False)
    said = " ".join(tree.xpath("//meta[translate(@name, 'ROBTS', 'robts')='robots']/@content")).lower()
    base = next(iter(tree.xpath("//base/@href")), "")
    links: list[str] = []
    if "nofollow" not in said:
        for target in tree.xpath("//a/@href | //area/@href"):
            try:
                links.append(str(url.join(base.strip()).join(target.strip())))
            except (httpx2.InvalidURL, ValueError):
                continue
    return Directions(tuple(links), "noindex" in said)
