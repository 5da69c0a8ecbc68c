"""HTTP requests to addresses that were checked: a page can't lead the program into a private network.

A host name is resolved here, all its addresses must be public, and the connection is made to one of these addresses,
so that the name can't be resolved to another one in between. Proxies of the environment are not used.
"""

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from qa_service import __version__
from qa_service.errors import RemoteError

AGENT = "qa-service"
_USER_AGENT = f"{AGENT}/{__version__}"
_MAX_REDIRECTS = 5
_MAX_WAIT_SECONDS = 60.0
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_NAT64, _SIX_TO_FOUR = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one response."""

    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Page:
    """A response: the address after redirects, status, headers and body."""

    url: httpx2.URL
    status: int
    headers: httpx2.Headers
    body: bytes


class FetchError(RemoteError):
    """A page can't be fetched; the message is the reason."""


def is_public(address: str) -> bool:
    """Return whether an IP address is reachable for everybody, and so is the IPv4 address that it stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class _CheckedTransport(httpx2.BaseTransport):
    """Connects to checked addresses of a request's host."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._by_host: dict[str, httpx2.HTTPTransport] = {}
        """One for each host, since a pool shares TLS connections of one address."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        transport = self._by_host.setdefault(host, httpx2.HTTPTransport(trust_env=False))
        checked = httpx2.Request(
            request.method,
            request.url.copy_with(host=self._address_of(request.url)),
            headers=request.headers,  # with the host's name
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return transport.handle_request(checked)

    def _address_of(self, url: httpx2.URL) -> str:
        try:
            found = socket.getaddrinfo(
                url.host, url.port or {"http": 80, "https": 443}[url.scheme], type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise FetchError(f"{url.host} has no address ({error})") from error
        addresses = [str(info[4][0]) for info in found]
        private = [address for address in addresses if not is_public(address)]
        if private and not self._allow_private:
            raise FetchError(f"{url.host} is at the private address {private[0]}; --allow-private allows it")
        return addresses[0]

    def close(self) -> None:
        for transport in self._by_host.values():
            transport.close()


class Network:
    """Requests pages, one at a time."""

    def __init__(self, limits: Limits, *, allow_private: bool) -> None:
        self._limits = limits
        self._client = httpx2.Client(
            transport=_CheckedTransport(allow_private=allow_private),
            headers={
                "User-Agent": _USER_AGENT,
                "Accept": "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.1",
            },
            timeout=min(limits.seconds, 30.0),
            trust_env=False,
        )

    def get(self, url: httpx2.URL, headers: Mapping[str, str] | None = None) -> Page:
        """Return the response after at most ``_MAX_REDIRECTS`` redirects. Raises :class:`FetchError`.

        A server that is busy is asked once more, after the time that it names.
        """
        page = self._followed(url, headers or {})
        if page.status in _BUSY and (wait := page.headers.get("retry-after", "")).isdecimal():
            time.sleep(min(float(wait[:5]), _MAX_WAIT_SECONDS))
            page = self._followed(url, headers or {})
        return page

    def _followed(self, url: httpx2.URL, headers: Mapping[str, str]) -> Page:
        for _ in range(_MAX_REDIRECTS + 1):
            page = self._page(url, headers)
            if page.status not in {301, 302, 303, 307, 308} or "location" not in page.headers:
                return page
            try:
                url = checked_url(str(url.join(page.headers["location"])))
            except httpx2.InvalidURL as error:
                raise FetchError("it redirects to an invalid address") from error
        raise FetchError(f"it redirects more than {_MAX_REDIRECTS} times")

    def _page(self, url: httpx2.URL, headers: Mapping[str, str]) -> Page:
        deadline = time.monotonic() + self._limits.seconds
        body = bytearray()
        try:
            with self._client.stream("GET", url, headers=headers) as response:
                for chunk in response.iter_bytes(65_536):
                    body += chunk
                    if len(body) > self._limits.bytes:
                        raise FetchError(f"it is larger than {self._limits.bytes / 1e6:g} MB")
                    if time.monotonic() > deadline:
                        raise FetchError(f"it did not arrive within {self._limits.seconds:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"it can't be fetched ({error or type(error).__name__})") from error
        return Page(url, response.status_code, response.headers, bytes(body))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def checked_url(address: str) -> httpx2.URL:
    """Return an http or https address without its fragment. Raises :class:`FetchError` for any other."""
    try:
        url = httpx2.URL(address)
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchError("its address is invalid") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise FetchError("its address is not http:// or https:// with a host and without a password")
    return url.copy_with(fragment=None)
