"""Fit the constants of retrieval.CALIBRATIONS and show how well one number, the best cosine, can do.

    python benchmarks/confidence.py EVAL_FOLDER

EVAL_FOLDER holds squad2_dev/ and chroma_chunking/, each with documents/ and questions.jsonl. Three kinds
of questions: answerable, near misses (SQuAD 2.0's unanswerable ones), off topic (asked of the other set's
index), weighted 2 : 1 : 1, so that half could be answered. Right is a question whose top five results
overlap a reference. Odd questions fit, even ones measure.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import answerer_for, setup
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from qa_service.embedding import open_embedder
from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.report import relevant_passages
from qa_service.settings import DEFAULT_MODEL


def main() -> None:
    """Fit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    folder = parser.parse_args().eval_folder
    embedder = open_embedder(DEFAULT_MODEL)
    rows: list[tuple[str, float, bool]] = []
    with tempfile.TemporaryDirectory() as scratch:
        names = ("squad2_dev", "chroma_chunking")
        answerers = [answerer_for(folder / name / "documents", Path(scratch, name), embedder) for name in names]
        for name, home, other in zip(names, answerers, reversed(answerers), strict=True):
            for question in QuestionFile(folder / name / "questions.jsonl"):
                assert isinstance(question, Question)
                answer = home.ask(question.question, 5)
                best = answer.results[0].scored.score
                relevant = relevant_passages(home.index, question.references)
                found = any(str(result.scored.passage.number) in relevant for result in answer.results)
                rows.append(("answerable" if question.answerable else "near miss", best, found))
                rows.append(("off topic", other.ask(question.question, 1).results[0].scored.score, False))
    kinds, scores, found = (np.array(column) for column in zip(*rows, strict=True))
    weights = np.zeros(len(rows))
    for kind in np.unique(kinds):
        weights[kinds == kind] = (2 if kind == "answerable" else 1) / (kinds == kind).sum()
    half = np.arange(len(rows)) // 2 % 2 == 1
    model = LogisticRegression(C=1e6).fit(scores[half, None], found[half], sample_weight=weights[half] * len(rows))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    predicted = 1 / (1 + np.exp(-(slope * scores + intercept)))
    print(f"{setup()}; {len(rows)} rows, half of them to fit")
    print(f"slope={slope:.2f}, intercept={intercept:.2f}")
    test = ~half
    for kind in np.unique(kinds):
        inside = test & (kinds == kind)
        claimed, right = predicted[inside].mean(), found[inside].mean()
        print(f"{kind:11} n={inside.sum():5} mean confidence {claimed:.3f}, right {right:.3f}")
    print(f"AUROC off topic  {_auroc(scores, found, test & (kinds != 'near miss')):.3f}")
    print(f"AUROC near misses {_auroc(scores, found, test & (kinds != 'off topic')):.3f}")
    print(f"ECE (10 bins) {_ece(predicted[test], found[test], weights[test]):.3f}")


def _auroc(scores: np.ndarray, found: np.ndarray, where: np.ndarray) -> float:
    return float(roc_auc_score(found[where], scores[where]))


def _ece(predicted: np.ndarray, found: np.ndarray, weights: np.ndarray) -> float:
    """Return the expected calibration error: the mean distance of confidence and share of right answers by bin."""
    bins = np.minimum((predicted * 10).astype(int), 9)
    error = 0.0
    for number in np.unique(bins):
        inside = bins == number
        gap = np.average(predicted[inside], weights=weights[inside]) - np.average(
            found[inside], weights=weights[inside]
        )
        error += abs(gap) * weights[inside].sum()
    return error / weights.sum()


if __name__ == "__main__":
    main()
