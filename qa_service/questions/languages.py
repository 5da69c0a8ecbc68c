"""The language of a question: by its script, or by its function words.

A language is named only if it can be told: from the script, if one language is written in it, else from two function
words that are neither English nor common in names, or from a question word at the beginning. English questions about
"Los Angeles" or "ich bin ein Berliner" stay English.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qa_service.questions.function_words import AMBIGUOUS, FUNCTION_WORDS, word_set

ENGLISH = "English"
_WORD = re.compile(r"[^\W\d_][\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff]*")
_LATIN = "LATIN"
_JAPANESE = frozenset(("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"))
_CHARACTERS = _JAPANESE | {"CJK", "IDEOGRAPHIC", "BOPOMOFO"}
_PAIRED = frozenset(("KATAKANA", "CJK", "HANGUL"))
_OF_SCRIPT = {
    "HANGUL": "Korean",
    "MYANMAR": "Burmese",
    "SINHALA": "Sinhala",
    **{
        name.upper(): name
        for name in ("Armenian", "Georgian", "Greek", "Gujarati", "Kannada", "Khmer", "Lao", "Malayalam", "Tamil")
    },
    **{name.upper(): name for name in ("Telugu", "Thai")},
}
"""Scripts that are used for one language, or for one by far more than for others."""
_SHARED_SCRIPTS = {
    "CYRILLIC": ("Russian", "Serbian"),
    "ARABIC": ("Arabic", "Persian"),
    "DEVANAGARI": ("Hindi", "Nepali"),
    "HEBREW": ("Hebrew", "Yiddish"),
}
_RARER_FIRST = ("Dutch", "Portuguese", "Italian", "French", "German", "Spanish")
"""The last of them is chosen, and any of them before another language, if a question's words are those of several."""
_LETTERS = {
    "Russian": "ыэё",
    "Serbian": "ђјљњћџ",
    "Ukrainian": "іїєґ",
    "Persian": "پچژگکی",
    "Urdu": "ٹڈڑںےہھ",
    "Arabic": "ةىؤئأإيك",
    "Yiddish": "װױײ",
    "Portuguese": "ãõ",
    "Spanish": "ñ¿¡",
    "German": "ß",
    "Polish": "łżśąę",
    "Czech": "řěů",
    "Hungarian": "őű",
    "Turkish": "ğı",
    "Romanian": "țș",
}
"""Letters that tell the languages of one script apart."""
_SCRIPT_OF = {"Ukrainian": "CYRILLIC", "Urdu": "ARABIC"} | {
    language: script for script, languages in _SHARED_SCRIPTS.items() for language in languages
}
_ENGLISH_STARTS = FUNCTION_WORDS["english"].asking | word_set(
    "is are was were do does did has have had can could will would should"
)
_MIN_WORD_CHARACTERS = 3
_AMBIGUOUS_WEIGHT, _ACCENTED_WEIGHT = 0.4, 1.5
_MIN_WEIGHT, _MIN_WEIGHT_ASKING, _MIN_WEIGHT_WAS = 1.75, 0.8, 1.25
_SHARE, _SHARE_BY_SCRIPT = 2, 5
_MIN_OTHER_SCRIPT, _MAJORITY = 0.25, 3


@dataclass(frozen=True, slots=True)
class _Told:
    """A language, and the words that tell it, as function words or by their script, then pairs of characters too."""

    language: str
    words: tuple[str, ...]
    by_script: bool = False


def language_of(question: str) -> str | None:
    """Return the English name of a question's language, or of its script, or ``None`` if it can't be told."""
    told = _tell(question)
    return None if told is None else told.language


def foreign_language(question: str, is_known: Callable[[str], bool]) -> str | None:
    """Return the language of a question if the documents are in another.

    ``is_known`` tells whether a passage holds any term of a text. Documents have the language if they have half of the
    function words that tell it, or a fifth of the words, or pairs of characters, in its script. No documents are
    foreign to English questions.
    """
    told = _tell(question)
    if told is None or told.language == ENGLISH:
        return None
    known = sum(is_known(word) for word in told.words)
    needed = len(told.words) / (_SHARE_BY_SCRIPT if told.by_script else _SHARE)
    return None if known and known >= needed else told.language


