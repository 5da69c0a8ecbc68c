"""Fit the constants of retrieval.confidence.CALIBRATIONS and measure answerability on held-out questions.

    python benchmarks/confidence.py EVAL_FOLDER [--work FOLDER]

EVAL_FOLDER holds squad2_dev/ and chroma_chunking/, each with documents/ and questions.jsonl. There are three kinds of
questions: answerable, near misses (the unanswerable ones of SQuAD 2.0), and off topic (asked of the index of the other
set). For the constants, the kinds weigh 2 : 2 : 1 in total, so that half of the questions on topic are answerable. A
question is right if its top five results overlap a reference. Every other question is held out and measured. The
baseline is the best cosine alone, fitted in the same way.
"""

import argparse
import tempfile
from pathlib import Path

from common import answerer_for, relevant_passages, setup

import numpy as np

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.statistics import auroc, expected_calibration_error, risk_coverage
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.evidence import EVIDENCE_NAMES, evidence_row
from qa_service.retrieval.fitting import confidences_of, fit, fit_without_labels

SHARES = {"answerable": 2, "near miss": 2, "off topic": 1}


def main() -> None:
    """Observe, fit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    print(setup())
    names = ("squad2_dev", "chroma_chunking")
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        for token_vectors in (True, False):
            answerers = [
                answerer_for(
                    arguments.eval_folder / name / "documents",
                    work / name / f"index-{token_vectors}",
                    token_vectors=token_vectors,
                )
                for name in names
            ]
            print(f"\nwith token vectors: {token_vectors}")
            unlabelled = [fit_without_labels(answerer.index, answerer.embedder) for answerer in answerers]
            measure(*observed(arguments.eval_folder, names, answerers), dict(zip(names, unlabelled, strict=True)))


def observed(folder: Path, names: tuple[str, ...], answerers: list[QuestionAnswerer]) -> tuple[np.ndarray, ...]:
    """Return, for all questions, evidence, rightness, kind, set and half."""
    rows, right, kinds, sets, halves = [], [], [], [], []

    def note(answerer: QuestionAnswerer, question: Question, kind: str, name: str, half: int) -> None:
        retrieved = answerer.retrieve(question.question, AskOptions(top_k=5))
        assert retrieved.evidence is not None
        relevant = relevant_passages(answerer.index, question) if kind == "answerable" else set()
        rows.append(evidence_row(retrieved.evidence))
        right.append(any(result.passage.number in relevant for result in retrieved.results))
        kinds.append(kind)
        sets.append(name)
        halves.append(half)

    for name, home, other in zip(names, answerers, reversed(answerers), strict=True):
        for number, question in enumerate(QuestionFile(folder / name / "questions.jsonl")):
            assert isinstance(question, Question)
            half = number % 2
            note(home, question, "answerable" if question.answerable else "near miss", name, half)
            if number % 3 == 0:
                note(other, question, "off topic", name, half)
    return np.array(rows), np.array(right), np.array(kinds), np.array(sets), np.array(halves)


def measure(
    rows: np.ndarray,
    right: np.ndarray,
    kinds: np.ndarray,
    sets: np.ndarray,
    halves: np.ndarray,
    unlabelled: dict[str, Calibration | None],
) -> None:
    """Print the constants fitted to all questions, and figures on the held-out half."""
    for name, calibration in unlabelled.items():
        own = (sets == name) & (kinds != "off topic")
        if calibration is not None:
            found = confidences_of(calibration, rows)
            off = (sets != name) & (kinds == "off topic") | own & right
            ece = expected_calibration_error(found[own], right[own])
            print(f"  without labels, {name}: ECE {ece:.4f}, AUROC off topic {auroc(found[off], right[off]):.4f}")
    weights = np.zeros(len(rows))
    for kind, share in SHARES.items():
        weights[kinds == kind] = share / (kinds == kind).sum()
    weights *= len(rows) / weights.sum()
    constants = fit(rows, right, weights).to_dict()
    print("  constants:", ", ".join(f"{name}={value:.3f}" for name, value in constants.items()))
    fitting, testing = halves == 0, halves == 1
    squad = (sets == "squad2_dev") & (kinds != "off topic")
    for label, columns in (("default", list(range(len(EVIDENCE_NAMES)))), ("cosine", [EVIDENCE_NAMES.index("dense")])):
        used = np.zeros_like(rows)
        used[:, columns] = rows[:, columns]
        model = fit(used[fitting], right[fitting], weights[fitting])
        confidences = confidences_of(model, used)
        own = fit(used[fitting & squad], right[fitting & squad])
        calibrated = confidences_of(own, used)
        off, near = testing & (right | (kinds == "off topic")), testing & squad
        curve = risk_coverage(confidences[near], right[near], (0.25, 0.5, 0.75, 1.0))
        print(
            f"  {label:8} AUROC off topic {auroc(confidences[off], right[off]):.4f}, squad2 near misses "
            f"{auroc(confidences[near], right[near]):.4f} (calibrated {auroc(calibrated[near], right[near]):.4f}); "
            f"ECE squad2 {expected_calibration_error(confidences[near], right[near]):.4f}, "
            f"calibrated on the other half {expected_calibration_error(calibrated[near], right[near]):.4f}; "
            f"wrong at coverage {', '.join(f'{share:.0%}: {risk:.3f}' for share, risk in curve.items())}"
        )
        for threshold in (0.1, 0.15, 0.2, 0.3, 0.5):
            shares = ", ".join(
                f"{kind} {np.mean(confidences[testing & (kinds == kind)] >= threshold):.3f}" for kind in SHARES
            )
            print(f"    answered at {threshold}: {shares}")


if __name__ == "__main__":
    main()
