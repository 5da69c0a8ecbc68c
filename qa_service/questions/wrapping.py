"""The question without its wrapping: greetings, thanks, politeness, lead-ins, quotation marks, odd ends.

The words of the question itself stay, in their order, with two exceptions: a question in capitals throughout is put in
small letters, and behind a lead-in the verb of an indirect question moves to where the direct one has it.

A phrase is removed only where it can't be what the question is about. "Hello Kitty age", "Who sang Thank You?" and a
question that is only a greeting stay. Time is linear in the length.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from qa_service.questions import phrases
from qa_service.questions.function_words import FUNCTION_WORDS, word_set
from qa_service.questions.phrases import EXPLAIN, FILLERS, Phrase

END = "?"
"""Every question ends so, however it was typed."""
_QUESTION_WORDS = frozenset().union(
    *(
        FUNCTION_WORDS[language].asking
        for language in ("english", "german", "french", "spanish", "italian", "portuguese", "dutch")
    ),
    phrases.CONTRACTED,
)
_VERBS = word_set(
    "is are was were am do does did has have had can could will would should may must isn't aren't wasn't doesn't "
    "didn't ist sind war hat gibt wurde est est-ce son fue hay heeft"
)
_PREPOSITIONS = word_set("in on at by for from to with under since")
_WHETHER = frozenset(("if", "whether", "ob", "se", "of"))
_ASKING = _QUESTION_WORDS | _VERBS | EXPLAIN | {"tell", "give", "show"}
_MENTIONING = word_set(
    "say says said saying reply replied mean means word words phrase called named titled sing sings sang sung song "
    "singing write wrote a an the of to in on by with from and or for my your his her don't not never always no more "
    "cheers as you they we he she it one"
)
"""A phrase without punctuation behind such a word is what the question is about."""
_MOVED = word_set("is are was were am can could will would should must")
_MOVED_BEHIND = word_set("what when where why how who")
_DETERMINERS = word_set("the a an this that these those its their his her our my it they he she we i you there")
_WORD = re.compile(r"\w+(?:['’´-]\w+)*")
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "‘": "’", "'": "'", "`": "`", "「": "」", "『": "』", "‹": "›"}
_ANY_QUOTE = re.compile(r"[\"“”„«»「」『』‹›`]|(?<!\w)['‘’]|['‘’](?!\w)")
_EDGES = frozenset(" \t\n\r,;:!?¿¡…·•*~|–—。！？；：，、")
_SMILEY = re.compile(r"(?:\s|(?<=[?!.]))(?:[:;=8][-']?[)(DPpoO/|*]+|\^[_.]?\^|<3|[xX]D)\Z")
_LONGEST_SMILEY = 8
_INITIALS = re.compile(r"(?:\b\w\.){2}\Z")
_DOUBLED = re.compile(r" ?[?!？！](?: ?[?!？！])+| (?=[?？](?: |\Z))")
_BLANKS = re.compile(r"[^\S\n]+")
_MIN_CAPITAL_WORDS = 3
_MAX_NAME_WORDS = 2
_MIN_WORDS_BEFORE_THANKS = 3


def unwrap(question: str) -> str:
    """Return what is asked, with ``END`` behind it.

    A question of marks or of wrapping alone is returned as it is. The result can be unwrapped without a change.
    """
    asked = _Words(_trimmed(_unquoted(_trimmed(_BLANKS.sub(" ", question)))))
    first, lead_in = _skip_before(asked)
    last = _skip_behind(asked, first)
    if not asked.words or tuple(asked.words[first:last]) in _ONLY_WRAPPING:
        return question.strip()
    text = _direct(asked, first, last) if lead_in else asked.text_of(first, last)
    text = _trimmed(_DOUBLED.sub(_single_mark, " ".join(text.split())))
    if text.isupper() and last - first >= _MIN_CAPITAL_WORDS:
        text = text.lower()
    return text + END


def _single_mark(match: re.Match[str]) -> str:
    marks = match[0].strip()
    return "?" if "?" in marks or "？" in marks else marks[:1]


@dataclass(slots=True)
class _Node:
    """A place in a tree of phrases, with the kinds of the phrases that end there."""

    children: "dict[str, _Node]" = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)


def _tree(*, backward: bool, **kinds: Iterable[Phrase]) -> _Node:
    root = _Node()
    for kind, found in kinds.items():
        for phrase in found:
            node = root
            for word in reversed(phrase) if backward else phrase:
                node = node.children.setdefault(word, _Node())
            node.kinds.add(kind)
    return root


_BEFORE = _tree(
    backward=False,
    opener=phrases.OPENERS,
    please=phrases.PLEASE,
    lead_in=phrases.LEAD_INS,
    subject=phrases.SUBJECT_LEAD_INS,
    request=phrases.REQUESTS,
)
_BEHIND = _tree(backward=True, thanks=phrases.THANKS, please=phrases.PLEASE, closing=phrases.CLOSINGS, tag=phrases.TAGS)
_ONLY_WRAPPING = phrases.OPENERS | phrases.PLEASE | phrases.CLOSINGS


class _Words:
    """The words of a text, case folded, and what stands between them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = [match.span() for match in _WORD.finditer(text)]
        self.words = [text[start:end].casefold().replace("’", "'").replace("´", "'") for start, end in self.spans]

    def text_of(self, first: int, last: int) -> str:
        """Return the text of some words, with the marks around them that do not separate them from others."""
        start = self.spans[first - 1][1] if first else 0
        end = self.spans[last][0] if last < len(self.spans) else len(self.text)
        return _trimmed(self.text[start:end].rstrip("([- \n") if last < len(self.spans) else self.text[start:end])

    def between(self, first: int, last: int) -> str:
        """Return the text between two words, or between the first or last word and the end of the text."""
        start = self.spans[first][1] if first >= 0 else 0
        return self.text[start : self.spans[last][0] if last < len(self.spans) else len(self.text)]

    def phrases(self, at: int, tree: _Node, step: int) -> list[tuple[int, set[str]]]:
        """Return the phrases that begin at a word, the longest first: the place behind each, and its kinds.

        A ``step`` of -1 goes backward. Fillers inside a phrase are skipped.
        """
        found = []
        node = tree
        while 0 <= at < len(self.words):
            child = node.children.get(self.words[at])
            if child is None and (node is tree or self.words[at] not in FILLERS):
                break
            at += step
            if child is not None:
                node = child
                if node.kinds:
                    found.append((at, node.kinds))
        return found[::-1]

    def asks(self, at: int) -> bool:
        """Tell whether something that asks begins at a word."""
        words = self.words[at : at + 2]
        return bool(words) and (
            words[0] in _ASKING or (len(words) > 1 and words[0] in _PREPOSITIONS and words[1] in _QUESTION_WORDS)
        )


