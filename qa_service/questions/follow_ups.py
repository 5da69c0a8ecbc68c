"""Follow-ups: a question that leans on the ones before it is completed with their words.

The words are added behind the question. To put them in the pronoun's place finds fewer answers, because it has to
guess which of them the pronoun stands for: benchmarks/question_follow_ups.py compares.
"""

import re
from collections.abc import Sequence

from qa_service.datatypes import MAX_TURNS, Turn
from qa_service.questions.grammar import WORD, is_plain
from qa_service.questions.leaning import leans

_MAX_WORDS = 12
"""So many words of one earlier question are added."""
_MAX_NAMES = 2
_MAX_WORD_CHARACTERS = 40
_MAX_ANSWER_CHARACTERS = 1000
_ASKS_FOR_NAME = re.compile(r"(?:and\s+)?(?:\w{2,4}\s+)?(?:who|whom|whose|which|where|what)\b", re.IGNORECASE)
_NAME = re.compile(
    r"(?<=[a-z0-9,;] )(?!(?:Jan|Febr)uary|March|April|May|Ju(?:ne|ly)|August|(?:Septem|Octo|Novem|Decem)ber)"
    r"[A-Z][\w&-]*(?: [A-Z][\w&-]*)*"
)
"""Words in capitals, months excepted, that do not begin a sentence."""


def complete(question: str, history: Sequence[Turn]) -> str | None:
    """Return a follow-up with what it leans on, or ``None`` if the question stands alone.

    Added are the content words of the turn before and of the last turn that stood alone. If the turn before asked for
    a name, so are the names in its answer, for they may be what a pronoun stands for.
    """
    turns = history[-MAX_TURNS:]
    if not turns or not _leans_on(question, turns[-1]):
        return None
    root = next((at for at in range(len(turns) - 1, 0, -1) if not _leans_on(turns[at].question, turns[at - 1])), 0)
    last = turns[-1]
    said = _folded(question)
    added = _unsaid(_content(last.question) + _content(turns[root].question), said)
    if _ASKS_FOR_NAME.match(last.question):
        added += _unsaid(_NAME.findall(last.answer[:_MAX_ANSWER_CHARACTERS]), said)[:_MAX_NAMES]
    return " ".join([question.rstrip(), *added]) if added else None


def _unsaid(phrases: Sequence[str], said: set[str]) -> list[str]:
    """Return the phrases that have a word outside ``said``, and add their words to it."""
    new = []
    for phrase in phrases:
        if not (words := _folded(phrase)) <= said:
            new.append(phrase)
            said |= words
    return new


def _folded(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)}


def _leans_on(question: str, turn: Turn) -> bool:
    return leans(question, f"{turn.question} {turn.answer[:_MAX_ANSWER_CHARACTERS]}")


def _content(question: str) -> list[str]:
    """Return the first words of a question that say what it is about."""
    words = WORD.findall(question)
    return [word for word in words if len(word) <= _MAX_WORD_CHARACTERS and not is_plain(word)][:_MAX_WORDS]
