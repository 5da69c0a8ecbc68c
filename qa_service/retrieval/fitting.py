"""Fits confidence: to evidence of questions whose answers are known, or, without any, to an index's own sentences.

Without labels, a sentence of which three words in four are left out is asked as a question, once of the
whole index and once with every passage that holds the sentence left out, which is a near miss. Such a
question shares its words with the passage, as real ones do not, so all evidence but the cosine is set aside.
"""

import re

import numpy as np

from qa_service.datatypes import BoolArray, Float64Array
from qa_service.embedding import Embedder
from qa_service.index import Index, Manifest
from qa_service.index.disk import IndexFolder
from qa_service.retrieval.confidence import CALIBRATIONS, Calibration
from qa_service.retrieval.evidence import EVIDENCE_NAMES, evidence_row
from qa_service.retrieval.retriever import Retriever

_SEED = 20261123
_PSEUDO_QUESTIONS = 200
MIN_PASSAGES = 50
"""An index of fewer passages is too small a sample to be calibrated by itself."""
_MIN_SENTENCE_WORDS, _MAX_SENTENCE_WORDS = 6, 60
_KEPT_WORDS_SHARE = 0.25
_MIN_QUESTION_WORDS = 3
_TOP_K = 5
_WORD = re.compile(r"\w[\w'’-]*")


def fit(rows: Float64Array, right: BoolArray, weights: Float64Array | None = None) -> Calibration:
    """Return the logistic model of evidence (n, e) that explains ``right`` (n,) best, with a slight L2 penalty."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second of import

    center, spread = rows.mean(axis=0), rows.std(axis=0)
    spread[spread == 0] = 1
    model = LogisticRegression(C=1.0, max_iter=1000).fit((rows - center) / spread, right, sample_weight=weights)
    coefficients = model.coef_[0] / spread
    return Calibration(float(model.intercept_[0] - coefficients @ center), tuple(map(float, coefficients)))


def confidences_of(calibration: Calibration, rows: Float64Array) -> Float64Array:
    """Return the confidence (n,) of each row of evidence (n, e)."""
    confidences: Float64Array = 1 / (1 + np.exp(-(rows @ np.array(calibration.coefficients) + calibration.intercept)))
    return confidences


def fit_without_labels(index: Index, embedder: Embedder) -> Calibration | None:
    """Return a calibration of the cosine alone, without labels; ``None`` if the index holds too little."""
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
        embedding = embedder.embed_questions([question])[0]
        place = passage.position
        own = np.array(index.overlapping(passage.document_id, place.start_char, place.end_char))
        for without in (None, own):
            retrieved = retriever.retrieve(question, embedding, _TOP_K, without=without)
            if retrieved.evidence is not None:
                rows.append(evidence_row(retrieved.evidence))
                right.append(any(result.passage.number in own for result in retrieved.results))
    answers = np.array(right)
    if answers.all() or not answers.any():
        return None
    evidence = np.zeros((len(rows), len(EVIDENCE_NAMES)))
    cosine = EVIDENCE_NAMES.index("dense")
    evidence[:, cosine] = np.array(rows)[:, cosine]
    return fit(evidence, answers)


def _pseudo_question(text: str, sentences: tuple[tuple[int, int], ...], generator: np.random.Generator) -> str | None:
    """Return a quarter of the words of one of the sentences, in their order; ``None`` if none is of a fit length."""
    words = [_WORD.findall(text[start:end]) for start, end in sentences]
    fit_ones = [found for found in words if _MIN_SENTENCE_WORDS <= len(found) <= _MAX_SENTENCE_WORDS]
    if not fit_ones:
        return None
    chosen = fit_ones[int(generator.integers(len(fit_ones)))]
    kept = max(_MIN_QUESTION_WORDS, round(_KEPT_WORDS_SHARE * len(chosen)))
    return " ".join(chosen[place] for place in sorted(generator.choice(len(chosen), kept, replace=False)))


def calibrate_unlabelled(folder: IndexFolder, manifest: Manifest, embedder: Embedder) -> None:
    """Fit confidence to the index itself where its model has no constants of its own."""
    weights, token_vectors = manifest.calibrated_for
    if (weights, token_vectors) in CALIBRATIONS:
        return
    index = folder.open_current(embedder.identity).index
    try:
        fitted = fit_without_labels(index, embedder)
        if fitted is not None:
            folder.write_calibration(weights, fitted.to_dict(), token_vectors=token_vectors, labels=False)
    finally:
        index.close()
