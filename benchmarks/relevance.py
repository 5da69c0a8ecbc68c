"""Measure how well texts are ordered by relevance outside an index: ``POST /v1/rerank``, and other scores.

    python benchmarks/relevance.py

Every passage of tests/data/unseen is a text. "First" is the share of questions that have a relevant passage first.
"""

import tempfile
from pathlib import Path

from common import answerer_for, relevant_passages, setup

import numpy as np

from qa_service.evaluation import Question, QuestionFile
from qa_service.retrieval import relevance

DATA = Path(__file__).parent.parent / "tests/data/unseen"
STEP = 16


def main() -> None:
    """Measure and print."""
    print(setup())
    with tempfile.TemporaryDirectory() as folder:
        answerer = answerer_for(DATA / "documents", Path(folder))
        texts = [answerer.index.passage(number).text for number in range(len(answerer.index))]
        steps = [texts[start : start + STEP] for start in range(0, len(texts), STEP)]
        vectors = np.concatenate([answerer.embedder.embed_passages(step).vectors for step in steps])
        ranks: dict[str, list[int]] = {"rerank": [], "cosine": [], "their mean": []}
        for asked in QuestionFile(DATA / "questions.jsonl"):
            if not isinstance(asked, Question) or not (relevant := relevant_passages(answerer.index, asked)):
                continue
            (embedding,) = answerer.question_cache.embed([asked.question])
            rerank = np.array(
                [
                    score
                    for step in steps
                    for score in relevance(answerer.embedder, None, asked.question, embedding, step)
                ]
            )
            cosine = vectors @ embedding.vector
            scores = {"rerank": rerank, "cosine": cosine, "their mean": (rerank + cosine) / 2}
            for name, found in scores.items():
                ranks[name].append(1 + int((found > max(found[number] for number in relevant)).sum()))
    for name, own in ranks.items():
        reciprocal = np.mean([1 / rank for rank in own])
        print(f"{name:12} first {np.mean(np.array(own) == 1):.2f}, MRR {reciprocal:.3f}, {len(own)} questions")


if __name__ == "__main__":
    main()
