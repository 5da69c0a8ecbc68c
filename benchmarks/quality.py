"""Print how well the defaults retrieve, beside fixed windows with the same model in the same run.

    python benchmarks/quality.py EVAL_FOLDER [--seed FOLDER]

EVAL_FOLDER holds xquad_en/ with documents/ and questions.jsonl. FOLDER holds one messy web page about
relations between Korea and the United States, of which SEED_QUESTIONS ask.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from common import answerer_for, setup

from qa_service.embedding import SentenceTransformerEmbedder, open_embedder
from qa_service.evaluation import Question, QuestionFile, evaluate
from qa_service.loading import load_folder
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
WINDOW = 800

# A question, and words that stand only where its answer does.
SEED_QUESTIONS = [
    ("Which treaty binds the US and South Korea to defend each other?", "Mutual Defense Treaty, which"),
    ("What happens if one ally is attacked by a third country?", "meet the common danger"),
    ("Who shut down the Kaesong Industrial Complex?", "Park shut down"),
    ("What does South Korea call the Sea of Japan?", "East Sea"),
    ("How many missile tests did North Korea conduct?", "nearly 20 ballistic"),
    ("What did Trump call Kim Jong-un?", "smart cookie"),
    ("Which city did the general fear a nuclear weapon could reach?", "Denver"),
    ("What did Moon say in Berlin?", "at any time at any place"),
    ("How many people were killed on Yeonpyeong Island?", "killed four South Koreans"),
    ("Who sank the South Korean vessel?", "sunk by a North Korean submarine"),
    ("What was put up in front of the consulate in Busan?", "erected a comfort woman statue"),
    ("How did Japan react to the statue in Busan?", "withdrew its ambassador"),
    ("Who owned the land of the THAAD battery?", "Lotte had owned"),
    ("Why was the full THAAD deployment delayed in July?", "environmental impact assessment"),
    ("Who should pay for THAAD according to Trump?", "should pay for the system"),
    ("What was the joint approach called that expanded sanctions?", "strategic patience"),
    ("Which exchange programs bring Korean students to the United States?", "Fulbright"),
    ("What agreement covers civil space exploration?", "Civil Space Framework"),
    ("Which agreement did Seoul withdraw from at the last minute?", "GSOMIA"),
    ("Why do economists think the trade deficit grew?", "relative slump"),
]
TITLES = {"korea and united states relationship", "south korea–united states relations - wikipedia"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--seed", type=Path)
    arguments = parser.parse_args()
    embedder = open_embedder(DEFAULT_MODEL)
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        for name, source, questions in (
            ("shipped briefing", ROOT / "source_text", ROOT / "tests/data/us-korea-questions.jsonl"),
            (
                "xquad_en",
                arguments.eval_folder / "xquad_en/documents",
                arguments.eval_folder / "xquad_en/questions.jsonl",
            ),
        ):
            answerer = answerer_for(source, Path(scratch, name), embedder)
            report = evaluate(QuestionFile(questions), answerer, 10)
            figures = "  ".join(f"{measure} {value:.4f}" for measure, value in report.measures.items())
            print(f"{name}, {len(answerer.index)} passages, {report.scored} questions: {figures}")
            if report.unanswerable_total:
                print(
                    f"  refused {report.unanswerable_refused} of {report.unanswerable_total} unanswerable, "
                    f"answered {report.answerable_answered} of {report.answerable_total} answerable"
                )
            asked = [item for item in QuestionFile(questions) if isinstance(item, Question) and item.references]
            one, five = _windows(source, asked, embedder)
            print(f"  baseline, windows of {WINDOW} characters: Success@1 {one:.4f}  Success@5 {five:.4f}")
        if arguments.seed:
            _seed(answerer_for(arguments.seed, Path(scratch, "seed"), embedder))


def _windows(source: Path, questions: Iterable[Question], embedder: SentenceTransformerEmbedder) -> tuple[float, float]:
    """Return hit@1 and hit@5 of fixed windows, the model cutting off what it can't read."""
    spans, texts = [], []
    by_name = {}
    for document in load_folder(source, max_file_bytes=10**9).documents:
        by_name[document.uri] = document.text
        for start in range(0, len(document.text), WINDOW):
            spans.append((document.uri, start, start + WINDOW))
            texts.append(document.text[start : start + WINDOW])
    batches = [texts[start : start + 32] for start in range(0, len(texts), 32)]
    vectors = np.concatenate([embedder.embed_passages(batch, [[] for _ in batch]).passages for batch in batches])
    ranks = []
    for question in questions:
        gold = []
        for reference in question.references:
            start = reference.start_index
            if start is None:
                start = by_name[reference.document].index(str(reference.content))
            gold.append((reference.document, start, reference.end_index or start + len(str(reference.content))))
        order = np.argsort(-vectors @ embedder.embed_question(question.question))[:5]
        hits = [
            rank
            for rank, number in enumerate(order)
            if any(
                spans[number][0] == name and spans[number][1] < end and start < spans[number][2]
                for name, start, end in gold
            )
        ]
        ranks.append(hits[0] if hits else 99)
    return float(np.mean(np.array(ranks) == 0)), float(np.mean(np.array(ranks) < 5))  # noqa: PLR2004 - hit@5


def _seed(answerer: QuestionAnswerer) -> None:
    first = five = titles = results = 0
    for question, evidence in SEED_QUESTIONS:
        texts = [result.scored.passage.text for result in answerer.ask(question, 5).results]
        first += evidence in texts[0]
        five += any(evidence in text for text in texts)
        results += len(texts)
        titles += sum(text.strip().casefold() in TITLES or len(text.split()) < 8 for text in texts)  # noqa: PLR2004
        if evidence not in texts[0]:
            print(f"  not first: {question}")
    print(f"seed page, {len(answerer.index)} passages: evidence first {first}/20, in five {five}/20; ", end="")
    print(f"bare titles among {results} results: {titles}")


if __name__ == "__main__":
    main()
