"""Cleaning of text for the embedding model: invisible characters are removed, split letters are composed.

Only the embedded copy is cleaned; the stored, cited and returned text is the original.
"""

import re
import unicodedata

from qa_service.errors import InvalidRequest

MAX_QUESTION_CHARACTERS = 2000
_SPACE_LIKE = {code: " " for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"}
_INVISIBLE = dict.fromkeys(
    (
        0x00AD,  # soft hyphen
        0x061C,  # Arabic letter mark
        0x180E,  # Mongolian vowel separator
        0x200B,  # zero width space
        0x200E,  # left-to-right mark
        0x200F,  # right-to-left mark
        *range(0x202A, 0x202F),  # bidirectional embeddings and overrides
        0x2060,  # word joiner
        *range(0x2066, 0x206A),  # bidirectional isolates
        0xFEFF,  # byte order mark
        *range(0xE0000, 0xE0080),  # tag characters: text that can be smuggled past a reader
    )
)
_CLEAN = {**_SPACE_LIKE, **_INVISIBLE}
_JOINER_RUNS = re.compile("[\u200c\u200d]{2,}")
# Invisible, though letters or symbols by category: Hangul fillers, the empty braille cell; and the joiners.
_BLANK_LETTERS = dict.fromkeys((0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0x200C, 0x200D))

BIDI_CONTROLS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def embeddable(text: str) -> str:
    """Return ``text`` as the model gets it.

    It is :func:`visible`, in Unicode's composed form: tokenizers of SentencePiece's kind know Hangul syllables, not the
    two or three letters that some systems split them into.
    """
    return unicodedata.normalize("NFC", visible(text))


def visible(text: str) -> str:
    """Return ``text`` without invisible characters.

    Control characters become spaces. Bidirectional controls, zero-width characters, soft hyphens and tag characters
    are removed. Single joiners stay, because Persian, Indic scripts and emoji need them.
    """
    if text.replace("\n", "").isprintable():  # the common case: no character to remove is printable
        return text
    return _JOINER_RUNS.sub("", text.translate(_CLEAN))


def is_blank(text: str) -> bool:
    """Return whether ``text`` contains no visible character."""
    return not visible(text).translate(_BLANK_LETTERS).strip()


def check_question(question: str) -> None:
    """Raise :class:`InvalidRequest` if a question is blank, too long or not valid text."""
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidRequest(
            f"the question has {len(question)} characters, the maximum is {MAX_QUESTION_CHARACTERS}; shorten it"
        )
    if "\0" in question:
        raise InvalidRequest("the question contains a NUL character; remove it")
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise InvalidRequest("the question contains half a character (a lone surrogate); send whole characters")
    if is_blank(question):
        raise InvalidRequest("the question is empty; write one")
