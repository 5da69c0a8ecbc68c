"""Conversations to measure with: those of a file, and those made from a question file by rules.

A made conversation asks questions of one document that name the same thing. From the second question on, a pronoun
stands for the name. The pronoun is the one that the document itself uses most in the sentences around the name.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.question import Reference


@dataclass(frozen=True)
class AskedTurn:
    """A question as it is asked, and its stand-alone form: the same if it leans on nothing."""

    question: str
    stand_alone: str
    references: tuple[Reference, ...]

    @property
    def leans(self) -> bool:
        """Whether the question leans on the ones before it."""
        return self.question != self.stand_alone


Conversation = Sequence[AskedTurn]

_NO_NAMES = (
    "What|Which|Who|Whom|Whose|When|Where|Why|How|In|On|At|For|By|From|To|Is|Are|Was|Were|Did|Does|Do|The|A|An|He|She|"
    "It|They|This|These"
)
_NAME = re.compile(rf"\b(?!(?:{_NO_NAMES})\b)[A-Z][\w.&-]*\w(?: (?:of the |of |the )?[A-Z][\w.&-]*\w)*")
_AUXILIARY = re.compile(
    r"(?:\b|')(did|does|do|is|are|was|were|has|have|had|can|could|will|would|should|s)\s+\Z", re.IGNORECASE
)
_SINGULAR = frozenset(("does", "is", "was", "has", "s"))
_BE = frozenset(("is", "are", "was", "were", "has", "have", "had", "s"))
_PREPOSITION = "in|on|at|for|to|from|with|by|as|of|during|after|before|when|since|about|into|under|against|until|take"
_AFTER_OBJECT = re.compile(rf"\s*(?:\Z|\?|(?:{_PREPOSITION})\b)", re.IGNORECASE)
_AFTER_BE = re.compile(
    rf"\s*(?:\Z|\?|\w+(?:ed|ing|en|wn)\b|(?:{_PREPOSITION}|made|known|built|born|most|a|the)\b)", re.IGNORECASE
)
_BEFORE_OBJECT = re.compile(
    r"(?:\b(?<![A-Z])(?:of|to|by|for|with|under|against|on|from|about|after)|\A(?:Who|What|who|what)\s+[a-z]+)\s+\Z"
)
_PART_BEFORE = re.compile(r"(?:['’]s?|\b[A-Z]\w+(?: \w+)?)\s+\Z")
_PART_BEHIND = re.compile(r"\s*[A-Z\d(,\"'–-]|\s+and\b")
_PLACE = re.compile(r"\s(?:in|at)\s+\Z")
_END = re.compile(r"\s*\?*\s*\Z")
_PRONOUNS = {
    "he": ("he", "him", "his"),
    "she": ("she", "her", "her"),
    "it": ("it", "it", "its"),
    "they": ("they", "them", "their"),
}
_FORMS = {form: pronoun for pronoun, forms in _PRONOUNS.items() for form in forms}
_REACH = 250
"""Pronouns are counted within so many characters behind a name."""
_MIN_NAME_CHARACTERS = 5
_MAX_TURNS = 4
_MAX_GAP = 1500
"""The answers of one conversation stand within so many characters."""
_MIN_SHARE = 0.7


def read_conversations(file: Path) -> list[Conversation]:
    """Return the conversations of a file with a JSON object a line: tests/data/conversations/."""
    return [
        [
            AskedTurn(turn["question"], turn["stand_alone"], tuple(Reference(**one) for one in turn["references"]))
            for turn in json.loads(line)["turns"]
        ]
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def make_conversations(folder: Path) -> list[Conversation]:
    """Return the conversations that can be made from the documents and questions of a folder."""
    items = QuestionFile(folder / "questions.jsonl")
    questions = [one for one in items if isinstance(one, Question) and one.references]
    texts = {str(one.references[0].document): "" for one in questions}
    for name in texts:
        texts[name] = (folder / "documents" / name).read_text(encoding="utf-8")
    return list(_conversations(questions, texts))


def _conversations(questions: Sequence[Question], texts: dict[str, str]) -> Iterator[Conversation]:
    """Yield conversations about a name that questions of one document have, or that an answer introduces."""
    names = {document: set(_NAME.findall(text)) for document, text in texts.items()}
    by_document: dict[str, list[Question]] = defaultdict(list)
    by_answer: dict[str, list[Question]] = defaultdict(list)
    for one in questions:
        by_document[_document(one)].append(one)
        for answer in one.answers:
            by_answer[answer.lower()].append(one)
    used: set[str] = set()
    for document, group in by_document.items():
        for name in sorted(names[document], key=lambda name: (-len(name), name)):
            if len(name) < _MIN_NAME_CHARACTERS:
                break
            about = [one for one in group if one.id not in used and _mentions(one.question, name)]
            asked = [(one, form) for one in about if (form := _with_pronoun(one.question, name, texts[document]))]
            openers = [one for one in (*about, *group, *by_answer[name.lower()]) if one.id not in used]
            turns = _turns(name, openers, asked)
            if len(turns) > 1:
                used.update(one.id for one, _ in turns)
                yield [AskedTurn(form, one.question, one.references) for one, form in turns]


def _turns(name: str, openers: Sequence[Question], asked: Sequence[tuple[Question, str]]) -> list[tuple[Question, str]]:
    """Return the first question, which names the thing or is answered by it, and those with a pronoun."""
    for first in openers:
        if not _mentions(first.question, name) and not any(_mentions(answer, name) for answer in first.answers):
            continue
        following = [
            (one, form)
            for one, form in asked
            if one.question != first.question and (_document(one) != _document(first) or _is_near(one, first))
        ]
        if following:
            return [(first, first.question), *following[: _MAX_TURNS - 1]]
    return []


def _is_near(one: Question, other: Question) -> bool:
    places = [question.references[0].start_index or 0 for question in (one, other)]
    return abs(places[0] - places[1]) <= _MAX_GAP


def _document(question: Question) -> str:
    return str(question.references[0].document)


def _mentions(text: str, name: str) -> bool:
    """Tell whether a text has a name, in the capitals that a text without any leaves out."""
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, 0 if text != text.lower() else re.IGNORECASE)
    return found is not None


def _with_pronoun(question: str, name: str, text: str) -> str | None:
    """Return a question with a pronoun for its only mention of a name, or ``None`` if that may read badly."""
    flags = 0 if question != question.lower() else re.IGNORECASE
    places = list(re.finditer(rf"(?:\bthe )?(?<!\w){re.escape(name)}(?!\w)(['’]s?)?", question, flags))
    if len(places) != 1:
        return None
    place = places[0]
    before, after = question[: place.start()], question[place.end() :]
    kind = _pronoun_of(name, text, has_article=place[0].lower().startswith("the "))
    others = {_FORMS[word] for word in re.findall(r"\w+", (before + after).lower()) if word in _FORMS}
    if kind is None or others - {kind} or _PART_BEHIND.match(after) or _PART_BEFORE.search(before):
        return None
    following = re.match(r"\s+(\w+)", after)
    if following and not place[1] and f"{name} {following[1]}".lower() in text.lower():
        return None
    return _in_place(before, after, kind, is_possessive=bool(place[1]))


def _in_place(before: str, after: str, kind: str, *, is_possessive: bool) -> str | None:
    """Return the words before and behind a name with the form of a pronoun between them."""
    subject, object_, possessive = _PRONOUNS[kind]
    auxiliary = _AUXILIARY.search(before)
    is_object = _BEFORE_OBJECT.search(before) is not None
    if is_possessive:
        return f"{before}{possessive}{after}" if auxiliary or is_object else None
    if auxiliary:
        verb = auxiliary[1].lower()
        fits = _AFTER_BE.match(after) if verb in _BE else re.match(r"\s+\w*[^\Ws]\b", after)
        return f"{before}{subject}{after}" if fits and not (kind == "they" and verb in _SINGULAR) else None
    if kind == "it" and _PLACE.search(before) and _END.match(after):
        return f"{_PLACE.sub(' there', before)}{after}"
    ends = _END if before == before.lower() else _AFTER_OBJECT
    return f"{before}{object_}{after}" if is_object and ends.match(after) else None


def _pronoun_of(name: str, text: str, *, has_article: bool) -> str | None:
    """Return the most frequent pronoun behind a name in a text; ``None`` without a clear majority."""
    allowed = {"it"} if has_article else {"he", "she", "it"}
    if name.endswith("s"):
        allowed = {"they", "it"} if has_article else allowed | {"they"}
    counts: Counter[str] = Counter()
    for found in re.finditer(re.escape(name), text):
        words = re.findall(r"\w+", text[found.end() : found.end() + _REACH].lower())
        counts.update(_FORMS[word] for word in words if _FORMS.get(word) in allowed)
    if not counts:
        return "it" if has_article else None
    if " of " in name and "it" in counts:
        return "it"
    best, count = counts.most_common(1)[0]
    return best if count / counts.total() >= _MIN_SHARE else None