def _tell(question: str) -> _Told | None:
    if question.isascii():
        return _of_latin(question, _WORD.findall(question.casefold()))
    text = unicodedata.normalize("NFKC", question)
    found = _WORD.findall(text.casefold())
    scripts = Counter(_script(letter) for word in found for letter in word if letter.isalpha())
    latin = scripts.pop(_LATIN, 0)
    if not scripts:
        return _of_latin(text, found)
    script = max(scripts, key=lambda name: scripts[name])
    if script in _CHARACTERS:
        script = "KATAKANA" if scripts.keys() & _JAPANESE else "CJK"
    count = scripts.total() * (2 if script in _PAIRED else 1)
    told = _of_latin(text, [word for word in found if word.isascii()])
    if count < _MIN_OTHER_SCRIPT * latin or (told is not None and count < _MAJORITY * latin):
        return told
    own = ["".join(letter for letter in word if _script(letter) in scripts) for word in found]
    if script in _PAIRED:  # words are indexed by pairs of characters
        own = [word[place : place + 2] for word in own for place in range(max(1, len(word) - 1))]
    telling = tuple(word for word in own if word)
    return _Told(_of_script(script, telling), telling, by_script=True)


def _script(letter: str) -> str:
    return _LATIN if letter.isascii() else unicodedata.name(letter, _LATIN).split(" ")[0]


def _of_script(script: str, found: Sequence[str]) -> str:
    if script in {"KATAKANA", "CJK"}:
        return "Japanese" if script == "KATAKANA" else "Chinese"
    if script not in _SHARED_SCRIPTS:
        return _OF_SCRIPT.get(script, f"{script.capitalize()} script")
    text = "".join(found)
    scores = {
        language: 2 * any(letter in text for letter in _LETTERS.get(language, ""))
        + len(_FUNCTION_WORDS_OF.get(language, frozenset()).intersection(found))
        for language, its_script in _SCRIPT_OF.items()
        if its_script == script
    }
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] or script in {"ARABIC", "DEVANAGARI", "HEBREW"} else f"{script.capitalize()} script"


_FUNCTION_WORDS_OF = {
    language.capitalize(): one.asking | one.negations | one.others for language, one in FUNCTION_WORDS.items()
}


def _unaccented(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


def _telling() -> dict[str, tuple[str, ...]]:
    """Return the languages in Latin script that have a word, by the word as it is and, if longer, without accents."""
    found: dict[str, list[str]] = {}
    for language, own in _FUNCTION_WORDS_OF.items():
        if language != ENGLISH:
            for word in own | {_unaccented(word) for word in own if len(word) > _MIN_WORD_CHARACTERS}:
                if _script(word[0]) == _LATIN and (len(word) > 1 or not word.isascii()):
                    found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}


_TELLING = _telling()


def _of_latin(question: str, found: Sequence[str]) -> _Told | None:
    """Return the language whose function words stand in a question, if they are more than its English ones."""
    weights: dict[str, float] = defaultdict(float, {"Spanish": 1.0} if "¿" in question else {})
    specific: dict[str, float] = defaultdict(float, weights)
    for word in dict.fromkeys(found):
        languages = _TELLING.get(word, ())
        for language in languages:
            weights[language] += _weight(word)
            specific[language] += (_weight(word) >= 1) / len(languages)
    english = _FUNCTION_WORDS_OF[ENGLISH].intersection(found)
    for language in weights if not question.isascii() else ():
        specific[language] += any(letter in question for letter in _LETTERS.get(language, "")) and specific[language]
    if weights:
        language = max(weights, key=lambda name: (weights[name], specific[name], _commonness(name)))
        if specific[language] and _is_sure(language, found, weights[language], english):
            return _Told(language, tuple(word for word in dict.fromkeys(found) if language in _TELLING.get(word, ())))
    return _Told(ENGLISH, tuple(english)) if english else None


def _commonness(language: str) -> int:
    return _RARER_FIRST.index(language) if language in _RARER_FIRST else -1


def _weight(word: str) -> float:
    if not word.isascii():
        return _ACCENTED_WEIGHT
    return _AMBIGUOUS_WEIGHT if word in AMBIGUOUS or len(word) < _MIN_WORD_CHARACTERS else 1.0


def _is_sure(language: str, found: Sequence[str], weight: float, english: frozenset[str]) -> bool:
    """Tell whether function words of a language with a ``weight`` tell more than the ``english`` ones."""
    others = english - _FUNCTION_WORDS_OF[language]
    asking = FUNCTION_WORDS[language.lower()].asking
    if not found or weight <= len(others) or found[0] in _ENGLISH_STARTS - _FUNCTION_WORDS_OF[language]:
        return False
    if weight >= _MIN_WEIGHT:
        return True
    needed = _MIN_WEIGHT_WAS if found[0] in _ENGLISH_STARTS else _MIN_WEIGHT_ASKING
    begins = found[0] in asking and weight >= needed
    unmistakable = any(word in asking and len(word) > _MIN_WORD_CHARACTERS and _weight(word) >= 1 for word in found)
    return not others and (begins or unmistakable)
