"""Bytes -> text. The encoding is that of the byte order mark, or else UTF-8, or else the likeliest one.

Nothing is normalised: newlines stay, and the byte order mark of UTF-8 stays as U+FEFF. So for a UTF-8 file
``document.text.encode() == file bytes``, and offsets hold for the file itself. For other encodings they hold for the
text as the service stores and serves it. A file that is UTF-8 except for a few bytes counts as damaged and is skipped.
Other encodings are guessed by charset-normalizer, and a warning names the guess.
"""

import codecs

from qa_service.loading.outline import UnreadableError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The library knows many more, but short texts match those by chance.
_LEGACY_ENCODINGS = (
    *(f"cp{number}" for number in range(1250, 1259)),
    *("shift_jis", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "koi8_r", "koi8_u", "tis_620"),
)
_COMMON_ENCODING = "cp1252"
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


def binary_kind(data: bytes) -> str | None:
    """Return the kind of a binary file by its first bytes, or ``None`` if they match no known kind."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def decode(data: bytes) -> tuple[str, str]:
    """Return the text of a file's bytes, and a warning if its encoding was guessed. Raises :class:`UnreadableError`."""
    if name := binary_kind(data):
        raise UnreadableError(f"is {name}, not text")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding), ""
    except UnicodeDecodeError as error:
        guess = _guess(data) if encoding == "utf-8" else None
        if guess is not None:
            return data.decode(guess), f"encoding guessed: {guess}; save the file as UTF-8"
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not {encoding.upper()}: byte 0x{data[error.start]:02X} at offset {error.start}, line {line}; "
            "save it as UTF-8"
        ) from error


def _guess(data: bytes) -> str | None:
    """Return the likeliest encoding of bytes that are not UTF-8; ``None`` for damaged UTF-8 and binary data."""
    replaced = data.decode("utf-8", "replace")
    damaged = replaced.count("\ufffd")
    if sum(not character.isascii() for character in replaced) - damaged >= damaged or b"\0" in data:
        return None
    from charset_normalizer import from_bytes  # noqa: PLC0415 - only for files in old encodings

    best = from_bytes(data, cp_isolation=list(_LEGACY_ENCODINGS)).best()
    if best is None:
        return None
    # Several encodings can give the same text; then name the most common one.
    return _COMMON_ENCODING if data.decode(_COMMON_ENCODING, "replace") == str(best) else best.encoding
