"""The question without its wrapping: greetings, thanks, politeness, lead-ins, quotation marks, odd ends.

The words of the question itself stay, in their order, with two exceptions: a question in capitals throughout is put in
small letters, and behind a lead-in the verb of an indirect question moves to where the direct one has it.

A phrase is removed only where it can't be what the question is about. "Hello Kitty age", "Who sang Thank You?" and a
question that is only a greeting stay. Time is linear in the length.
"""

import re
import unicodedata

from qa_service.questions.function_words import FUNCTION_WORDS, word_set
from qa_service.questions.wrapping_words import (
    ABOUT,
    CLOSINGS,
    CONTRACTED,
    ELIDED,
    EXPLAIN,
    GREETINGS,
    KEYS,
    KNOWLEDGE,
    MENTIONING,
    PERSONS,
    PLEASE,
    SMALL_TALK,
    THANKS,
    WEAK_KEYS,
    WRAPPING,
)

END = "?"
"""Every question ends so, however it was typed."""
_QUESTION_WORDS = frozenset().union(
    *(
        FUNCTION_WORDS[language].asking
        for language in ("english", "german", "french", "spanish", "italian", "portuguese", "dutch")
    ),
    CONTRACTED,
)
_VERBS = word_set(
    "is are was were am do does did has have had can could will would should may must isn't aren't wasn't doesn't "
    "didn't ist sind war hat gibt wurde est est-ce son fue hay heeft"
)
_PREPOSITIONS = word_set("in on at by for from to with under since")
_WHETHER = frozenset(("if", "whether", "ob", "se"))
_ASKING = _QUESTION_WORDS | _VERBS | EXPLAIN | {"tell", "give", "show"}
_REQUESTING = word_set("can could will would may might")
_ANYONE = word_set("you u anyone anybody someone somebody")
_WONDERING = word_set("wondering wonder wondered curious idea clue interested")
_BEFORE_VERBS = (GREETINGS | PLEASE | _WONDERING) | word_set(
    "me us know there all everyone team guys folks again sorry so ok okay well um uh hmm question asking"
)
_FORMULA_STARTS = PLEASE | (THANKS - word_set("cheers ta tack grateful obliged appreciated"))
_WARM = word_set("many kind warm best pretty")
_IF_YOU = word_set("mind possible")
_MOVED = word_set("is are was were am can could will would should must")
_MOVED_BEHIND = word_set("what when where why how who")
_DETERMINERS = word_set("the a an this that these those its their his her our my it they he she we i you there")
_WORD = re.compile(r"\w+(?:['’´-]\w+)*")
_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "‘": "’", "'": "'", "`": "`", "「": "」", "『": "』", "‹": "›"}
_ANY_QUOTE = re.compile(r"[\"“”„«»「」『』‹›`]|(?<!\w)['‘’]|['‘’](?!\w)")
_EDGES = frozenset(" \t\n\r,;:!?¿¡…·•*~|–—。！？；：，、")
_STRONG = frozenset(".!?;:…–—。！？；：\n")
_COMMAS = frozenset(",，、(")
_NO_MARKS = frozenset((" ", "-", "", "'", "’"))
_SMILEY = re.compile(r"(?:\s|(?<=[?!.]))(?:[:;=8][-']?[)(DPpoO/|*]+|\^[_.]?\^|<3|[xX]D)\Z")
_LONGEST_SMILEY = 8
_INITIALS = re.compile(r"(?:\b\w\.){2}\Z")
_DOUBLED = re.compile(r" ?[?!？！](?: ?[?!？！])+| (?=[?？](?: |\Z))")
_BLANKS = re.compile(r"[^\S\n]+")
_MIN_CAPITAL_WORDS, _MAX_NAME_WORDS = 3, 3
_MIN_WORDS_BEFORE_THANKS, _MIN_FORMULA_WORDS = 3, 3


def unwrap(question: str) -> str:
    """Return what is asked, with ``END`` behind it.

    A question of marks or of wrapping alone is returned as it is. The result can be unwrapped without a change.
    """
    asked = _Words(_trimmed(_unquoted(_trimmed(_BLANKS.sub(" ", question)))))
    if not asked.words or asked.is_wrapping(0, len(asked.words)):
        return question.strip()
    first, lead_in = _skip_before(asked)
    last = _skip_behind(asked, first)
    text = _direct(asked, first, last) if lead_in else asked.text_of(first, last)
    text = _trimmed(_DOUBLED.sub(_single_mark, " ".join(text.split())))
    if text.isupper() and last - first >= _MIN_CAPITAL_WORDS:
        text = text.lower()
    # Lines are joined, so that other words stand side by side.
    return unwrap(text + END) if "\n" in asked.text else text + END


def _single_mark(match: re.Match[str]) -> str:
    marks = match[0].strip()
    return "?" if "?" in marks or "？" in marks else marks[:1]


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

    def is_wrapping(self, first: int, last: int) -> bool:
        """Tell whether some words are wrapping: nothing else, and one of them is a key."""
        own = set(self.words[first:last])
        return own <= WRAPPING and _has_key(own)

    def has_quote(self, first: int, last: int) -> bool:
        """Tell whether a quotation mark stands between two words, or beside them."""
        return _ANY_QUOTE.search(self.between(first - 1, last)) is not None

    def mark(self, at: int) -> str:
        """Return what sets a word off from the one before it: a mark that ends a sentence, a comma, or nothing."""
        gap = self.between(at - 1, at)
        if gap in _NO_MARKS:
            return ""
        strong = next((mark for mark in gap if mark in _STRONG or unicodedata.category(mark) == "So"), "")
        return strong or ("-" if " -" in gap else "," if _COMMAS.intersection(gap) else "")

    def asks(self, at: int) -> bool:
        """Tell whether something that asks begins at a word."""
        words = self.words[at : at + 2]
        return bool(words) and (
            words[0] in _ASKING or (len(words) > 1 and words[0] in _PREPOSITIONS and words[1] in _QUESTION_WORDS)
        )


