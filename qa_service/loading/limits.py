"""How much of a file is read, for how long, and which of its columns."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from qa_service.settings import Settings, default_of

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a file's size and of its parsing, and which columns of a table hold the text, title and id of a row."""

    file_bytes: int = default_of("max_file_mb") * _MB
    pages: int = default_of("max_pages")
    ocr: str = default_of("ocr")
    ocr_pages: int = default_of("max_ocr_pages")
    expanded_bytes: int = default_of("max_expanded_mb") * _MB
    seconds: float = default_of("parse_seconds")
    memory_bytes: int = default_of("parse_memory_mb") * _MB
    row_text: tuple[str, ...] = default_of("row_text")
    row_title: str = default_of("row_title")
    row_id: str = default_of("row_id")
    depth: int = 0  # the number of archives and mails around a file


def _no_deadline(_scanned_pages: int) -> None:
    """Do nothing: outside the parser's process reading has no deadline."""


ask_for_time: ContextVar[Callable[[int], None]] = ContextVar("ask_for_time", default=_no_deadline)
"""Asks for the time that text recognition takes on so many pages."""


def limits_of(settings: Settings) -> Limits:
    """Return the limits that the settings give."""
    return Limits(
        file_bytes=settings.max_file_mb * _MB,
        pages=settings.max_pages,
        ocr=settings.ocr,
        ocr_pages=settings.max_ocr_pages,
        expanded_bytes=settings.max_expanded_mb * _MB,
        seconds=settings.parse_seconds,
        memory_bytes=settings.parse_memory_mb * _MB,
        row_text=settings.row_text,
        row_title=settings.row_title,
        row_id=settings.row_id,
    )
