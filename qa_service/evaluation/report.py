"""Ask every question, compare with the gold spans, and measure.

A passage is relevant when it shares a character with a reference of the question. References that no
passage covers stay in the qrels under a name that nothing can retrieve, so that they count as missed.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import ir_measures
from ir_measures import RR, R, Success, nDCG

from qa_service.datatypes import Answer
from qa_service.errors import QuestionFileError
from qa_service.evaluation.questions import LineProblem, Question, Reference
from qa_service.index import OpenIndex
from qa_service.pipeline import QuestionAnswerer

MEASURES = (Success @ 1, Success @ 5, RR @ 10, nDCG @ 10, R @ 5, R @ 10)
"""hit@k is ``Success@k`` in the field's notation."""


@dataclass(slots=True)
class Report:
    """What an evaluation found. ``measures`` are means over the ``scored`` questions."""

    questions: int = 0
    scored: int = 0
    measures: dict[str, float] = field(default_factory=dict)
    answerable_answered: int = 0
    answerable_total: int = 0
    unanswerable_refused: int = 0
    unanswerable_total: int = 0
    latency_ms: dict[str, float] = field(default_factory=dict)
    problems: list[LineProblem] = field(default_factory=list)
    index_version: str = ""


def evaluate(
    questions: Iterable[Question | LineProblem],
    answerer: QuestionAnswerer,
    top_k: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Ask all questions for ``top_k`` results each and report.

    Raises :class:`QuestionFileError` if no question could be asked.
    """
    report = Report(index_version=answerer.index.version)
    qrels: list[ir_measures.Qrel] = []
    run: list[ir_measures.ScoredDoc] = []
    milliseconds: list[float] = []
    for item, relevant in with_gold(questions, answerer.index, report.problems):
        started = time.perf_counter()
        answer = answerer.ask(item.question, top_k)
        milliseconds.append((time.perf_counter() - started) * 1000)
        report.questions += 1
        _count_answerability(report, item, answer)
        if item.answerable and relevant:
            report.scored += 1
            qrels.extend(ir_measures.Qrel(item.id, passage, 1) for passage in sorted(relevant))
            run.extend(
                ir_measures.ScoredDoc(item.id, str(result.scored.passage.number), 1 / result.scored.rank)
                for result in answer.results
            )
        progress(report.questions)
    if not report.questions:
        lines = "; ".join(f"line {problem.line}: {problem.reason}" for problem in report.problems[:3])
        raise QuestionFileError(f"not one question could be asked ({lines})")
    if report.scored:
        measured = ir_measures.calc_aggregate(MEASURES, qrels, run)
        report.measures = {str(measure): measured[measure] for measure in MEASURES}
    report.latency_ms = _percentiles(milliseconds)
    return report


def _count_answerability(report: Report, question: Question, answer: Answer) -> None:
    if answer.answerable is None:
        return
    if question.answerable:
        report.answerable_total += 1
        report.answerable_answered += answer.answerable
    else:
        report.unanswerable_total += 1
        report.unanswerable_refused += not answer.answerable


def with_gold(
    questions: Iterable[Question | LineProblem], index: OpenIndex, problems: list[LineProblem]
) -> Iterator[tuple[Question, set[str]]]:
    """Yield each question with its relevant passages; what can't be used is added to ``problems``."""
    for item in questions:
        if isinstance(item, LineProblem):
            problems.append(item)
            continue
        try:
            relevant = relevant_passages(index, item.references)
        except ValueError as error:
            problems.append(LineProblem(item.line, str(error)))
            continue
        yield item, relevant


def relevant_passages(index: OpenIndex, references: Iterable[Reference]) -> set[str]:
    """Return run names of the relevant passages. Raises ``ValueError`` for gold that is not in the documents."""
    relevant: set[str] = set()
    for reference in references:
        document = index.document_by_uri(reference.document)
        if document is None:
            raise ValueError(f"document {reference.document!r} is not in the index")
        for start, end in _places(document.text, reference):
            passages = index.overlapping(document.id, start, end)
            relevant.update(map(str, passages) if passages else [f"uncovered {document.id} {start}-{end}"])
    return relevant


def _places(text: str, reference: Reference) -> list[tuple[int, int]]:
    start, end, content = reference.start_index, reference.end_index, reference.content
    if start is not None and end is not None:
        if end > len(text):
            raise ValueError(f"reference ends at {end}, {reference.document!r} has {len(text)} characters")
        if content is not None and text[start:end] != content:
            raise ValueError(f"reference content is not what stands at {start}-{end} of {reference.document!r}")
        return [(start, end)]
    content = content or ""
    places: list[tuple[int, int]] = []
    position = text.find(content)
    while position >= 0:
        places.append((position, position + len(content)))
        position = text.find(content, position + len(content))
    if not places:
        raise ValueError(f"reference content does not stand in {reference.document!r}")
    return places


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    if len(milliseconds) == 1:
        milliseconds = milliseconds * 2
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "max": round(max(milliseconds), 2)}
