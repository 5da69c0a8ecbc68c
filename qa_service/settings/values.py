"""Types of settings with validation of their own."""

import re
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StringConstraints

CHANGES_INDEX: dict[str, Any] = {"changes": "index"}
CHANGES_ANSWERS: dict[str, Any] = {"changes": "answers"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_MAX_PREFIX_CHARACTERS = 200
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]*[a-z0-9_-])\.?)(?::[0-9]{0,5})?", re.IGNORECASE)


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def origin_of(text: str) -> str:
    """Return an origin as browsers send it. Raises ``ValueError`` if it is invalid."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    rest = (parts.path, parts.query, parts.fragment, parts.username or "", parts.password or "")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or any(rest) or "*" in text:
        raise ValueError(f"{text!r} is not an origin; write it as https://www.example.org")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}")


def path_prefix(text: str) -> str:
    """Return a path prefix such as ``/docs-qa`` without a trailing slash. Raises ``ValueError`` if it is invalid."""
    prefix = text.removesuffix("/")
    if (
        len(text) > _MAX_PREFIX_CHARACTERS
        or not _PREFIX.fullmatch(prefix)
        or not {".", ".."}.isdisjoint(prefix.split("/"))
    ):
        raise ValueError("the path must be like /docs-qa, with only letters, digits and -._~")
    return prefix


def _public_url(text: str) -> str:
    if not text:
        return text
    parts = urlsplit(text)
    if "?" in text or "#" in text:
        raise ValueError(f"{text!r} has a query or a fragment; write it as https://www.example.org/docs-qa")
    return origin_of(f"{parts.scheme}://{parts.netloc}") + path_prefix(parts.path)


def host_of(text: str) -> str:
    """Return the host of a ``Host`` header in lower case, without port, brackets and trailing dot; empty if invalid."""
    match = _HOST.fullmatch(text)
    if match is None:
        return ""
    address, name = match.groups()
    if address is None:
        return str(name.lower())
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


PublicURL = Annotated[str, AfterValidator(_public_url)]
Names = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
Secret = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^([!-~]{16,200})?$")]
Token = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[!-~]{0,400}$")]
Rate = Annotated[str, StringConstraints(pattern=r"^([1-9]\d{0,8}/(second|minute|hour|day))?$")]
