"""Mail (EML, MSG) -> the message, and its attachments as documents of their own: ``offer.eml!/prices.xlsx``.

The message is its plain part, or else its page. Headers are metadata, and those that people see begin the text.
"""

import email
import email.policy
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.message import EmailMessage, Message, MIMEPart
from html import escape
from typing import Any

import olefile

from qa_service.loading.archive import DAMAGES
from qa_service.loading.archive_members import ReadPart, member, safe_name
from qa_service.loading.decoding import decode
from qa_service.loading.flow import Flow
from qa_service.loading.limits import Limits
from qa_service.loading.markup import add_page
from qa_service.loading.outline import ParsedDocument, SkippedPart, TextBuilder, UnreadableError
from qa_service.loading.visible import is_hidden

_HEADERS = ("From", "To", "Cc", "Date")
_MAX_ATTACHMENTS = 200
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_ITEM = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+\S")
_RFC822 = ".eml"


@dataclass(slots=True)
class _Message:
    subject: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    page: bytes = b""
    attachments: list[tuple[str, bytes]] = field(default_factory=list)
    skipped: list[SkippedPart] = field(default_factory=list)


def read_eml(
    data: bytes, limits: Limits, read: ReadPart, media_types: Mapping[str, str]
) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a message as mail programs save it."""
    try:
        message = _of_eml(email.message_from_bytes(data, policy=email.policy.default))
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    if not message.headers and not message.subject:
        raise UnreadableError("is no message: it has no headers")
    yield from _documents(message, limits, read, media_types)


def read_msg(
    data: bytes, limits: Limits, read: ReadPart, media_types: Mapping[str, str]
) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a message as Outlook saves it."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            message = _of_msg(file, [])
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable message ({type(error).__name__}: {error})") from error
    if not any((message.subject, message.headers, message.text, message.page)):
        raise UnreadableError("is not a readable message: it has neither a subject nor a text")
    yield from _documents(message, limits, read, media_types)


def _documents(
    message: _Message, limits: Limits, read: ReadPart, media_types: Mapping[str, str]
) -> Iterator[ParsedDocument | SkippedPart]:
    builder = TextBuilder()
    if message.subject:
        builder.heading(1, message.subject)
    for name, value in message.headers.items():
        builder.block(f"{name}: {value}")
    warning = ""
    if message.text.strip():
        for paragraph in _BLANK_LINES.split(message.text.replace("\r\n", "\n")):
            builder.block(paragraph.strip("\n"), "list_item" if _ITEM.match(paragraph) else "paragraph")
    elif message.page:
        flow = Flow()
        warning = add_page(flow, message.page, is_hidden)
        flow.write(builder)
    found = builder.document(title=message.subject, metadata=message.headers)
    yield replace(found, warnings=(warning,) if warning else ())
    yield from message.skipped
    if len(message.attachments) > _MAX_ATTACHMENTS:
        raise UnreadableError(f"has {len(message.attachments)} attachments, over the limit of {_MAX_ATTACHMENTS}")
    limits = replace(limits, expanded_bytes=limits.expanded_bytes - sum(len(data) for _, data in message.attachments))
    used: set[str] = set()
    for number, (given, content) in enumerate(message.attachments, start=1):
        name = safe_name(given.replace("/", "_"))
        name = f"{number}/{name}" if name in used else name
        used.add(name)
        yield from member(name, content, limits, read, media_types)


def _of_eml(found: EmailMessage) -> _Message:
    message = _Message(_header(found, "Subject"))
    message.headers = {name: value for name in _HEADERS if (value := _header(found, name))}
    body = found.get_body(("plain", "html")) if found.is_multipart() or found.get_content_maintype() == "text" else None
    if body is not None:
        content, _ = decode(_payload(body), body.get_content_charset(), lenient=True)
        if body.get_content_subtype() == "html":
            message.page = _declared_utf8(content)
        else:
            message.text = content
    for number, part in enumerate(_parts(found), start=1):
        if part is body or part.get_content_maintype() == "multipart" or _is_of_body(part):
            continue
        name = part.get_filename() or ""
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload()
            content_bytes = inner[0].as_bytes() if isinstance(inner, list) and isinstance(inner[0], Message) else b""
            message.attachments.append(
                (f"{name or f'message {number}'}".removesuffix(_RFC822) + _RFC822, content_bytes)
            )
        elif name:
            message.attachments.append((name, _payload(part)))
    return message


def _is_of_body(part: EmailMessage) -> bool:
    """Tell whether a part is another form of the message, or a picture in it."""
    is_shown = part.get_content_maintype() in {"text", "image"} and part.get_content_disposition() != "attachment"
    return is_shown and not part.get_filename()


def _parts(found: EmailMessage) -> Iterator[Any]:
    """Yield the parts of a message, but not those of messages in it: they are read by themselves."""
    waiting: list[Any] = [found]
    while waiting:
        part = waiting.pop(0)
        yield part
        payload = part.get_payload()
        if isinstance(payload, list) and (part is found or part.get_content_type() != "message/rfc822"):
            waiting[:0] = payload


def _payload(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _header(found: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(found.get(name, "")).split()).encode("utf-8", "replace").decode()
    except (ValueError, LookupError, IndexError, AttributeError):  # the library's parser of headers
        return ""


def _declared_utf8(page: str) -> bytes:
    return b"\xef\xbb\xbf" + page.encode("utf-8", "replace")


_PROPERTIES = {"Subject": "0037", "From": "0C1A", "Address": "0C1F", "To": "0E04", "Cc": "0E03", "Body": "1000"}
_FILE_NAMES = ("3707", "3704", "3001")


def _of_msg(file: Any, folder: list[str]) -> _Message:
    """Read a message from the streams of a compound file, which are named by their properties."""
    values = {name: _msg_text(file, folder, number) for name, number in _PROPERTIES.items()}
    sender = f"{values['From']} <{values['Address']}>" if "@" in values["Address"] else values["From"]
    headers = {"From": sender, "To": values["To"], "Cc": values["Cc"]}
    message = _Message(values["Subject"], {name: value for name, value in headers.items() if value})
    message.text = values["Body"]
    message.page = _msg_bytes(file, folder, "1013", "0102") or escape(_msg_text(file, folder, "1013")).encode()
    streams = file.listdir(streams=True, storages=True)
    for name in sorted(
        {path[len(folder)] for path in streams if len(path) > len(folder) and path[: len(folder)] == folder}
    ):
        if name.startswith("__attach"):
            inside = [*folder, name]
            given = next(filter(None, (_msg_text(file, inside, number) for number in _FILE_NAMES)), "unnamed")
            content = _msg_bytes(file, inside, "3701", "0102")
            if content:
                message.attachments.append((given, content))
            elif file.exists([*inside, "__substg1.0_3701000D"]):
                message.skipped.append(SkippedPart(f"!/{safe_name(given)}", "is a message within a message, not read"))
    return message


def _msg_text(file: Any, folder: list[str], number: str) -> str:
    if found := _msg_bytes(file, folder, number, "001F"):
        return found.decode("utf-16-le", "replace").rstrip("\0")
    return decode(_msg_bytes(file, folder, number, "001E"), lenient=True)[0].rstrip("\0")


def _msg_bytes(file: Any, folder: list[str], number: str, kind: str) -> bytes:
    path = [*folder, f"__substg1.0_{number}{kind}"]
    if not file.exists(path):
        return b""
    data: bytes = file.openstream(path).read()
    return data
