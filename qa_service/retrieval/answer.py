"""Chooses the answer: the reader reads the quotes of the first results, and its logit is the fourth signal of a rank.

The value of a result is its fused score plus ``WEIGHT`` times the logit. Results are read in order, and only as long
as the next one could still have the highest value, were it read with ``MAX_LOGIT``: two of three questions need one.
An unread result counts as if it had the lowest logit that was read, at most 0: the answer always was read.
"""

from collections.abc import Sequence
from dataclasses import replace

from qa_service.datatypes import Offsets, Passage, ScoredPassage
from qa_service.reading import Reader, Reading, Window
from qa_service.retrieval.evidence import DENSE_CAP, MAXSIM_CAP, ReadEvidence
from qa_service.retrieval.hits import Hit
from qa_service.retrieval.quotes import MAX_QUOTE_CHARACTERS, grown, is_row, trimmed, widened
from qa_service.retrieval.table_rows import row_sentence

WEIGHT = 0.03
"""A unit of the logit counts so much in a score of 0..1. Decision 0020 has other weights."""
MAX_LOGIT = 3.0
"""Higher ones are rare: reading on for their sake takes time and finds little more."""
SURE_LOGIT = 2.0
"""From here on the sentence that was read is the whole quote; else its neighbours are quoted with it."""
_RIVAL_COSINE = 0.05
_DEPTH = {"quick": 3, "careful": 5}


def _is_rival(first: Hit, other: Hit) -> bool:
    """Tell whether another document may contradict the answer: an unread sentence that is as close to the question."""
    return (
        other.read is None
        and first.read is not None
        and first.read.logit > 0
        and other.result.passage.document_id != first.result.passage.document_id
        and any(character.isdigit() for character in first.result.passage.text[slice(*first.result.spans[0])])
        and other.evidence.sentence > first.evidence.sentence - _RIVAL_COSINE
    )


def _value(hit: Hit, unread: float = 0.0) -> float:
    """Return the fused score plus the reader's part; ``unread`` stands for the logit of a hit that was not read."""
    return hit.result.score + WEIGHT * (unread if hit.read is None else hit.read.logit)


class AnswerReader:
    """Reads the first results of a question.

    ``quick`` reads the best sentence of a result; ``careful`` reads deeper, the sentence and the window around it, of
    more results.
    """

    def __init__(self, reader: Reader, mode: str) -> None:
        self._reader = reader
        self._careful = mode == "careful"
        self.mode = mode
        self.depth = _DEPTH[mode]
        """The number of results that may be read."""

    def load(self) -> None:
        """Load the model now instead of with the first question."""
        self._reader.load()

    def reordered(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return the hits by value; the first one has the answer. Quotes of those read reach as far as they need to.

        Hits behind the first ``depth`` have no influence on the answer.
        """
        found = list(hits)
        best = -float("inf")
        for place, hit in enumerate(hits[: self.depth]):
            if hit.result.score + WEIGHT * MAX_LOGIT <= best:
                break
            found[place] = self._read(question, hit)
            best = max(best, _value(found[place]))
        leader = max((hit for hit in found if hit.read is not None), key=_value)
        for place, hit in enumerate(hits[: self.depth]):
            if _is_rival(leader, found[place]):
                found[place] = self._read(question, hit)
        lowest = min(0.0, *(hit.read.logit for hit in found if hit.read is not None))
        valued = [replace(hit, result=replace(_quoting(hit), score=_value(hit, lowest))) for hit in found]
        return sorted(valued, key=lambda hit: -hit.result.score)

    def _read(self, question: str, hit: Hit) -> Hit:
        """Return a hit with its reading."""
        passage, scores = hit.result.passage, hit.result.scores
        reading = self._reading(question, passage, passage.sentences[hit.sentence])
        if self._careful:
            around = self._reading(question, passage, grown(passage, hit.sentence))
            surer = max(reading, around, key=lambda one: one.certainty)
            reading = replace(surer, logit=(reading.logit + around.logit) / 2)
        result = replace(hit.result, scores=replace(scores, reading=reading.logit), spans=(reading.span,))
        read = ReadEvidence(min(scores.dense, DENSE_CAP), min(hit.maxsim or 0.0, MAXSIM_CAP), hit.margin, reading.logit)
        return replace(hit, result=result, read=read)

    def _reading(self, question: str, passage: Passage, place: Offsets) -> Reading:
        """Return the reading of a part of a passage, with the span's offsets in the passage."""
        heading = passage.context.rsplit(" > ", 1)[-1]
        if row := row_sentence(passage, place):
            heading = "" if is_row(heading) else heading
            found = self._reader.read(question, Window(row.text, heading), deep=self._careful)
            return replace(found, span=trimmed(passage.text, row.origin(found.span, question)))
        found = self._reader.read(question, Window(passage.text[slice(*place)], heading), deep=self._careful)
        return replace(found, span=trimmed(passage.text, (place[0] + found.span[0], place[0] + found.span[1])))


def _quoting(hit: Hit) -> ScoredPassage:
    """Return a result that was read with the quote of the answer, and the span of the answer in it."""
    if hit.read is None:
        return hit.result
    passage, span = hit.result.passage, hit.result.spans[0]
    sure = hit.read.logit >= SURE_LOGIT
    start, end = passage.sentences[hit.sentence] if sure else widened(passage, hit.sentence, hit.quotable)
    for low, high in (passage.sentences[place] for place in hit.quotable):
        if low < span[1] and high > span[0] and max(end, high) - min(start, low) <= MAX_QUOTE_CHARACTERS:
            start, end = min(start, low), max(end, high)
    spans = (span,) if start <= span[0] < span[1] <= end else ()
    return replace(hit.result, quote=(start, end), spans=spans)
