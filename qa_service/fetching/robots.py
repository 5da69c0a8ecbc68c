"""robots.txt: which pages a site lets programs fetch, how fast, and where its sitemaps are (RFC 9309)."""

from http import HTTPStatus

import httpx2
from protego import Protego

from qa_service.fetching.network import AGENT, FetchError, Network

_MAX_BYTES = 512_000
_MAX_DELAY_SECONDS = 60.0


class Robots:
    """The rules of one host."""

    def __init__(self, network: Network, url: httpx2.URL) -> None:
        """Fetch the rules; all is allowed if there are none (4xx). Raises :class:`FetchError` if they can't be read."""
        page = network.get(url.copy_with(path="/robots.txt", query=None))
        if page.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise FetchError(f"robots.txt of {url.host} can't be read, the server answered {page.status}")
        text = page.body[:_MAX_BYTES].decode(errors="replace") if page.status == HTTPStatus.OK else ""
        self._rules = Protego.parse(text)

    def allows(self, url: httpx2.URL) -> bool:
        """Return whether a page may be fetched."""
        return bool(self._rules.can_fetch(str(url), AGENT))

    @property
    def delay(self) -> float:
        """The seconds between two requests, at most a minute."""
        return min(float(self._rules.crawl_delay(AGENT) or 0), _MAX_DELAY_SECONDS)

    @property
    def sitemaps(self) -> list[str]:
        """The addresses of sitemaps."""
        return list(self._rules.sitemaps)
