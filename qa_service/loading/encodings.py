"""Guesses the encoding of bytes that are not UTF-8, by chardet.

Short texts in Western European languages match many encodings by chance. So Windows-1252 is the first guess where
words as it decodes them look Western and few other bytes speak against it.
"""

import re

_COMMON = "cp1252"
_WESTERN = (_COMMON, "cp1250", "cp1254", "cp1257", "cp1258", "iso8859-2", "iso8859-15")
# Supersets where there are any: cp932 rather than Shift JIS, for example.
_OTHERS = (
    *("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "koi8-r", "koi8-u", "iso8859-5", "iso8859-7"),
    *("cp866", "cp850", "mac_roman", "cp932", "euc_jis_2004", "cp949", "gb18030", "big5hkscs"),
)
_HIGH_BYTES = re.compile(rb"[\x80-\xff]")
_MAX_FEW_BYTES = 3
_EASTERN_LETTERS = set("ÐðÞþÝýøãº".encode(_COMMON))
"""Letters of Windows-1252 that are rare in Western texts, and that are common letters in its siblings."""
_MIN_SHARE_OF_BEST = 0.75
_MAX_ODD_SHARE = 0.1
_SIGNS = "‘’‚“”„–—…•€£¥©®™°§·«»¿¡½¼¾\xa0"
_WESTERN_USE = re.compile(
    rf"(?<![a-z])[{_SIGNS}]|[{_SIGNS}](?![a-z])|’(?=[a-zà-ÿ])|(?<![À-ÿ])[À-ÖØ-öø-ÿŒœŠšŽž](?![À-ÿ])|éé"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_CAPITAL_INSIDE = re.compile(r"[a-zà-ÿ][A-ZÀ-Þ]")


def likeliest_encoding(data: bytes) -> str | None:
    """Return the likeliest encoding that all of the bytes are valid in; ``None`` if none is likely."""
    from chardet import detect_all  # noqa: PLC0415 - only for files in old encodings

    western = _looks_western(data.decode(_COMMON, "replace"))
    if western and len(_HIGH_BYTES.findall(data)) <= _MAX_FEW_BYTES and not _EASTERN_LETTERS.intersection(data):
        return _COMMON
    included = _WESTERN if western else (*_WESTERN, *_OTHERS)
    found = detect_all(data, include_encodings=included, compat_names=False, ignore_threshold=True)
    likely = {str(match["encoding"]): match["confidence"] for match in found if _is_valid(data, match["encoding"])}
    if not likely:
        return None
    best = max(likely, key=lambda name: likely[name])
    return _COMMON if western and likely.get(_COMMON, 0) >= _MIN_SHARE_OF_BEST * likely[best] else best


def _looks_western(text: str) -> bool:
    """Tell whether accented letters stand alone among others, and typographic signs beside words."""
    if text.isascii() or sum(not one.isascii() for one in text) != sum(map(len, _WESTERN_USE.findall(text))):
        return False
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    odd = [
        word for word in words if 2 * sum(not one.isascii() for one in word) > len(word) or _CAPITAL_INSIDE.search(word)
    ]
    return len(odd) <= _MAX_ODD_SHARE * len(words)


def _is_valid(data: bytes, encoding: str | None) -> bool:
    try:
        return bool(encoding) and data.decode(str(encoding)) is not None
    except (UnicodeDecodeError, LookupError):
        return False
