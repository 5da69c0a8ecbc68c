"""Changes of examples: near misses made of answered questions, and changes that leave the label as it is.

The second kind is made so that the edit tells nothing: names are exchanged in answered examples too, windows are cut
to one sentence whether it answers or not, questions are typed as people type them.
"""

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import replace

from qa_service.datatypes import Offsets
from training.examples import Example

_NAME = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][\w'’-]+(?:\s+(?:of\s+|the\s+)?[A-Z][\w'’-]+)*")
_NUMBER = re.compile(r"\b\d[\d,.]*\d\b|\b\d\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_AUXILIARY = re.compile(r"\b(is|are|was|were|did|does|do|can|could|will|would|has|have|had|should)\b", re.IGNORECASE)
_PAIRS = (
    "first last, largest smallest, biggest smallest, most least, highest lowest, before after, north south, "
    "northern southern, east west, eastern western, increase decrease, increased decreased, more less, older younger, "
    "won lost, start end, started ended, began ended, begin end, founded dissolved, above below, early late, "
    "allowed forbidden, male female, born buried, opened closed, upper lower, major minor, "
    "always never, majority minority, maximum minimum, accepted rejected, high low, best worst, "
    "supported opposed, internal external, public private, former current, buy sell, bought sold"
)
_OPPOSITES = [(one, other) for one, other in (pair.split() for pair in _PAIRS.split(", "))]
_OPPOSITE = dict(_OPPOSITES) | {other: one for one, other in reversed(_OPPOSITES)}
_COUNT = re.compile(r"\b\d(?= (?:more |different |major |other )?[a-z]+s\b)")
_MIN_NAME_CHARACTERS = 3
_STEM_CHARACTERS = 4
_SHARE_OF_NUMBERS_FROM_WINDOW = 0.6
_SHARE_OF_NEGATIONS = 0.5
_SHARE_LOWER_CASE, _SHARE_WITHOUT_MARK = 0.25, 0.10

Change = Callable[[Example, random.Random], str | None]
"""Returns a question that the example's window should not answer; ``None`` if it can't be made."""


def near_miss(example: Example, chance: random.Random) -> Example | None:
    """Return an answered example with a changed question; ``None`` if no change can be made."""
    ways = ["name", *CHANGES]  # a name is tried first twice as often as another change
    chance.shuffle(ways)
    for way in ways:
        if question := CHANGES[way](example, chance):
            return replace(example, question=question, kind="made", spans=(), weight=1.0)
    return None


def _other_name(example: Example, chance: random.Random) -> str | None:
    """Exchange a name for one of the window that the question does not mention.

    The answer's sentence lends no name: often it says the same of all names that it has.
    """
    window = example.window.casefold()
    names = [name for name in _NAME.findall(example.question) if name.casefold() in window]
    names = [name for name in names if len(name) >= _MIN_NAME_CHARACTERS]
    if not names:
        return None
    name = chance.choice(names)
    sentences = _sentences(example.window)
    answering = [sentence for sentence in sentences if any(_overlap(sentence, span) for span in example.spans)]
    found = {
        other[0]
        for other in _NAME.finditer(example.window)
        if not any(_overlap(other.span(), sentence) for sentence in answering)
    }
    others = [other for other in sorted(found) if _is_another(other, name, example)]
    return example.question.replace(name, chance.choice(others)) if others else None


def _overlap(one: Offsets, other: Offsets) -> bool:
    return one[0] < other[1] and one[1] > other[0]


def _is_another(other: str, name: str, example: Example) -> bool:
    """Whether a name of the window means something else than ``name``, and neither answer nor question has it."""
    window = example.window
    is_alias = f"({other}" in window or f"{name} {other}" in window or f"{other} {name}" in window
    return (
        not is_alias
        and not _stems(other) & _stems(example.question)
        and other.casefold() not in example.question.casefold()
        and name.casefold() not in other.casefold()
        and other.casefold() not in _answers(example).casefold()
        and len(other.split()) <= len(name.split()) + 1
    )


def _stems(text: str) -> set[str]:
    """Return the beginnings of the longer words, so that `Africa` and `African` are one."""
    return {word[:_STEM_CHARACTERS] for word in _words(text) if len(word) >= _STEM_CHARACTERS}


def _other_number(example: Example, chance: random.Random) -> str | None:
    """Exchange a number for one of the window that is as long, or change one of its last two digits.

    A number of the window must be the only one of its sentence, or that sentence may tell for it what the question
    asks. "3 diseases" asks for a list, and any other count of them has the same answer.
    """
    counts = {found.start() for found in _COUNT.finditer(example.question)}
    numbers = [found[0] for found in _NUMBER.finditer(example.question) if found.start() not in counts]
    if not numbers:
        return None
    number = chance.choice(numbers)
    sentences = [_NUMBER.findall(example.window[start:end]) for start, end in _sentences(example.window)]
    others = [found[0] for found in sentences if len(found) == 1 and len(found[0]) == len(number)]
    others = [other for other in others if other not in example.question]
    if others and chance.random() < _SHARE_OF_NUMBERS_FROM_WINDOW:
        return example.question.replace(number, chance.choice(others))
    digits = list(number)
    place = chance.choice([place for place, digit in enumerate(digits) if digit.isdigit()][-2:])
    digits[place] = chance.choice([digit for digit in "123456789" if digit != digits[place]])
    changed = "".join(digits)
    return example.question.replace(number, changed) if changed not in example.window else None


def _opposite(example: Example, chance: random.Random) -> str | None:
    """Exchange a word for its opposite if neither question nor window has that. A `first name` has none."""
    question, seen = example.question, _words(example.question) | _words(example.window)
    words = re.findall(r"\b[a-z]+\b(?! names?\b)", question)
    words = [word for word in words if word in _OPPOSITE and _OPPOSITE[word] not in seen]
    if not words:
        return None
    word = chance.choice(words)
    return re.sub(rf"\b{word}\b", _OPPOSITE[word], question, count=1)


def _negation(example: Example, chance: random.Random) -> str | None:
    """Negate the first auxiliary verb of a question, unless it asks for yes or no: that answers both."""
    question = example.question
    found = _AUXILIARY.search(question)
    if not found or found.start() == 0 or " not " in question or "n't" in question:
        return None
    if chance.random() < _SHARE_OF_NEGATIONS:
        return None
    verb, end = found[0], found.end()
    return question[:end] + (" not" if verb.lower() in {"can", "will"} else "n't") + question[end:]


CHANGES: dict[str, Change] = {
    "name": _other_name,
    "number": _other_number,
    "opposite": _opposite,
    "negation": _negation,
}


def _answers(example: Example) -> str:
    return " ".join(example.window[start:end] for start, end in example.spans)


def renamed(example: Example, chance: random.Random) -> Example:
    """Exchange a name in question and window alike, so that an exchanged name by itself tells nothing."""
    answers = _answers(example)
    names = [name for name in _NAME.findall(example.question) if name in example.window and name not in answers]
    names = [name for name in names if len(name) >= _MIN_NAME_CHARACTERS]
    others = [name for name in _NAME.findall(example.window) if name not in example.question and name not in answers]
    if not names or not others:
        return example
    name, other = chance.choice(names), chance.choice(others)
    return replace(
        example,
        question=example.question.replace(name, other),
        window=example.window.replace(name, other),
        spans=_shifted(example, name, other),
    )


def _shifted(example: Example, name: str, other: str) -> tuple[Offsets, ...]:
    """Return the spans after each ``name`` of the window has become ``other``."""
    starts = [found.start() for found in re.finditer(re.escape(name), example.window)]
    longer = len(other) - len(name)

    def shifted(place: int) -> int:
        return place + longer * sum(start < place for start in starts)

    return tuple((shifted(start), shifted(start) + end - start) for start, end in example.spans)


def cropped(example: Example) -> Example:
    """Return the example with one sentence as its window: the answer's, else the one that shares most words."""
    text = example.window
    sentences = _sentences(text)
    if len(sentences) <= 1:
        return example
    if example.spans:
        answering = [sentence for sentence in sentences if _overlap(sentence, example.spans[0])]
        low, high = answering[0][0], answering[-1][1]
    else:
        words = _words(example.question)
        low, high = max(sentences, key=lambda sentence: len(words & _words(text[slice(*sentence)])))
    spans = tuple((start - low, end - low) for start, end in example.spans if start >= low and end <= high)
    if example.spans and not spans:
        return example
    return replace(example, window=text[low:high].rstrip(), spans=spans)


def _sentences(text: str) -> list[Offsets]:
    edges = [0, *(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    return [(start, end) for start, end in itertools.pairwise(edges) if end - start > 1]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def retyped(example: Example, chance: random.Random) -> Example:
    """Return the question as people type them: now and then in lower case, or without its mark."""
    question = example.question
    if not question.endswith("?"):
        return example
    roll = chance.random()
    if roll >= _SHARE_LOWER_CASE + _SHARE_WITHOUT_MARK:
        return example
    bare = question.rstrip(" ?")
    return replace(example, question=bare.lower() if roll < _SHARE_LOWER_CASE else bare)
