"""Questions of two parts: each part is given a quote of its own where one quote does not answer both."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from qa_service.datatypes import Int32Array, IntArray, Offsets, Quote
from qa_service.index.tokens import Similarities
from qa_service.retrieval.hits import Hit

_WORDS = r"(?:who|whom|whose|what|when|where|which|why|how)\b"
_VERBS = r"(?:is|are|was|were|do|does|did|can|could|will|has|have|had)"
_SUBJECTS = r"(?:(?:it|he|she|they|there|the|this|that|these|those|an?|any|its|his|her|their)\b|(?-i:[A-Z]))"
_BETWEEN = re.compile(
    r"\?\s+(?:and\s+|also\s+)?(?=\w)"
    rf"|[,;]?\s+(?:and|&)\s+(?=(?:(?:in|on|by|at|for|since|from)\s+)?{_WORDS}|{_VERBS}\s+{_SUBJECTS})",
    re.IGNORECASE,
)
"""A verb begins a question only if its subject follows: "… and is still open" goes on with the first one."""
_JOINED = re.compile(rf"\b(?:{_WORDS}|{_VERBS})\Z", re.IGNORECASE)
"""A first part does not end so: "When and where was it?" is one question."""
_MIN_WORDS = 2
Similar = Callable[[Hit], tuple[Similarities, int, Int32Array, Sequence[int]]]
"""Returns what :meth:`Similarities.sentence` needs for a hit, after the similarities themselves."""
_DEPTH = 3
"""Quotes are looked for in so many first results."""


def parts_of(question: str) -> list[Offsets]:
    """Return the two parts of a question as offsets, or none: "When was it signed, and who signed it?"."""
    for found in _BETWEEN.finditer(question):
        first, second = (0, found.start()), (found.end(), len(question))
        long = all(len(question[start:end].split()) >= _MIN_WORDS for start, end in (first, second))
        if long and not _JOINED.search(question[slice(*first)]):
            return [first, second]
    return []


def quotes_of_parts(
    parts: Sequence[Offsets],
    tokens: IntArray,
    hits: Sequence[Hit],
    similar: Similar,
) -> list[Quote]:
    """Return the best sentence of the first results for each part, if the first quote does not hold it already.

    ``tokens`` (t, 2) are the offsets of the question's tokens.
    """
    found: list[Quote] = []
    main = hits[0].result
    for start, end in parts:
        own = np.flatnonzero((tokens[:, 0] >= start) & (tokens[:, 1] <= end))
        if not len(own):
            continue
        place, sentence = _best_sentence(own, hits[:_DEPTH], similar)
        quote = hits[place].result.passage.sentences[sentence]
        inside = place == 0 and main.quote[0] <= quote[0] and quote[1] <= main.quote[1]
        if not inside and all((one.result, one.place) != (place, quote) for one in found):
            found.append(Quote(place, quote))
    return found


def _best_sentence(own: IntArray, hits: Sequence[Hit], similar: Similar) -> Offsets:
    """Return the place of the hit and the number of its sentence with the highest mean cosine of some tokens."""
    best, found = -float("inf"), (0, 0)
    for place, hit in enumerate(hits):
        similarities, passage, rows, allowed = similar(hit)
        sentence, cosines = similarities.of_tokens(own).sentence(passage, rows, allowed)
        if (mean := float(cosines.mean())) > best:
            best, found = mean, (place, sentence)
    return found