def _skip_before(asked: _Words) -> tuple[int, bool]:
    """Return the number of the first word that is not wrapping, and whether a lead-in is before it."""
    at, lead_in = 0, False
    while (found := _step_before(asked, at)) is not None:
        at, kind = found
        lead_in = kind == "lead_in" or (lead_in and kind == "please")
        whether = lead_in and at + 1 < len(asked.words) and asked.words[at] in _WHETHER
        at += whether and not _ANY_QUOTE.search(asked.between(at, at + 1))
    return at, lead_in


def _step_before(asked: _Words, at: int) -> tuple[int, str] | None:
    """Return the place behind the phrase at a place, and its kind, or ``None`` if what is asked begins there."""
    if _ANY_QUOTE.search(asked.between(at - 1, at)):
        return None
    for end, kinds in asked.phrases(at, _BEFORE, 1):
        if end == len(asked.words):
            break
        if _ANY_QUOTE.search(asked.text, asked.spans[at][0], asked.spans[end][0]):
            continue
        if (kind := _kind_before(asked, at, end, kinds)) is not None:
            return end, kind
    end = at
    while end < len(asked.words) and asked.words[end] in FILLERS and not _ANY_QUOTE.search(asked.between(end, end + 1)):
        end += 1
    return (end, "please") if end > at and (asked.asks(end) or asked.phrases(end, _BEFORE, 1)) else None


