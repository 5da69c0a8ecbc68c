"""Bytes -> text, by a stated policy: a byte order mark decides, otherwise UTF-8, otherwise no.

The text is exactly what the bytes say: no newline translation, no normalisation, the byte order mark
of UTF-8 kept as U+FEFF. So for a UTF-8 file ``document.text.encode() == file bytes``, and offsets hold
for the file itself. For UTF-16 and UTF-32 they hold for the text as the service stores and serves it.
"""

import codecs

# Longest first: the mark of UTF-32 LE begins with that of UTF-16 LE.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SIGNATURES = (
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"PK\x03\x04", "a ZIP archive (or DOCX, EPUB, XLSX)"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"SQLite format 3", "an SQLite database"),
    (b"{\\rtf", "RTF"),
)


class UndecodableError(ValueError):
    """The bytes are not text by the policy; the message says why and where."""


def binary_kind(data: bytes) -> str | None:
    """Return what a file really is, by its first bytes, if that is a known kind of binary file."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def decode(data: bytes) -> str:
    """Return the text of a file's bytes, or raise :class:`UndecodableError`."""
    if name := binary_kind(data):
        raise UndecodableError(f"is {name}, not text")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableError(
            f"is not {encoding.upper()}: byte 0x{data[error.start]:02X} at offset {error.start}, line {line}; "
            "save it as UTF-8"
        ) from error
