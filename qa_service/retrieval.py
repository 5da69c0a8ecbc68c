"""From a question's vector to ranked passages, the sentence that answers best, and confidence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import Offsets, Passage, ScoredPassage, Scores
from qa_service.embedding import Vectors
from qa_service.index import OpenIndex


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns the best cosine into the probability that the results hold the answer.

    ``1 / (1 + exp(-(slope * score + intercept)))``: Platt scaling (Platt, 1999).
    """

    slope: float
    intercept: float

    def confidence(self, score: float) -> float:
        """Return a probability, 0..1."""
        return 1 / (1 + math.exp(-(self.slope * score + self.intercept)))


# By sha256 of the weights, since cosines of different models do not compare. Fitted by
# benchmarks/confidence.py; a model without an entry gets no confidence rather than a made-up one.
CALIBRATIONS: Mapping[str, Calibration] = {
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": Calibration(slope=8.61, intercept=-4.91),
}


def retrieve(index: OpenIndex, question: Vectors, top_k: int) -> tuple[ScoredPassage, ...]:
    """Return the ``top_k`` passages nearest to a question's vector (d,), best first."""
    calibration = CALIBRATIONS.get(index.manifest.model.weights_sha256)
    ids, scores = index.store.search(question[None, :], top_k)
    results: list[ScoredPassage] = []
    for rank, (number, score) in enumerate(zip(ids[0].tolist(), scores[0].tolist(), strict=True), start=1):
        passage, first_sentence = index.passage(number)
        results.append(
            ScoredPassage(
                rank=rank,
                passage=passage,
                score=score,
                confidence=calibration.confidence(score) if calibration else None,
                scores=Scores(dense=score),
                quote=_best_sentence(index, passage, first_sentence, question),
            )
        )
    return tuple(results)


def _best_sentence(index: OpenIndex, passage: Passage, first_row: int, question: Vectors) -> Offsets:
    """Return the offsets in the passage of the sentence whose vector is nearest to the question's."""
    rows = index.sentences[first_row : first_row + len(passage.sentences)].astype(np.float32)
    return passage.sentences[int(np.argmax(rows @ question))]
