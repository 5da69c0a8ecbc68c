"""Asks every question of a file, batch by batch, and writes the results to a run folder."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import ir_measures

from qa_service.embedding.batching import prefetch
from qa_service.errors import QuestionFileError
from qa_service.evaluation.gold import Corpus, Gold, GoldFinder
from qa_service.evaluation.measures import DEFAULT, EvaluatedQuestion, measure
from qa_service.evaluation.outcome import Outcome
from qa_service.evaluation.question import LineProblem, Question
from qa_service.evaluation.question_file import QuestionFile
from qa_service.evaluation.run import QRELS_TREC, RUN_TREC, SUMMARY, Fingerprint, RunFolder, evaluated_settings
from qa_service.evaluation.summary import Summary, qrels_lines, run_lines, summarize
from qa_service.evaluation.targets import Asker, InProcessAsker, same_index
from qa_service.settings import Settings, settings_that_change

BATCH_QUESTIONS = 256
DOCUMENT_RANKING_PASSAGES = 50
"""Number of passages asked for where documents are ranked: the maximum of an answer."""
TIMED_QUESTIONS = 50


@dataclass(frozen=True, slots=True)
class Target:
    """The index or service under evaluation: an asker of questions, and the documents that hold the gold.

    ``alone`` times single questions. ``about`` describes the target in reports, ``cost`` its index.
    """

    asker: Asker
    corpus: Corpus
    alone: InProcessAsker | None = None
    url: str = ""
    settings: Settings | None = None
    about: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)

    def fingerprint(self, questions_sha256: str, options: "EvaluationOptions") -> Fingerprint:
        """Return the identity of an evaluation of this target."""
        return Fingerprint(
            questions_sha256,
            self.corpus.version,
            self.url,
            options.top_k,
            tuple(map(str, options.rankings)),
            {}
            if self.settings is None
            else {name: getattr(self.settings, name) for name in settings_that_change("answers")},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """The depth, the measures and the batch size of an evaluation."""

    top_k: int = 10
    rankings: tuple[ir_measures.Measure, ...] = DEFAULT
    batch: int = BATCH_QUESTIONS
    """Number of questions whose results are written together."""
    overwrite: bool = False


def evaluate(
    questions: QuestionFile,
    target: Target,
    output: Path,
    options: EvaluationOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Ask the questions that the folder has no results for yet; write run, results and summary there.

    Raises :class:`QuestionFileError` if no question could be asked, or the folder belongs to another evaluation.
    """
    run = RunFolder(output)
    fingerprint = target.fingerprint(questions.sha256(), options)
    done = run.begin(fingerprint, target.about, overwrite=options.overwrite)
    problems: list[LineProblem] = []
    try:
        asked = _ask_all(questions, target, run, options, problems, lambda asked: progress(done + asked))
    finally:
        run.close()
    summary = summarize(run.results(), run.times(), target.about, problems, evaluated_settings(run.about()))
    summary.cost = dict(target.cost)
    if asked and target.asker.cpu_seconds is not None:
        summary.cost["cpu_ms"] = round(1000 * target.asker.cpu_seconds / asked, 2)
    run.write(RUN_TREC, run_lines(run.results()))
    run.write(QRELS_TREC, qrels_lines(run.results()))
    run.write(SUMMARY, [json.dumps(summary.to_json(), ensure_ascii=False, indent=1), "\n"])
    run.finish()
    return summary


def _ask_all(
    questions: QuestionFile,
    target: Target,
    run: RunFolder,
    options: EvaluationOptions,
    problems: list[LineProblem],
    progress: Callable[[int], None],
) -> int:
    """Ask the questions without a result, batch by batch; return how many were asked.

    The results are added to the run, unusable lines to ``problems``. Raises :class:`QuestionFileError` if the run has
    no result at the end.
    """
    known = {result["id"] for result in run.results()}
    sample = _Sample(TIMED_QUESTIONS)
    asked = 0
    batches = _batches(GoldFinder(target.corpus).with_gold(_unknown(questions, known, sample), problems), options.batch)
    for batch, outcomes in _asked_ahead(batches, target.asker, options.top_k):
        same_index(outcomes, target.corpus.version)
        together = [
            EvaluatedQuestion(question, gold, outcome)
            for (question, gold), outcome in zip(batch, outcomes, strict=True)
        ]
        run.add(together, measure(together, options.rankings))
        asked += len(batch)
        progress(asked)
    if not known and not asked:
        lines = "; ".join(f"line {problem.line}: {problem.reason}" for problem in problems[:3])
        raise QuestionFileError(f"no question could be asked ({lines})")
    if target.alone is not None:
        chosen = sample.chosen()
        times = target.alone.alone([item.question for item in chosen], options.top_k)
        run.add_times(list(zip([item.id for item in chosen], times, strict=True)))
    return asked


def _asked_ahead(
    batches: Iterator[list[tuple[Question, Gold]]], asker: Asker, top_k: int
) -> Iterator[tuple[list[tuple[Question, Gold]], list[Outcome]]]:
    """Yield each batch with its outcomes; an asker in other processes works on the next batch meanwhile."""

    def ask(batch: list[tuple[Question, Gold]]) -> list[Outcome]:
        return asker.ask(
            [(question.question, DOCUMENT_RANKING_PASSAGES if gold.whole else top_k) for question, gold in batch]
        )

    return prefetch(ask, batches) if asker.elsewhere else ((batch, ask(batch)) for batch in batches)


class _Sample:
    """A sample of questions, spread evenly over a stream of unknown length."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._step = 1
        self._seen = 0
        self._kept: list[Question] = []

    def pass_on(self, item: Question) -> None:
        if self._seen % self._step == 0:
            self._kept.append(item)
            if len(self._kept) == 2 * self._size:
                self._kept = self._kept[::2]
                self._step *= 2
        self._seen += 1

    def chosen(self) -> list[Question]:
        if len(self._kept) <= self._size:
            return self._kept
        return [self._kept[place * len(self._kept) // self._size] for place in range(self._size)]


def _unknown(
    questions: Iterable[Question | LineProblem], known: set[str], sample: _Sample
) -> Iterator[Question | LineProblem]:
    """Yield the questions that have no result yet, and the unusable lines; add every question to the sample."""
    for item in questions:
        if isinstance(item, Question):
            sample.pass_on(item)
            if item.id in known:
                continue
        yield item


def _batches(items: Iterator[tuple[Question, Gold]], size: int) -> Iterator[list[tuple[Question, Gold]]]:
    while batch := list(islice(items, size)):
        yield batch