def _skip_before(asked: _Words) -> tuple[int, bool]:
    """Return the number of the first word that is not wrapping, and whether it goes on with a lead-in."""
    at, knows = 0, False
    while True:
        end = _clause_before(asked, at)
        if end is None and (end := _lead_in(asked, at)) is None:
            return at, knows
        own = asked.words[at:end]
        knows = asked.words[end - 1] not in ABOUT and not (WEAK_KEYS | _WONDERING).isdisjoint(own)
        skipped = asked.words[end] == "but" or (knows and asked.words[end] in _WHETHER)
        at = end + (skipped and end + 1 < len(asked.words) and not asked.has_quote(end + 1, end + 1))


def _clause_before(asked: _Words, at: int) -> int | None:
    """Return the place behind the clause at a place, if it is wrapping and set off from more words.

    A comma behind one word is not enough: "Hello, Dolly! opening night".
    """
    end = at
    while end < len(asked.words) and asked.words[end] in WRAPPING and (end == at or not asked.mark(end)):
        end += 1
    talk = next((at + len(one) for one in SMALL_TALK if tuple(asked.words[at : at + len(one)]) == one), 0)
    if talk and talk < len(asked.words) and asked.mark(talk) and not asked.has_quote(at, talk):
        return talk
    mark = asked.mark(end) if at < end < len(asked.words) else ""
    if not mark or not asked.is_wrapping(at, end) or asked.has_quote(at, end):
        return None
    alone = mark == "," and end - at == 1
    return None if alone and not (asked.asks(end) or asked.words[end] in WRAPPING) else end


def _lead_in(asked: _Words, at: int) -> int | None:
    """Return the place of what asks behind a lead-in that is not set off, the last one before other words."""
    begins = asked.words[at : at + 2]
    if begins[0] in _VERBS - _REQUESTING and begins[-1] not in _ANYONE:
        return None
    requests = begins[0] in _REQUESTING and begins[-1] in _ANYONE
    own = {"i"} if tuple(begins) in ELIDED else set()
    found = None
    for end in range(at + 1, len(asked.words)):
        gap = asked.mark(end - 1) if end - 1 > at else ""
        if asked.words[end - 1] not in WRAPPING or gap or asked.has_quote(end - 1, end):
            break
        own.add(asked.words[end - 1])
        if (requests and asked.words[end] in EXPLAIN) or (_has_key(own) and _goes_on(asked, own, end)):
            with_preposition = found == end - 1 and asked.words[found] in _PREPOSITIONS
            found = found if with_preposition else end
    return found


def _has_key(own: set[str]) -> bool:
    return not KEYS.isdisjoint(own) or not (WEAK_KEYS.isdisjoint(own) or PERSONS.isdisjoint(own))


def _goes_on(asked: _Words, own: set[str], end: int) -> bool:
    """Tell whether ``own`` words, before a place, are the beginning of a sentence that goes on there."""
    word, before = asked.words[end], asked.words[end - 1]
    if not THANKS.isdisjoint(own) and not asked.mark(end):
        return False
    if before in ABOUT:
        return not KNOWLEDGE.isdisjoint(own)
    if word in EXPLAIN:
        return True
    if word in _WHETHER:
        return end + 1 < len(asked.words) and not (WEAK_KEYS | _WONDERING).isdisjoint(own)
    if word in _VERBS:
        return _WHETHER.isdisjoint(own) and (before in _BEFORE_VERBS or bool(asked.mark(end)))
    return asked.asks(end) and before not in _VERBS | {"to"}


def _skip_behind(asked: _Words, first: int) -> int:
    """Return the number of the word behind the last one that is not wrapping."""
    end = len(asked.words)
    while (start := _step_behind(asked, first, end)) is not None:
        end = start
    return end


def _step_behind(asked: _Words, first: int, end: int) -> int | None:
    """Return the place of the wrapping that ends at a place: a clause of it, or a formula. A name may follow thanks."""
    for names in range(_MAX_NAME_WORDS + 1):
        last = end - names
        if names and (last <= first or not asked.text[asked.spans[last][0]].isupper()):
            break
        start = last
        while start > first and asked.words[start - 1] in WRAPPING and (start == last or not asked.mark(start)):
            start -= 1
        while start < last and not asked.mark(start) and not _begins_formula(asked, first, start, last):
            start += 1
        closes = not names or not (CLOSINGS | THANKS).isdisjoint(asked.words[start:last])
        if first < start < last and closes and asked.is_wrapping(start, last):
            return None if asked.has_quote(start, end) else start
    return None


def _begins_formula(asked: _Words, first: int, start: int, last: int) -> bool:
    """Tell whether thanks or politeness that is not set off begins at a place: "who signed it please"."""
    word, behind = asked.words[start], asked.words[start + 1 : start + 2]
    begins = (
        word in _FORMULA_STARTS
        or (word in _WARM and not (THANKS | CLOSINGS | PLEASE).isdisjoint(behind))
        or (word == "if" and not _IF_YOU.isdisjoint(asked.words[start:last]))
    )
    before = asked.words[start - 1]
    alone = before not in MENTIONING or (before in _PREPOSITIONS and last - start >= _MIN_FORMULA_WORDS)
    return begins and alone and start - first >= _MIN_WORDS_BEFORE_THANKS and asked.asks(first)


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
    return direct if _skip_before(_Words(direct)) == (0, False) else text


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
