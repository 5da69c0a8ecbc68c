"""Fits the logistic model of confidence, to labelled questions or, without labels, to an index's own sentences.

Without labels, pseudo-questions are made from sentences of the index by keeping a quarter of their words. Each is asked
twice: of the whole index, and with all passages that contain the sentence excluded, as a near miss. Pseudo-questions
share more words with their passage than real questions do, so only the cosine is used as evidence.
"""

import re

import numpy as np

from qa_service.datatypes import BoolArray, Float64Array, UnderstoodQuestion
from qa_service.embedding import Embedder
from qa_service.index import Index
from qa_service.index.disk import IndexFolder
from qa_service.retrieval.confidence import Calibration, LogisticModel
from qa_service.retrieval.evidence import EVIDENCE_NAMES, evidence_row
from qa_service.retrieval.query import Query
from qa_service.retrieval.retriever import Retriever

_SEED = 20261123
_MIN_SPREAD = 1e-9
_PSEUDO_QUESTIONS = 200
MIN_PASSAGES = 16
"""With fewer passages an index is too small a sample to fit constants without labels."""
_MIN_SENTENCE_WORDS, _MAX_SENTENCE_WORDS = 6, 60
_KEPT_WORDS_SHARE = 0.25
_MIN_QUESTION_WORDS = 3
_TOP_K = 5
_WORD = re.compile(r"\w[\w'’-]*")


def fit(rows: Float64Array, right: BoolArray, weights: Float64Array | None = None) -> LogisticModel:
    """Return the logistic regression of ``right`` (n,) on features (n, f), with a slight L2 penalty.

    ``weights`` (n,) are sample weights.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second of import

    center, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread < _MIN_SPREAD] = 1  # a constant, up to rounding
    model = LogisticRegression(C=1.0, max_iter=1000).fit((rows - center) / spread, right, sample_weight=weights)
    coefficients = model.coef_[0] / spread
    return LogisticModel(float(model.intercept_[0] - coefficients @ center), tuple(map(float, coefficients)))


def confidences_of(model: LogisticModel, rows: Float64Array) -> Float64Array:
    """Return the confidence (n,) of each row of features (n, f)."""
    confidences: Float64Array = 1 / (1 + np.exp(-(rows @ np.array(model.coefficients) + model.intercept)))
    return confidences


def fit_without_labels(index: Index, embedder: Embedder) -> Calibration | None:
    """Return a calibration of the cosine alone; ``None`` if the index is too small or gives no contrast."""
    if len(index) < MIN_PASSAGES:
        return None
    generator = np.random.default_rng(_SEED)
    retriever = Retriever(index, None)
    rows: list[list[float]] = []
    right: list[bool] = []
    for number in generator.permutation(len(index))[:_PSEUDO_QUESTIONS]:
        passage = index.passage(int(number))
        question = _pseudo_question(passage.text, passage.sentences, generator)
        if question is None:
            continue
        query = Query.of(UnderstoodQuestion(question), embedder.embed_questions([question]))
        place = passage.position
        own = np.array(index.overlapping(passage.document_id, place.start_char, place.end_char))
        for without in (None, own):
            retrieved = retriever.retrieve(query, _TOP_K, without=without)
            if retrieved.evidence is not None:
                rows.append(evidence_row(retrieved.evidence))
                right.append(any(result.passage.number in own for result in retrieved.results))
    answers = np.array(right)
    if answers.all() or not answers.any():
        return None
    evidence = np.zeros((len(rows), len(EVIDENCE_NAMES)))
    cosine = EVIDENCE_NAMES.index("dense")
    evidence[:, cosine] = np.array(rows)[:, cosine]
    return Calibration(fit(evidence, answers))


def _pseudo_question(text: str, sentences: tuple[tuple[int, int], ...], generator: np.random.Generator) -> str | None:
    """Return a quarter of the words of a random sentence, in order; ``None`` if no sentence has a suitable length."""
    words = [_WORD.findall(text[start:end]) for start, end in sentences]
    fit_ones = [found for found in words if _MIN_SENTENCE_WORDS <= len(found) <= _MAX_SENTENCE_WORDS]
    if not fit_ones:
        return None
    chosen = fit_ones[int(generator.integers(len(fit_ones)))]
    kept = max(_MIN_QUESTION_WORDS, round(_KEPT_WORDS_SHARE * len(chosen)))
    return " ".join(chosen[place] for place in sorted(generator.choice(len(chosen), kept, replace=False)))


def calibrate_unlabelled(folder: IndexFolder, index: Index, embedder: Embedder) -> None:
    """Fit constants without labels to an index, and store them in its folder."""
    weights, token_vectors = index.manifest.calibrated_for
    fitted = fit_without_labels(index, embedder)
    if fitted is not None:
        folder.write_calibration(weights, fitted.to_dict(), token_vectors=token_vectors, labels=False)
