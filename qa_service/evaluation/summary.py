"""Summarises the results of a run: means with intervals, answerability, latency, conspicuous questions."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args
from urllib.parse import quote

import numpy as np

from qa_service.datatypes import AnswerVerdict
from qa_service.evaluation.measures import SERVED, in_order
from qa_service.evaluation.question import LineProblem
from qa_service.evaluation.statistics import (
    Bin,
    Estimate,
    auroc,
    calibrated_error,
    estimate,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from qa_service.evaluation.thresholds import JudgedConfidence, ThresholdTable, judged_confidence, threshold_table

_COVERAGES = tuple(share / 20 for share in range(1, 21))
_MAX_TAGS = 200
_MAX_COPIED = 20
_NONE = "none"
TAG_COUNTS = ("n", "refused", "unanswerable", "unanswerable_refused")
TagCounts = dict[str, int]


@dataclass(slots=True)
class VerdictCounts:
    """Numbers of questions with one verdict.

    ``judged`` are the answerable ones whose quotes were compared with gold, ``right`` those with a right quote.
    """

    answerable: int = 0
    judged: int = 0
    right: int = 0
    unanswerable: int = 0


@dataclass(slots=True)
class Answerability:
    """The quality of verdicts and of confidence, over the questions that got a verdict.

    ``answered`` counts answerable questions that were answered, ``refused`` unanswerable ones for which nothing was
    found; uncertain answers are neither. A question is right if one of the first five results contains an answer;
    confidence is the probability of that.
    """

    verdicts: dict[AnswerVerdict, VerdictCounts] = field(
        default_factory=lambda: {verdict: VerdictCounts() for verdict in get_args(AnswerVerdict)}
    )
    answer_precision: float | None = None
    """The share of answered questions whose quote is right, of those that can be judged."""
    answerable: int = 0
    answered: int = 0
    unanswerable: int = 0
    refused: int = 0
    refusal_precision: float | None = None
    """The share of questions for which nothing was found that are unanswerable."""
    refusal_recall: float | None = None
    auroc: float | None = None
    """AUROC of confidence, answerable against unanswerable questions."""
    ece: float | None = None
    ece_by_chance: float | None = None
    """The error that a calibrated model would exceed in 5 % of samples of this size."""
    confidence_gap: float | None = None
    """Mean confidence minus the share of questions with a relevant passage among the first five results."""
    found: int = 0
    """Number of questions with a relevant passage among the first five results; ``calibrate`` counts them as right."""
    not_found: int = 0
    reliability: list[Bin] = field(default_factory=list)
    risk_coverage: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Summary:
    """The content of ``summary.json``. Each measure is averaged over the questions that it is defined for."""

    about: dict[str, Any]
    questions: int = 0
    scored: int = 0
    pinned: int = 0
    """Number of questions with a pinned answer."""
    measures: dict[str, Estimate] = field(default_factory=dict)
    answerability: Answerability = field(default_factory=Answerability)
    thresholds: ThresholdTable = field(default_factory=ThresholdTable)
    settings: dict[str, Any] = field(default_factory=dict)
    """The settings, index and versions that were evaluated."""
    tags: dict[str, dict[str, float]] = field(default_factory=dict)
    """Per tag, the numbers of questions, of those for which nothing was found (``refused``), and of unanswerable ones,
    and the means of the measures."""
    ranks: dict[str, int] = field(default_factory=dict)
    """Number of questions by the rank of their first relevant result; ``none`` if it was not returned."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    """CPU milliseconds a question as ``cpu_ms``, bytes and passages of the index; absent for a service over HTTP."""
    copied: list[str] = field(default_factory=list)
    """Ids of questions that equal the text of a result, which makes them too easy."""
    problems: list[LineProblem] = field(default_factory=list)

    def means(self) -> dict[str, float]:
        """Return the mean of each measure."""
        return {name: found.mean for name, found in self.measures.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        return asdict(self)


def summarize(
    results: Iterable[dict[str, Any]],
    milliseconds: Sequence[float],
    about: dict[str, Any],
    problems: list[LineProblem],
    settings: dict[str, Any] | None = None,
) -> Summary:
    """Return the summary of a run's results; only figures are kept in memory."""
    summary = Summary(about, problems=problems, settings=settings or {})
    values: defaultdict[str, list[float]] = defaultdict(list)
    of_tags: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    counts: defaultdict[str, TagCounts] = defaultdict(lambda: dict.fromkeys(TAG_COUNTS, 0))
    judged: list[tuple[float, bool, bool]] = []
    confidences: list[JudgedConfidence] = []
    for result in results:
        summary.questions += 1
        got = result["got"]
        summary.pinned += bool(got.get("pinned"))
        _count_rank(summary, result)
        for tag in result["tags"]:
            _count_tag(counts[tag], result)
        for name, value in result["measures"].items():
            values[name].append(value)
            for tag in result["tags"]:
                of_tags[tag][name].append(value)
        _count(summary.answerability, result)
        known = not result["answerable"] or result["relevant"]
        if got["confidence"] is not None and known:
            judged.append((got["confidence"], got["right_in_five"], result["answerable"]))
        if (one := judged_confidence(result)) is not None:
            confidences.append(one)
        if len(summary.copied) < _MAX_COPIED and _copied(result):
            summary.copied.append(result["id"])
    summary.measures = {name: estimate(values[name]) for name in in_order(values)}
    summary.tags = {
        tag: {**counts[tag]} | {name: statistics.fmean(found) for name, found in of_tags[tag].items()}
        for tag in sorted(counts, key=lambda tag: (-counts[tag]["n"], tag))[:_MAX_TAGS]
    }
    summary.ranks = _in_rank_order(summary.ranks)
    _judge(summary.answerability, judged)
    _judge_quotes(summary, confidences)
    summary.latency_ms = percentiles(milliseconds)
    return summary


