"""Conditional requests: 304 Not Modified for a client that has the current response already."""

import asyncio
import hashlib
import re
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_BYTES_ON_LOOP = 262_144
"""A longer body is hashed in a thread."""


def conditional(scope: Scope, send: Send) -> Send:
    """Return a ``send`` for responses to GET, which adds an ``ETag`` and sends 304 if ``If-None-Match`` contains it.

    The tag is a digest of the body, so that each representation has its own. Streams, errors and responses with
    ``no-store`` pass unchanged.
    """
    given = ", ".join(Headers(scope=scope).getlist("if-none-match"))
    held: Message | None = None

    async def send_conditionally(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
            held = message
            return
        start, held = held, None
        if start is not None:
            if not message.get("more_body", False) and await _is_known(start, message.get("body", b""), given):
                start["status"], message["body"] = HTTPStatus.NOT_MODIFIED, b""
                headers = MutableHeaders(scope=start)
                del headers["content-length"], headers["content-type"]
            await send(start)
        await send(message)

    return send_conditionally


async def _is_known(start: Message, body: bytes, given: str) -> bool:
    """Add the entity tag to a response; return whether the client has it, by weak comparison."""
    headers = MutableHeaders(scope=start)
    if "no-store" in headers.setdefault("Cache-Control", "no-cache"):
        return False
    tag = _tag(body) if len(body) <= _MAX_BYTES_ON_LOOP else await asyncio.to_thread(_tag, body)
    headers["ETag"] = tag
    return given.strip() == "*" or tag in _ENTITY_TAG.findall(given)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()}"'
