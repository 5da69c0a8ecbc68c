"""Questions to start with, and related questions: only those that the index has been proved to answer.

A question is proved by asking it: the verdict must be ``answered``. If it has gold, the best quote must be right, too.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from qa_service.datatypes import Answer, AskOptions, FloatArray
from qa_service.errors import QuestionFileError
from qa_service.evaluation.gold import Gold, GoldFinder, IndexCorpus, Span, Text, document_name
from qa_service.evaluation.measures import is_right, normalized
from qa_service.evaluation.outcome import Outcome, ShownQuote
from qa_service.evaluation.question import LineProblem, Question
from qa_service.evaluation.question_file import QuestionFile
from qa_service.index import Index
from qa_service.pipeline import QuestionAnswerer

MAX_STARTERS = 200
MAX_CHARACTERS = 200
_MAX_LINES = 1000
_MAX_FILE_BYTES = 10_000_000
_MAX_RELATED = 3
_MAX_TRIES = 9
"""Questions that are asked for three related ones, if none has been proved before."""
_LEAST_SHARE, _LARGEST_SHARE = 0.33, 0.88
_USUAL_COUNT = 10
"""Related questions have a cosine with the asked one so far from the mean cosine of all of them towards 1.

The mean makes models comparable; that of few questions counts less, since they may all be of one topic. With the
built-in model, the bounds are cosines of about .45 and .9: questions of other topics are below, other wordings of the
same question above.
"""


@dataclass(frozen=True, slots=True)
class ProvedQuestion:
    """A question that the index answers, its vector, and the place of the quote that answers it."""

    text: str
    vector: FloatArray
    quote: Span


class ProvedQuestions:
    """The proved questions of a generation; unless ``complete``, others have not been asked yet."""

    def __init__(
        self, generation: str = "", questions: Sequence[ProvedQuestion] = (), *, complete: bool = False
    ) -> None:
        self.generation = generation
        self.questions = tuple(questions)
        self.complete = complete
        self._vectors = np.stack([question.vector for question in questions]) if questions else None

    def related(self, answer: Answer) -> tuple[str, ...]:
        """Return up to three questions near that of an answer of the same generation, answered by other quotes."""
        if self._vectors is None or answer.vector is None or answer.index_version != self.generation:
            return ()
        return _answered_elsewhere(answer, (self.questions[place] for place in _near(self._vectors, answer.vector)))


def related_by_asking(answerer: QuestionAnswerer, questions: Sequence[Question], answer: Answer) -> tuple[str, ...]:
    """Return what :meth:`ProvedQuestions.related` does, by proving only the nearest questions."""
    if not questions or answer.vector is None:
        return ()
    queries = answerer.prepare([(question.question, AskOptions()) for question in questions])
    vectors = np.stack([query.wordings[0].embedding.vector for query in queries])
    near = islice(_near(vectors, answer.vector), _MAX_TRIES)
    return _answered_elsewhere(answer, (prove(answerer, questions[place]) for place in near))


def prove(answerer: QuestionAnswerer, question: Question) -> ProvedQuestion | None:
    """Ask a question; return it if it is answered, by the right quote if it has gold."""
    answer = answerer.ask(question.question)
    if answer.verdict != "answered" or answer.vector is None:
        return None
    quote = Outcome.of_answer(answer).quotes[0]
    if (question.references or question.answers) and not _is_gold(question, quote, answerer.index):
        return None
    return ProvedQuestion(question.question, answer.vector, quote.span)


def read_starters(path: Path) -> tuple[list[Question], list[str]]:
    """Return the answerable questions of a question file, and what is wrong with it.

    At most 200 questions of at most 200 characters are returned, from the first 1,000 lines.
    """
    questions: dict[str, Question] = {}
    problems: list[str] = []

    def take(item: Question | LineProblem) -> str | None:
        """Keep a question, or return what is wrong with it."""
        if isinstance(item, LineProblem):
            return item.reason
        if len(item.question) > MAX_CHARACTERS:
            return f"the question has {len(item.question)} characters; a starter has at most {MAX_CHARACTERS}"
        if item.answerable:
            questions.setdefault(normalized(item.question), item)
        return None

    try:
        for item in _lines(path):
            if len(questions) == MAX_STARTERS:
                problems.append(f"{path.name} has {MAX_STARTERS} starters before line {item.line}; the rest is ignored")
                break
            if reason := take(item):
                problems.append(f"{path.name}, line {item.line}: {reason}")
    except QuestionFileError as error:
        problems.append(str(error))
    if not questions:
        problems.insert(
            0,
            f"{path.name} has no starters; a question needs `references`, `answers` or `answerable`, see "
            "docs/question-file.md",
        )
    return list(questions.values()), problems


def _lines(path: Path) -> Iterator[Question | LineProblem]:
    with suppress(OSError):  # which QuestionFile reports
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise QuestionFileError(f"{path.name} has more than {_MAX_FILE_BYTES // 1_000_000} MB; shorten it")
    for number, item in enumerate(QuestionFile(path)):
        if number == _MAX_LINES:
            raise QuestionFileError(f"{path.name}: only the first {_MAX_LINES} lines are read; shorten it")
        yield item


class _QuotedDocument(IndexCorpus):
    """The corpus of the document that a quote comes from: gold that names no document is looked for there alone."""

    def __init__(self, index: Index, uri: str) -> None:
        super().__init__(index)
        self._uri = uri

    def texts(self) -> Iterator[Text]:
        """Yield the document."""
        document = self.text(self._uri)
        if document is not None:
            yield document


def _is_gold(question: Question, quote: ShownQuote, index: Index) -> bool:
    """Tell whether a quote is gold by any of the question's references, or by its answers if it has none."""
    if not question.references:
        return is_right(question, Gold(), quote)
    finder = GoldFinder(_QuotedDocument(index, quote.uri))
    unanswered = question.model_copy(update={"answers": ()})
    for reference in question.references:
        with suppress(ValueError):  # the documents do not contain the reference
            gold = finder.gold_of([reference])
            if is_right(unanswered, gold, quote) or (gold.whole and document_name(quote.uri) in gold.relevant):
                return True
    return False


def _near(vectors: FloatArray, vector: FloatArray) -> Iterator[int]:
    """Yield the numbers of the unit vectors (n, d) that are near a vector (d,) but not the same, nearest first."""
    count, total = len(vectors), vectors.sum(axis=0)
    mean = (float(total @ total) - count) / (max(1, count - 1) * (count + _USUAL_COUNT))
    shares = (vectors @ vector - mean) / max(1 - mean, 1e-6)
    for place in np.argsort(-shares, kind="stable").tolist():
        if _LEAST_SHARE <= shares[place] <= _LARGEST_SHARE:
            yield place


def _answered_elsewhere(answer: Answer, questions: Iterable[ProvedQuestion | None]) -> tuple[str, ...]:
    """Return the first three questions whose quotes overlap neither each other nor those of the answer.

    There are none if the answer is off topic.
    """
    if answer.is_off_topic:
        return ()
    quotes = [quote.span for quote in Outcome.of_answer(answer).quotes]
    found: list[str] = []
    for question in questions:
        if question is None or any(_overlap(question.quote, quote) for quote in quotes):
            continue
        found.append(question.text)
        quotes.append(question.quote)
        if len(found) == _MAX_RELATED:
            break
    return tuple(found)


def _overlap(one: Span, other: Span) -> bool:
    return one.uri == other.uri and one.start < other.end and other.start < one.end
