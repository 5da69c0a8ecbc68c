"""Measures of one question: its ranking, its spans, its answer.

Rankings are measured by trec_eval's code through ir-measures, in the notation of ir-measures: ``Success@k`` is also
known as hit@k. Span measures count characters, as Chroma's chunking evaluation does (Smith and Troynikov, 2024).
Answers are compared as SQuAD's script does (Rajpurkar et al., 2016; 2018 for questions without an answer); the answer
is the best quote that is shown, as sure or as uncertain. Measures of service say what a person gets: a right quote, a
wrong answer, or nothing although the answer was found.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ir_measures
from ir_measures import AP, RR, P, R, Success, nDCG

from qa_service.errors import SettingsError
from qa_service.evaluation.gold import Gold, Span, document_name
from qa_service.evaluation.outcome import Outcome, ShownQuote
from qa_service.evaluation.question import Question

DEFAULT = (nDCG @ 10, RR @ 10, R @ 5, R @ 10, Success @ 1, Success @ 5, P @ 5, AP)
SPAN_RECALL, SPAN_PRECISION, SPAN_IOU = "span-R@5", "span-P@5", "span-IoU@5"
EXACT_MATCH, F1, CONTAINS = "EM", "F1", "contains"
SERVED, WRONGLY_REFUSED, WRONGLY_ANSWERED = "served", "wrongly-refused", "wrongly-answered"
SERVICE = (SERVED, WRONGLY_REFUSED, WRONGLY_ANSWERED)
LOWER_IS_BETTER = frozenset({WRONGLY_REFUSED, WRONGLY_ANSWERED})
_SPAN_DEPTH = 5
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class EvaluatedQuestion:
    """A question, its gold, and the outcome of asking it."""

    question: Question
    gold: Gold
    outcome: Outcome


def parse(names: Sequence[str]) -> tuple[ir_measures.Measure, ...]:
    """Parse names of measures in the notation of ir-measures. Raises :class:`SettingsError` for unknown ones."""
    found = []
    for name in names:
        try:
            measure = ir_measures.parse_measure(name)
            supported = any(provider.supports(measure) for provider in ir_measures.DefaultPipeline.providers)
        except (ValueError, NameError, TypeError, SyntaxError, AssertionError) as error:
            raise SettingsError(f"unknown measure {name!r}: {error}; write it as nDCG@10") from error
        if not supported:
            raise SettingsError(f"the measure {name!r} is not supported; write it as nDCG@10")
        found.append(measure)
    return tuple(found)


def ranked(gold: Gold, outcome: Outcome) -> list[str]:
    """Return the names of the ranked passages, best first, or of the documents by their best passage."""
    if gold.whole:
        return list(dict.fromkeys(document_name(result.uri) for result in outcome.results))
    return [result.span.name for result in outcome.results]


def measure(batch: Sequence[EvaluatedQuestion], rankings: Sequence[ir_measures.Measure]) -> list[dict[str, float]]:
    """Return the measures of each question; measures that it has no gold for are absent."""
    measured: list[dict[str, float]] = [{} for _ in batch]
    scored = [place for place, asked in enumerate(batch) if asked.gold.relevant and asked.question.answerable]
    qrels = [
        ir_measures.Qrel(str(place), name, grade)
        for place in scored
        for name, grade in batch[place].gold.relevant.items()
    ]
    run = [
        ir_measures.ScoredDoc(str(place), name, 1 / rank)
        for place in scored
        for rank, name in enumerate(ranked(batch[place].gold, batch[place].outcome), start=1)
    ]
    if scored:
        for metric in ir_measures.iter_calc(rankings, qrels, run):
            measured[int(metric.query_id)][str(metric.measure)] = float(metric.value)
    names = list(map(str, rankings))
    return [
        {name: values[name] for name in names if name in values}
        | _of_spans(asked)
        | _of_answer(asked)
        | _of_service(asked)
        for asked, values in zip(batch, measured, strict=True)
    ]


def in_order(names: Iterable[str]) -> list[str]:
    """Return the distinct names of measures: of rankings first, then of spans, of answers, of service."""
    spans, answers = (SPAN_RECALL, SPAN_PRECISION, SPAN_IOU), (EXACT_MATCH, F1, CONTAINS)
    last = (*spans, *answers, *SERVICE)
    return sorted(dict.fromkeys(names), key=lambda name: last.index(name) + 1 if name in last else 0)


def headlines(names: Iterable[str]) -> list[str]:
    """Return the measures to show where few fit: the first two, and those of service."""
    ordered = in_order(names)
    return list(dict.fromkeys([*ordered[:2], *(name for name in ordered if name in SERVICE)]))


def right(asked: EvaluatedQuestion, depth: int = 5) -> bool:
    """Tell whether the first results contain an answer; confidence is the probability of this."""
    names = ranked(asked.gold, asked.outcome)[:depth]
    return asked.question.answerable and any(name in asked.gold.relevant for name in names)


def _of_spans(asked: EvaluatedQuestion) -> dict[str, float]:
    if not asked.gold.spans or not asked.question.answerable:
        return {}
    got = [result.span for result in asked.outcome.results[:_SPAN_DEPTH]]
    # A text that occurs in several places counts once, at the place with the largest overlap.
    wanted = [max(places, key=lambda place: _common([place], got)) for places in asked.gold.spans]
    common, all_wanted, all_got = _common(wanted, got), _length(wanted), _length(got)
    return {
        SPAN_RECALL: common / all_wanted,
        SPAN_PRECISION: common / all_got if all_got else 0.0,
        SPAN_IOU: common / (all_wanted + all_got - common),
    }


def _length(spans: Sequence[Span]) -> int:
    """Return the number of characters in the union of the spans."""
    total, uri, reached = 0, "", 0
    for span in sorted(spans, key=lambda span: (span.uri, span.start)):
        if span.uri != uri:
            uri, reached = span.uri, 0
        total += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return total


def _common(some: Sequence[Span], others: Sequence[Span]) -> int:
    """Return the number of characters in the intersection of two lists of spans."""
    return _length(some) + _length(others) - _length([*some, *others])


def _of_answer(asked: EvaluatedQuestion) -> dict[str, float]:
    """Compare the best quote with the gold answers; for an unanswerable question, only showing none is right."""
    question, answer = asked.question, asked.outcome.answer
    if not question.answerable:
        return {EXACT_MATCH: float(answer is None), F1: float(answer is None)}
    if not question.answers:
        return {}
    given = normalized(answer or "")
    return {
        EXACT_MATCH: max(float(given == normalized(gold)) for gold in question.answers),
        F1: max(token_f1(answer or "", gold) for gold in question.answers),
        CONTAINS: float(_contains_answer(question, given)),
    }


def _contains_answer(question: Question, given: str) -> bool:
    """Tell whether a normalised text contains a gold answer, as whole words."""
    return any(f" {normalized(gold)} " in f" {given} " for gold in question.answers)


def _of_service(asked: EvaluatedQuestion) -> dict[str, float]:
    """Return what a person gets, as far as there is gold for it.

    ``served`` if a right quote is shown, as sure or as uncertain; ``wrongly-refused`` if none is shown although the
    first results contain an answer; ``wrongly-answered`` if a quote is shown as sure and none of the quotes is right,
    or the question is unanswerable: a person can't tell one from the other.
    """
    question, gold, outcome = asked.question, asked.gold, asked.outcome
    if not question.answerable:
        return {WRONGLY_ANSWERED: float(outcome.is_sure)}
    refused = {WRONGLY_REFUSED: float(not outcome.quotes and right(asked))} if gold.relevant else {}
    if not question.answers and not gold.spans:
        return refused
    is_served = any(is_rightly_quoted(asked, quote) for quote in outcome.quotes)
    return {SERVED: float(is_served)} | refused | {WRONGLY_ANSWERED: float(outcome.is_sure and not is_served)}


def is_rightly_quoted(asked: EvaluatedQuestion, quote: ShownQuote) -> bool:
    """Tell whether a quote is right and, if the gold names passages or documents, stands in one of them."""
    relevant = asked.gold.relevant
    if not is_right(asked.question, asked.gold, quote):
        return False
    if not relevant or (asked.gold.whole and document_name(quote.uri) in relevant):
        return True
    return any(
        result.span.name in relevant and _common([quote.span], [result.span]) for result in asked.outcome.results
    )


def best_is_right(asked: EvaluatedQuestion) -> bool | None:
    """Tell whether the best quote is right, shown or not; ``None`` if no gold can tell.

    If the gold is documents alone, a quote from one of them is right.
    """
    question, best = asked.question, asked.outcome.best
    if question.answerable and asked.gold.whole and not question.answers:
        return best is not None and document_name(best.uri) in asked.gold.relevant
    if question.answerable and not question.answers and not asked.gold.spans:
        return None
    return question.answerable and best is not None and is_rightly_quoted(asked, best)


def is_right(question: Question, gold: Gold, quote: ShownQuote) -> bool:
    """Tell whether a quote contains a gold answer, or it and a gold span contain one another."""
    return _contains_answer(question, normalized(quote.text)) or any(
        _one_in_other(quote.span, span) for places in gold.spans for span in places
    )


def _one_in_other(one: Span, other: Span) -> bool:
    return _common([one], [other]) == min(_length([one]), _length([other])) > 0


def normalized(text: str) -> str:
    """Normalise a text as SQuAD does: lower case, without punctuation, articles and repeated white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def token_f1(given: str, gold: str) -> float:
    """Return SQuAD's token F1 of an answer; two texts without words are equal."""
    one, other = normalized(given).split(), normalized(gold).split()
    if not one or not other:
        return float(one == other)
    common = sum((Counter(one) & Counter(other)).values())
    return 2 * common / (len(one) + len(other))
