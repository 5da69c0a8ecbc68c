"""Bytes -> text, for all formats.

The encoding is that of the byte order mark; or UTF-16 or UTF-32 by the NUL bytes; or the one that the file declares; or
UTF-8; or the likeliest one. The last is a guess, and a warning names it.

Nothing is normalised: newlines stay, and the byte order mark of UTF-8 stays as U+FEFF. So for a UTF-8 file
``document.text.encode() == file bytes``, and offsets hold for the file itself. For other encodings they hold for the
text as the service stores and serves it. A file that is UTF-8 except for a few bytes counts as damaged.
"""

import codecs
import re
import unicodedata

from qa_service.loading.encodings import likeliest_encoding
from qa_service.loading.outline import UnreadableError

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
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
_DECLARATION = re.compile(
    rb"""\A\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']\s*(?P<xml>[\w.:-]+)"""
    rb"""|<meta\s[^>]*?\bcharset\s*=\s*["']?\s*(?P<meta>[\w.:-]+)"""
    rb"""|\A(?:\s*\#[^\n]*\n)?\s*\#[^\n]*?coding[:=]\s*(?P<source>[\w.-]+)""",
    re.IGNORECASE,
)
_DECLARATION_BYTES = 4096
# The WHATWG's encoding standard: files that declare the narrower one are written in the wider one.
_SUPERSETS = {
    **dict.fromkeys(("ascii", "iso8859-1"), "cp1252"),
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "big5": "big5hkscs",
}
_MULTIBYTE = {"cp932", "cp949", "gb18030", "big5hkscs", "euc_jp", "euc_jis_2004", "shift_jis_2004", "johab", "hz"}
_NOT_CHARACTERS = {"idna", "punycode", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape"}
_ESCAPES = (b"\x1b$", b"\x1b(")
_MAX_REPLACED_SHARE = 0.01
_SAMPLE_BYTES = 1 << 16
_MIN_CONTROLS_SHARE = 0.6
"""UTF-16 that is valid UTF-8 too has at least this share of control characters among its upper bytes."""


def binary_kind(data: bytes) -> str | None:
    """Return the kind of a binary file by its first bytes, or ``None`` if they match no known kind."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), None)


def declared_encoding(data: bytes) -> str | None:
    """Return the encoding that an XML declaration, an HTML ``meta`` or a coding line at the beginning declares."""
    match = _DECLARATION.search(data[:_DECLARATION_BYTES])
    return match[match.lastgroup or 0].decode("ascii", "replace") if match else None


def decode(data: bytes, declared: str | None = None, *, lenient: bool = False) -> tuple[str, str]:
    """Return the text of a file's bytes, and a warning if its encoding was guessed.

    Damaged bytes become U+FFFD if ``lenient``, with a warning. Raises :class:`UnreadableError`.
    """
    if name := binary_kind(data):
        raise UnreadableError(f"is {name}, not text")
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    if encoding is not None:
        return _strict(data, encoding), ""
    if wide := _wide_encoding(data):
        return data.decode(wide), _guessed(wide)
    codec = _codec(declared)
    # Text in a single-byte encoding is never valid UTF-8 by chance; a wrong declaration is common.
    candidates = [codec, "utf-8"] if codec in _MULTIBYTE else ["utf-8", codec]
    for candidate in filter(None, candidates):
        if (text := _text_or_none(data, candidate)) is not None:
            misdeclared = codec is not None and candidate != codec and not data.isascii()
            return text, f"declares {declared}, but is {candidate.upper()}" if misdeclared else ""
    return _undeclared(data, codec, lenient=lenient)


def _undeclared(data: bytes, codec: str | None, *, lenient: bool) -> tuple[str, str]:
    """Return the text of bytes that are neither UTF-8 nor entirely in the declared encoding."""
    damaged_utf8 = _is_damaged_utf8(data)
    if codec not in {None, "utf-8"} and not damaged_utf8:
        replaced = data.decode(str(codec), "replace")
        if replaced.count("\ufffd") <= _MAX_REPLACED_SHARE * len(replaced):
            return replaced, _replaced(replaced, str(codec))
    guess = None if damaged_utf8 or b"\0" in data else likeliest_encoding(data)
    if guess is not None:
        return data.decode(guess), _guessed(guess)
    if damaged_utf8 and lenient:
        replaced = data.decode("utf-8", "replace")
        return replaced, _replaced(replaced, "utf-8")
    return _strict(data, "utf-8"), ""


def _guessed(encoding: str) -> str:
    return f"encoding guessed: {encoding}; save the file as UTF-8"


def _replaced(text: str, encoding: str) -> str:
    return f"{text.count(chr(0xFFFD))} damaged characters are not {encoding.upper()}; they are shown as U+FFFD"


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not {encoding.upper()}: byte 0x{data[error.start]:02X} at offset {error.start}, line {line}; "
            "save it as UTF-8"
        ) from error


def _text_or_none(data: bytes, encoding: str) -> str | None:
    if encoding == "utf-8" and any(escape in data for escape in _ESCAPES):
        encoding = "iso2022_jp_2" if _text_or_none(data, "iso2022_jp_2") else encoding
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _codec(declared: str | None) -> str | None:
    """Return Python's codec for a declared encoding, or a superset of it; ``None`` if there is none."""
    if not declared:
        return None
    try:
        name = codecs.lookup(declared).name
        "".encode(name)
    except (LookupError, ValueError):
        return None
    if name in _NOT_CHARACTERS:
        return None
    # A declaration that can be read as ASCII is not in UTF-16.
    return "utf-8" if name.startswith(("utf-16", "utf-32", "utf-8")) else _SUPERSETS.get(name, name)


def _is_damaged_utf8(data: bytes) -> bool:
    """Tell whether at least half of the characters outside ASCII are valid UTF-8."""
    replaced = data.decode("utf-8", "replace")
    damaged = replaced.count("\ufffd")
    return sum(not character.isascii() for character in replaced) - damaged >= damaged


def _wide_encoding(data: bytes) -> str | None:
    """Return the encoding of UTF-16 and UTF-32 without a byte order mark, recognised by NUL bytes."""
    if b"\0" not in data or len(data) % 2:
        return None
    if len(data) % 4 == 0 and b"\0\0" in data:
        for encoding in ("utf-32-le", "utf-32-be"):
            if _is_plausible(_text_or_none(data, encoding)):
                return encoding
    pairs = data[:_SAMPLE_BYTES]
    even, odd = pairs[::2], pairs[1::2]
    # The upper bytes of a text are few, the lower ones many.
    upper = min(even, odd, key=lambda part: (len(set(part)), -_controls(part)))
    if _controls(upper) < _MIN_CONTROLS_SHARE and _text_or_none(data, "utf-8") is not None:
        return None
    encoding = "utf-16-be" if upper is even else "utf-16-le"
    return encoding if _is_plausible(_text_or_none(data, encoding)) else None


def _controls(part: bytes) -> float:
    return sum(byte < ord(" ") for byte in part) / len(part)


def _is_plausible(text: str | None) -> bool:
    """Tell whether all characters are assigned, and none is a NUL."""
    return text is not None and "\0" not in text and not any(unicodedata.category(one) in {"Cn", "Co"} for one in text)
