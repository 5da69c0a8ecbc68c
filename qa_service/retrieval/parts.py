"""Results and quotes of a question of several parts: each part is answered for itself, and the results cover all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf

from qa_service.datatypes import Quote
from qa_service.retrieval.hits import Hit


@dataclass(frozen=True, slots=True)
class RankedHits:
    """The hits for a question, or for a part of it, in their final order; ``best`` is the index of the answer."""

    hits: list[Hit]
    best: int

    @property
    def answer(self) -> Hit:
        """The hit with the best quote."""
        return self.hits[self.best]


def covering(whole: RankedHits, parts: Sequence[RankedHits]) -> list[Hit]:
    """Return the hits for the whole question with the answers of its parts among them, no passage twice.

    The first hit of the whole question and its answer stay first; those of the parts follow, so that the first results
    cover all. No score is above the one before it: those of different questions can't be compared.
    """
    merged = {hit.result.passage.number: hit for hit in (whole.hits[0], whole.answer)}
    for hit in chain((one.answer for one in parts), whole.hits, *(one.hits for one in parts)):
        merged.setdefault(hit.result.passage.number, hit)
    ceiling = inf
    found = []
    for hit in merged.values():
        ceiling = min(ceiling, hit.result.score)
        found.append(replace(hit, result=replace(hit.result, score=ceiling)))
    return found


def quotes_of_parts(shown: Sequence[Hit], best: int, parts: Sequence[RankedHits]) -> list[Quote]:
    """Return the quote of each part's answer, if no quote before it holds it already.

    ``shown`` are the merged hits; the first quote is that of ``best``.
    """
    numbers = {hit.result.passage.number: place for place, hit in enumerate(shown)}
    main = shown[best].result
    found = [Quote(best, main.quote)]
    for part in parts:
        result = part.answer.result
        place = numbers.get(result.passage.number)
        if place is not None and not any(_holds(quote, place, result.quote) for quote in found):
            found.append(Quote(place, result.quote, result.spans))
    return found[1:]


def _holds(quote: Quote, place: int, other: tuple[int, int]) -> bool:
    return quote.result == place and quote.place[0] <= other[0] and other[1] <= quote.place[1]


def confidence_of(whole: RankedHits, parts: Sequence[RankedHits]) -> float | None:
    """Return the confidence that the results answer the whole question: its own, or the mean of its parts if larger.

    No single sentence answers a question of two parts, so that the reader doubts each.
    """
    own = whole.answer.result.confidence
    of_parts = [part.answer.result.confidence for part in parts]
    known = [confidence for confidence in of_parts if confidence is not None]
    if own is None or len(known) < len(of_parts) or not known:
        return own
    return max(own, sum(known) / len(known))