def _count_rank(summary: Summary, result: dict[str, Any]) -> None:
    if result["relevant"] and result["answerable"]:
        summary.scored += 1
        key = str(first_right(result) or _NONE)
        summary.ranks[key] = summary.ranks.get(key, 0) + 1


def _in_rank_order(ranks: dict[str, int]) -> dict[str, int]:
    """Return the counts of every rank up to the last one, and of no rank."""
    last = max((int(key) for key in ranks if key != _NONE), default=0)
    named = [*map(str, range(1, last + 1)), *([_NONE] if _NONE in ranks else [])]
    return {key: ranks.get(key, 0) for key in named}


def first_right(result: dict[str, Any]) -> int | None:
    """Return the rank of the first relevant result, or ``None``."""
    names = result["got"]["ranked"]
    return next((rank for rank, name in enumerate(names, start=1) if name in result["relevant"]), None)


def _count(answerability: Answerability, result: dict[str, Any]) -> None:
    verdict = result["got"]["verdict"]
    if verdict is None:
        return
    counts = answerability.verdicts[verdict]
    if not result["answerable"]:
        counts.unanswerable += 1
        return
    counts.answerable += 1
    if result["got"]["quotes"] and SERVED in result["measures"]:
        counts.judged += 1
        counts.right += bool(result["measures"][SERVED])


def _count_tag(counts: TagCounts, result: dict[str, Any]) -> None:
    refused = result["got"]["verdict"] == "not_found"
    counts["n"] += 1
    counts["refused"] += refused
    counts["unanswerable"] += not result["answerable"]
    counts["unanswerable_refused"] += refused and not result["answerable"]


def _judge(answerability: Answerability, judged: Sequence[tuple[float, bool, bool]]) -> None:
    """Compute the figures from the counts and from the confidences of all questions."""
    answered, not_found = answerability.verdicts["answered"], answerability.verdicts["not_found"]
    answerability.answerable = sum(counts.answerable for counts in answerability.verdicts.values())
    answerability.unanswerable = sum(counts.unanswerable for counts in answerability.verdicts.values())
    answerability.answered, answerability.refused = answered.answerable, not_found.unanswerable
    if answered.judged:
        answerability.answer_precision = answered.right / (answered.judged + answered.unanswerable)
    if answerability.unanswerable:
        answerability.refusal_recall = not_found.unanswerable / answerability.unanswerable
        if refused := not_found.answerable + not_found.unanswerable:
            answerability.refusal_precision = not_found.unanswerable / refused
    if not judged:
        return
    confidences = np.array([confidence for confidence, _, _ in judged])
    right = np.array([is_right for _, is_right, _ in judged])
    answerable = np.array([has_answer for _, _, has_answer in judged])
    if 0 < answerable.sum() < len(answerable):
        answerability.auroc = auroc(confidences, answerable)
    answerability.ece = expected_calibration_error(confidences, right)
    answerability.reliability = reliability(confidences, right)
    answerability.ece_by_chance = calibrated_error(answerability.reliability)
    answerability.confidence_gap = float(confidences.mean() - right.mean())
    answerability.found, answerability.not_found = int(right.sum()), int((~right).sum())


def _judge_quotes(summary: Summary, judged: Sequence[JudgedConfidence]) -> None:
    summary.thresholds = threshold_table(judged, summary.settings)
    if summary.thresholds.rows:
        confidences = np.array([one.confidence for one in judged])
        risks = risk_coverage(confidences, np.array([one.is_right for one in judged]), _COVERAGES)
        summary.answerability.risk_coverage = {f"{share:.2f}": risk for share, risk in risks.items()}


def _copied(result: dict[str, Any]) -> bool:
    question = " ".join(result["question"].casefold().split())
    return any(question == " ".join(found["text"].casefold().split()) for found in result["got"]["results"])


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return the number of timed questions, and p50, p95, p99 and the maximum in milliseconds."""
    if not milliseconds:
        return {}
    cuts = np.percentile(milliseconds, [50, 95, 99, 100])
    named = zip(("p50", "p95", "p99", "max"), cuts.tolist(), strict=True)
    return {"n": len(milliseconds)} | {name: round(value, 2) for name, value in named}


def run_lines(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a TREC run. Ids are percent-encoded, so that they have no white space."""
    for result in _scored(results):
        identifier = quote(result["id"], safe="")
        for rank, name in enumerate(result["got"]["ranked"], start=1):
            yield f"{identifier} Q0 {name} {rank} {1 / rank:.6f} qa_service\n"


def qrels_lines(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the qrels for the run."""
    for result in _scored(results):
        identifier = quote(result["id"], safe="")
        for name, grade in sorted(result["relevant"].items()):
            yield f"{identifier} 0 {name} {grade}\n"


def _scored(results: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (result for result in results if result["relevant"] and result["answerable"])
