"""Training examples: a question, a window, whether the window answers it, and where the answer stands.

Labels come from the sets' answers alone. A window is left out if nobody can say whether it answers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qa_service.datatypes import Offsets
from training.records import Record, Window, read_records, set_names

# An article of SQuAD 2.0's development part that training does not see, to judge checkpoints.
HELD_OUT_TITLE = "Normans"
NEAR_WINDOWS = OTHER_WINDOWS = 2
"""How many of the first results may be near misses, and other passages: later ones are easy."""

_ANSWERED_BY_OTHERS = ("policyqa-", "amazon_reviews-", "reddit-")
"""Sets whose questions name no subject ("Do you share my data?"), so that texts about another one answer them."""

Kind = Literal["answered", "near", "home", "other", "made", "random"]


@dataclass(frozen=True, slots=True)
class Example:
    """``spans`` are the answers' ranges of characters in the window, empty if the window does not answer.

    Kinds: ``answered``; ``near``, of a question that its own context does not answer; ``home``, of the question's
    context beside the answer; ``other``, of another context; ``made``, a changed question; ``random``, off topic.
    """

    question: str
    window: str
    kind: Kind
    set_name: str
    title: str = ""
    spans: tuple[Offsets, ...] = ()
    weight: float = 1.0
    """Weight of the loss: half for answers that are not marked, as of yes/no questions."""

    @property
    def is_answered(self) -> bool:
        """Whether the window answers the question."""
        return self.kind == "answered"


def load(work: Path) -> tuple[list[Example], list[Record]]:
    """Return the examples of all sets, and the held-out records."""
    examples: list[Example] = []
    held_out: list[Record] = []
    for name in set_names(work):
        for record in read_records(work, name):
            if record.title == HELD_OUT_TITLE:
                held_out.append(record)
            else:
                examples.extend(examples_of(record, name))
    return examples, held_out


def examples_of(record: Record, set_name: str) -> Iterator[Example]:
    """Yield a record's examples: at most one that is answered, by the retrieved windows if they can."""
    answered = False
    for place, window in enumerate(record.windows):
        spans = gold_spans(record, window)
        if not (kind := _kind(record, window, spans)):
            continue
        if kind == "answered":
            if not answered:
                yield _example(record, window, set_name, kind, spans)
            answered = True
        elif kind == "home" or _is_kept(record, kind, place):
            yield _example(record, window, set_name, kind, ())
    if record.answerable and not answered and record.gold and (spans := gold_spans(record, record.gold)):
        yield _example(record, record.gold, set_name, "answered", spans)


def _is_kept(record: Record, kind: Kind, place: int) -> bool:
    if kind == "near":
        return place < NEAR_WINDOWS
    return place < OTHER_WINDOWS and not record.id.startswith(_ANSWERED_BY_OTHERS)


def _example(record: Record, window: Window, set_name: str, kind: Kind, spans: tuple[Offsets, ...]) -> Example:
    weight = 0.5 if kind == "answered" and not spans else 1.0
    return Example(record.question, window.text, kind, set_name, record.title or "", spans, weight)


def gold_spans(record: Record, window: Window) -> tuple[Offsets, ...]:
    """Return the ranges of the answers that lie in a window of the question's context, sorted."""
    if window.at is None:
        return ()
    ranges = _answer_ranges(record, window.at)
    return tuple(sorted({(start, end) for start, end in ranges if start >= 0 and end <= len(window.text)}))


def _kind(record: Record, window: Window, spans: tuple[Offsets, ...]) -> Kind | None:
    """Return the kind of a retrieved window, or ``None`` if nobody knows whether it answers."""
    is_home = window.at is not None
    if not record.answerable:
        return "near"
    if spans:
        return "answered"
    if not record.answers:  # a yes/no question: its whole context is the answer
        return "answered" if is_home else None if window.best else "other"
    folded = window.text.casefold()
    if any(answer.text.casefold() in folded for answer in record.answers):
        return None  # the same words at another place may answer
    if window.at is not None and any(
        start < len(window.text) and end > 0 for start, end in _answer_ranges(record, window.at)
    ):
        return None  # an answer is cut off
    return "home" if is_home else "other"


def _answer_ranges(record: Record, at: int) -> Iterable[Offsets]:
    return ((answer.start - at, answer.start - at + len(answer.text)) for answer in record.answers)