def _kind_before(asked: _Words, at: int, end: int, kinds: set[str]) -> str | None:
    """Return the kind of the phrase that ends before a word, or ``None`` if the word does not go on so."""
    word, gap = asked.words[end], asked.between(end - 1, end)
    asks, goes_on = asked.asks(end), bool(asked.phrases(end, _BEFORE, 1))
    apart = _separates(gap) or ("," in gap and end - at > 1)
    fits = {
        "lead_in": asks or goes_on or word in _WHETHER,
        "subject": True,
        "request": word in EXPLAIN,
        "please": asks or (goes_on and word not in FILLERS),
        "opener": asks or goes_on or apart,
    }
    return next((kind for kind, does in fits.items() if does and kind in kinds), None)


def _separates(gap: str) -> bool:
    """Tell whether a sentence ends in a gap. A comma behind one word is not enough: "Hello, Dolly! opening night"."""
    return any(mark in ".!?;:…–—。！？；：\n" or unicodedata.category(mark) == "So" for mark in gap) or " -" in gap


def _skip_behind(asked: _Words, first: int) -> int:
    """Return the number of the word behind the last one that is not wrapping."""
    end = len(asked.words)
    while (found := _step_behind(asked, first, end)) is not None:
        end = found
    return end


def _step_behind(asked: _Words, first: int, end: int) -> int | None:
    """Return the place of the phrase that ends at a place, or ``None`` if there is none."""
    if _ANY_QUOTE.search(asked.between(end - 1, end)):
        return None
    for back in range(_MAX_NAME_WORDS + 1):
        for before, kinds in asked.phrases(end - 1 - back, _BEHIND, -1):
            start = before + 1
            if start <= first or _ANY_QUOTE.search(asked.text, asked.spans[before][1], asked.spans[end - 1][1]):
                continue
            gap = asked.between(before, start)
            separate = _separates(gap) or any(mark in ",，(" for mark in gap)
            if back and not (separate and "closing" in kinds):
                continue
            formula = kinds & {"thanks", "please"} and asked.words[before] not in _MENTIONING
            if separate or (formula and start - first >= _MIN_WORDS_BEFORE_THANKS and asked.asks(first)):
                return start
    return None


def _direct(asked: _Words, first: int, last: int) -> str:
    """Return an indirect question as a direct one if that takes moving its only verb: "when it was signed".

    "How many there are" and "what happens if it is fired" may be direct questions; they stay.
    """
    words = asked.words[first:last]
    text = asked.text_of(first, last)
    front = 0 if asked.words[first - 1] in _WHETHER else 1
    verbs = [place for place, word in enumerate(words) if word in _MOVED]
    if not verbs or verbs[0] <= front or (len(verbs) > 1 and verbs[0] > front + 1):
        return text
    named = words[front] in _DETERMINERS or asked.text[asked.spans[first + front][0]].isupper()
    if front and not (words[0] in _MOVED_BEHIND and named):
        return text
    begin = asked.text.index(text, asked.spans[first - 1][1])
    at = asked.spans[first + front][0]
    start, end = asked.spans[first + verbs[0]]
    moved = f"{asked.text[start:end]} {asked.text[at:start].rstrip()}"
    direct = asked.text[begin:at] + moved + asked.text[end : begin + len(text)]
    return text if _Words(direct).phrases(0, _BEFORE, 1) else direct


def _trimmed(text: str) -> str:
    """Return a text without white space, final marks, emoji and smileys at its ends. Initials keep their full stop."""
    start, end = 0, len(text)
    while start < end and (
        _is_edge(text[start]) or (text[start] in ".->" and not text[start + 1 : start + 2].isalnum())
    ):
        start += 1
    while end > start:
        if _is_edge(text[end - 1]) or (text[end - 1] == "." and not _INITIALS.search(text, max(start, end - 4), end)):
            end -= 1
        elif smiley := _SMILEY.search(text, max(start, end - _LONGEST_SMILEY), end):
            end = smiley.start()
        else:
            break
    return text[start:end]


def _is_edge(character: str) -> bool:
    return character in _EDGES or (
        character > "\u2000" and (unicodedata.category(character) in {"So", "Sk", "Cf", "Zs"} or character == "\ufe0f")
    )


def _unquoted(text: str) -> str:
    """Return a text without the quotation marks around it, if they belong together."""
    closing = _QUOTES.get(text[:1], "")
    inner = text[1:-1]
    return inner if len(text) > 1 and text[-1] in closing and not _ANY_QUOTE.search(inner) else text
