"""The characters that fonts of symbols draw: in a DOCX they are codes for private use, such as U+F0B1 for ±."""

import re
from typing import Any

from qa_service.loading.word_package import attribute

# The codes of Adobe's Symbol, and what they look like.
_SYMBOLS = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ≤°±≥×•≠≈→⇒√"
_SYMBOL_CODES = [
    *range(0x41, 0x5B),
    *range(0x61, 0x7B),
    0xA3,
    0xB0,
    0xB1,
    0xB3,
    0xB4,
    0xB7,
    0xB9,
    0xBB,
    0xAE,
    0xDE,
    0xD6,
]
_FONTS = {
    "symbol": dict(zip(_SYMBOL_CODES, _SYMBOLS, strict=True)),
    "wingdings": {0x6F: "☐", 0xA8: "☐", 0xE0: "→", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑"},
}
_PRIVATE = re.compile("[\uf000-\uf0ff]")


def drawn(element: Any) -> str:
    """Return the text of a ``w:t``, or the character of a ``w:sym``; nothing for symbols that are not known."""
    text, font = element.text or "", attribute(element, "font")
    if code := attribute(element, "char"):
        number = int(code, 16) if re.fullmatch("[0-9A-Fa-f]{1,4}", code) else 0
        text = chr(number | (0xF000 if font.casefold() in _FONTS else 0)).encode(errors="ignore").decode().strip("\0")
    if not _PRIVATE.search(text):
        return text
    fonts = element.getparent().find("{*}rPr/{*}rFonts")
    known = _FONTS.get((font or ("" if fonts is None else attribute(fonts, "ascii"))).casefold(), {})
    return _PRIVATE.sub(lambda match: known.get(ord(match[0]) & 0xFF, ""), text)
