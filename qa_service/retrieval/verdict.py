"""From ranked results to what is said about a question: the verdict, the reason, the quotes that are shown."""

from dataclasses import dataclass, replace

from qa_service.datatypes import AnswerVerdict, AskOptions, Quote, Reason
from qa_service.index import Index
from qa_service.retrieval.confidence import is_built_in
from qa_service.retrieval.reasons import conflict_between, reason_for
from qa_service.retrieval.retriever import RetrievalResult
from qa_service.settings import Settings

_UNQUOTED = (None, "not_found")
_DATE_KEYS = ("date", "updated", "modified", "published")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The confidence from which a question counts as ``answered``, and that from which the best quote is shown."""

    answered: float
    uncertain: float

    @classmethod
    def of(cls, settings: Settings, options: AskOptions) -> "Thresholds":
        """Return the thresholds that a question asks for, or those of the settings."""
        return cls(
            settings.min_confidence if options.min_confidence is None else options.min_confidence,
            settings.min_uncertain if options.min_uncertain is None else options.min_uncertain,
        )

    def verdict_of(self, retrieved: RetrievalResult) -> AnswerVerdict | None:
        """Return the verdict on a question; ``None`` without a confidence."""
        confidence = retrieved.confidence
        if confidence is None:
            return None
        if not retrieved.results:
            return "not_found"
        if confidence >= self.answered:
            return "answered"
        return "uncertain" if confidence >= self.uncertain else "not_found"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The verdict on a question, why it is not answered with certainty, and the quotes, the best one first."""

    verdict: AnswerVerdict | None
    reason: Reason | None
    quotes: tuple[Quote, ...]


def conclude(question: str, retrieved: RetrievalResult, index: Index, thresholds: Thresholds) -> Conclusion:
    """Return what is said about a question.

    If two documents contradict each other, the verdict is at most ``uncertain``, and both are quoted. A pinned answer
    is always ``answered``.
    """
    if retrieved.pinned:
        return Conclusion("answered", None, retrieved.quotes)
    verdict, quotes = thresholds.verdict_of(retrieved), retrieved.quotes
    seen = (*retrieved.results, *retrieved.further)
    conflict = conflict_between(seen, lambda document: _date(index, document)) if verdict not in _UNQUOTED else None
    if conflict is not None:
        shown = tuple(place for place in conflict.results if place < len(retrieved.results))
        others = (Quote(place, seen[place].quote, seen[place].spans) for place in shown[1:])
        return Conclusion("uncertain", replace(conflict, results=shown), (*quotes, *others))
    if verdict in {"uncertain", "not_found"}:
        reason = reason_for(question, index, seen, found=verdict == "uncertain")
        if (
            reason is not None
            and reason.kind == "other_language"
            and not is_built_in(index.manifest.model.weights_sha256)
        ):
            reason = None  # a multilingual model may find answers in any language
        return Conclusion(verdict, reason, quotes)
    return Conclusion(verdict, None, quotes)


def _date(index: Index, document_id: str) -> str:
    """Return the date in a document's front matter, or an empty text."""
    values = index.front_matter([document_id])[document_id]
    return next((str(values[key]) for key in _DATE_KEYS if values.get(key)), "")
