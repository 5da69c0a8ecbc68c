"""Why a question is not answered, or not with certainty: the first reason that can be shown to hold.

The words that say nothing of a subject are English ones and the stop words of the index's language.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from qa_service.datatypes import Reason, ScoredPassage
from qa_service.index import Index
from qa_service.questions.function_words import FUNCTION_WORDS, function_words_of, word_set
from qa_service.questions.grammar import is_plain
from qa_service.questions.languages import foreign_language
from qa_service.questions.leaning import leans

_WORD = re.compile(r"[^\W_]+(?:(?:[-'’.]|(?<=\d),(?=\d))[^\W_]+)*")
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_ASKED_NUMBER = re.compile(r"(\d[\d,.]*)s?")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th)", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORDS = {word: str(number) for number, word in enumerate(_SMALL)}
_CONTRACTION = re.compile(r"(?:n['’]t|['’](?:s|re|ve|ll|d|m))\Z", re.IGNORECASE)
_MAX_WORD_CHARACTERS = 40
_ASKING = word_set(
    "hi hello hey please thanks thank you i me my we us our tell show explain give list know say says said "
    "want need find help wonder wondering describe define mean means let someone anyone happen happens happened "
    "somebody anybody exactly briefly also really question answer called"
)
_FUNCTION_WORDS = word_set(
    "am any all some may might must shall if whether during between before after over under like just not no more "
    "most less least very same such each every either other another because while through across against within "
    "without up down out off again once only own so too but nor yet since until per via ca wo both few "
    "your yours mine ours theirs here now still ever never always often being having doing"
)
_PLAIN_WORDS = _ASKING | _FUNCTION_WORDS | FUNCTION_WORDS["english"].stop_words
"""The words that say nothing of a question's subject."""


def reason_for(question: str, index: Index, results: Sequence[ScoredPassage], *, found: bool = False) -> Reason | None:
    """Return why the results of a question may not answer it, or ``None`` if nothing is known.

    If an answer may have been ``found``, a missing word is a reason only if it is a name: the documents may say the
    rest in other words.
    """
    language = foreign_language(question, lambda text: _known([text], index))
    if language is not None:
        message = f"The question seems to be in {language}; ask in the language of the documents."
        return Reason("other_language", message, language)
    words = [word for word in _WORD.findall(_THOUSANDS.sub(",", question)) if len(word) <= _MAX_WORD_CHARACTERS]
    for find in (_follow_up, _missing_number, _missing_term):
        reason = find(words, index, results)
        if reason is not None and not (found and reason.kind == "missing_term" and reason.subject.islower()):
            return reason
    return None


def _follow_up(words: Sequence[str], index: Index, _: Sequence[ScoredPassage]) -> Reason | None:
    question = " ".join(words)
    if not leans(question) or _known((word for word in words if not is_plain(word)), index):
        return None
    return Reason("follow_up", "The question seems to continue a conversation; name its subject.", question)


def _missing_number(words: Sequence[str], _: Index, results: Sequence[ScoredPassage]) -> Reason | None:
    """Name a number that no passage has, in figures or, up to twelve, in words."""
    asked = [found[1] for word in words if (found := _ASKED_NUMBER.fullmatch(word))]
    if not asked:
        return None
    text = "\n".join(f"{result.passage.context}\n{result.passage.text}" for result in results)
    said = set(_WORD.findall(text.casefold()))
    present = _numbers(text) | {number for word, number in _NUMBER_WORDS.items() if word in said}
    missing = next((number for number in asked if not _numbers(number) & present), None)
    if missing is None:
        return None
    return Reason("missing_number", f"None of the passages found mentions {missing}.", missing)


def _numbers(text: str) -> set[str]:
    """Return the numbers in a text, without separators of thousands."""
    return set(_NUMBER.findall(_THOUSANDS.sub("", text)))


def _missing_term(words: Sequence[str], index: Index, _: Sequence[ScoredPassage]) -> Reason | None:
    """Name the word that no passage holds; of several, a name rather than another word, then the longest."""
    plain = _PLAIN_WORDS | function_words_of(index.manifest.language).stop_words
    absent = [
        (place > 0 and word[0].isupper(), len(word), -place, word)
        for place, word in enumerate(_CONTRACTION.sub("", word) for word in words)
        if word and word.casefold() not in plain and _is_absent(word, index)
    ]
    if not absent:
        return None
    word = max(absent)[-1]
    return Reason("missing_term", f"No document mentions “{word}”.", word)


def _is_absent(word: str, index: Index) -> bool:
    """Tell whether no passage holds a word. A part of "F-35" that is missing is enough; a number is never absent."""
    if _ASKED_NUMBER.fullmatch(word) or _ORDINAL.fullmatch(word):
        return False
    terms = set(index.words.terms(word))
    known = index.words.ids(terms)
    return len(known) < len(terms) if any(map(str.isdigit, word)) else not known


def _known(words: Iterable[str], index: Index) -> bool:
    """Tell whether a passage holds any term of some words."""
    return bool(index.words.ids(index.words.terms(" ".join(words))))


def conflict_between(results: Sequence[ScoredPassage], date_of: Callable[[str], str]) -> Reason | None:
    """Return a conflict if a later result of another document answers with other figures than the first one.

    Both must have been read with a positive logit. ``date_of`` returns the date of a document, or an empty text.
    """
    first = results[0]
    told = _figures(first)
    for place, other in enumerate(results[1:], start=1):
        figures = _figures(other)
        if other.passage.document_id == first.passage.document_id or not told or not figures or told & figures:
            continue
        parts = [
            f"“{_answer(one)}”" + (f" ({date})" if (date := date_of(one.passage.document_id)) else "")
            for one in (first, other)
        ]
        return Reason("conflict", f"Two documents say different things: {' and '.join(parts)}.", "", (0, place))
    return None


def _answer(result: ScoredPassage) -> str:
    return result.passage.text[slice(*result.spans[0])]


def _figures(result: ScoredPassage) -> set[str]:
    """Return the numbers of the words that answer, if the reader is positive that they do."""
    logit = result.scores.reading
    return _numbers(_answer(result)) if logit is not None and logit > 0 and result.spans else set()
