"""Measure ranking and answers of the defaults, without the reader, and rankings of each signal and of other fusions.

    python benchmarks/quality.py EVAL_FOLDER [--seed FOLDER] [--work FOLDER] [--only NAME …] [--set NAME=VALUE …]

EVAL_FOLDER holds xquad_en/, chroma_chunking/, squad2_dev/ and nq_passages/ (documents/ and questions.jsonl) and
beir_scifact/ and cranfield/ (BEIR). Documents that the reader was trained on are indexed, but not asked about. All sets
have the default settings, except for those of ``--set``, such as ``overlap_tokens=0``. ``--seed`` names a folder with a
messy web page about relations between Korea and the United States, the subject of SEED_QUESTIONS; ``--work`` keeps the
indexes for the next run.

The measures of answers are those of ``qa-service evaluate``. "Quote right" is the share of answerable questions whose
quotes are right, shown or not.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from common import answerer_for, beir_questions, relevant_passages, setup

import ir_measures
import numpy as np
from ir_measures import nDCG
from observing import QuestionSet

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question
from qa_service.evaluation.gold import GoldFinder, IndexCorpus
from qa_service.evaluation.measures import DEFAULT, SERVED, SERVICE, EvaluatedQuestion, measure
from qa_service.evaluation.outcome import Outcome
from qa_service.evaluation.run import result_of
from qa_service.evaluation.summary import summarize
from qa_service.index.disk import OpenIndex
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval.candidates import gather
from qa_service.retrieval.fusion import scaled
from qa_service.retrieval.query import Wording
from qa_service.splitting import Splitter

DEPTH = 50
RRF_CONSTANT = 60  # Cormack, Clarke and Büttcher (2009)
CONVEX_DENSE = 0.7
Ranking = Callable[[str, int], list[int]]

# Pairs of a question and words that occur only in its answer.
SEED_QUESTIONS = [
    ("Which treaty provides that either party will act if the other is attacked?", "Mutual Defense Treaty, which"),
    ("What will an ally do if the other is attacked by a third country?", "meet the common danger"),
    ("Who shut down the Kaesong Industrial Complex?", "Park shut down"),
    ("What does the Republic of Korea call the Sea of Japan?", "East Sea"),
    ("How many missile tests did North Korea conduct?", "nearly 20 ballistic"),
    ("What did Trump call Kim Jong-un?", "smart cookie"),
    ("Which city did the general fear a nuclear weapon could reach?", "Denver"),
    ("What did Moon say in Berlin?", "at any time at any place"),
    ("How many people were killed on Yeonpyeong Island?", "killed four South Koreans"),
    ("Who sank the South Korean vessel?", "sunk by a North Korean submarine"),
    ("What was put up in front of the consulate in Busan?", "erected a comfort woman statue"),
    ("How did Japan react to the statue in Busan?", "withdrew its ambassador"),
    ("Who owned the land of the THAAD battery?", "Lotte had owned"),
    ("What assessment delayed the full THAAD deployment in July?", "environmental impact assessment"),
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
    parser.add_argument("--work", type=Path)
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings that differ from the defaults"
    )
    parser.add_argument("--no-context", action="store_true", help="embed passages without title and headings")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[
            *("briefing", "unseen", "xquad_en", "chroma_chunking", "squad2_dev", "nq_passages"),
            *("beir_scifact", "cranfield"),
        ],
    )
    arguments = parser.parse_args()
    if arguments.no_context:
        Splitter._context = lambda *_: ""  # type: ignore[method-assign]  # noqa: SLF001 - what is measured
    chosen = dict(setting.split("=", 1) for setting in arguments.set)
    print(setup(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        for name in arguments.only:
            default = QuestionSet(name, arguments.eval_folder, work, **chosen)
            unread = QuestionSet(name, arguments.eval_folder, work, **{**chosen, "reader": "off"})
            measure_set(default, unread.answerer)
        if arguments.seed:
            seed_page(answerer_for(arguments.seed, work / "seed/index", **chosen))


def measure_set(default: QuestionSet, unread: QuestionAnswerer) -> None:
    """Print the figures of a set; ``unread`` answers from the same index without the reader."""
    answerer = default.answerer
    print(f"{default.name}, {len(answerer.index)} passages")
    questions = [] if default.beir else default.of_file()
    measured = documents_measured(default.beir) if default.beir else spans_measured(questions)
    for way, ranking in ways(answerer, unread).items():
        print(f"  {way:9} {measured(answerer.index, ranking)}", flush=True)
    if questions:
        print(f"  answers without the reader\n{'':12}{answers_measured(unread, questions)}", flush=True)
        print(f"  answers of the default\n{'':12}{answers_measured(answerer, questions)}", flush=True)


def ways(answerer: QuestionAnswerer, unread: QuestionAnswerer) -> dict[str, Ranking]:
    """Return the rankings to compare; each maps a question to passage numbers, best first."""
    index = answerer.index

    def dense(question: str, top_k: int) -> list[int]:
        vector = answerer.question_cache.embed([question])[0].vector
        return index.store.search(vector[None, :], top_k)[0][0].tolist()

    def lexical(question: str, top_k: int) -> list[int]:
        match = index.words.match(question)
        return [] if match is None else match.best(top_k).tolist()

    def reciprocal_ranks(question: str, top_k: int) -> list[int]:
        scores: dict[int, float] = {}
        for leg in (dense, lexical):
            for rank, number in enumerate(leg(question, DEPTH), start=1):
                scores[number] = scores.get(number, 0) + 1 / (RRF_CONSTANT + rank)
        return sorted(scores, key=lambda number: (-scores[number], number))[:top_k]

    def convex(question: str, top_k: int) -> list[int]:
        wording = Wording(question, answerer.question_cache.embed([question])[0])
        (candidates,) = gather(index, [wording], DEPTH)
        lexical_scores = np.zeros_like(candidates.dense) if candidates.lexical is None else candidates.lexical
        fused = CONVEX_DENSE * scaled(candidates.dense) + (1 - CONVEX_DENSE) * scaled(lexical_scores)
        return candidates.numbers[np.argsort(-fused, kind="stable")[:top_k]].tolist()

    def results_of(one: QuestionAnswerer) -> Ranking:
        return lambda question, top_k: [
            result.passage.number for result in one.retrieve(question, AskOptions(top_k=top_k)).results
        ]

    others = {"dense": dense, "BM25": lexical, "RRF": reciprocal_ranks, "convex": convex}
    return others | {"no reader": results_of(unread), "default": results_of(answerer)}


def documents_measured(beir: Path) -> Callable[[OpenIndex, Ranking], str]:
    """Return a function that measures nDCG@10 of documents, each ranked as its best passage."""
    questions = list(beir_questions(beir))

    def measure(index: OpenIndex, ranking: Ranking) -> str:
        qrels = [
            ir_measures.Qrel(number, name, grade) for number, _, grades in questions for name, grade in grades.items()
        ]
        run = []
        for number, question, _ in questions:
            names = [
                index.document_without_text(index.passage(place).document_id).uri[:-3]
                for place in ranking(question, DEPTH)
            ]
            run += [ir_measures.ScoredDoc(number, name, -rank) for rank, name in enumerate(dict.fromkeys(names))]
        return f"nDCG@10 {ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10]:.4f}"

    return measure


def spans_measured(questions: Sequence[Question]) -> Callable[[OpenIndex, Ranking], str]:
    """Return a function that measures hits by overlap, and the share of the references in five passages."""

    def measure(index: OpenIndex, ranking: Ranking) -> str:
        first, five, recalls, ious = [], [], [], []
        for question in (one for one in questions if one.references):
            relevant = relevant_passages(index, question)
            ranked = ranking(question.question, 5)
            hits = [number in relevant for number in ranked]
            first.append(hits[:1] == [True])
            five.append(any(hits))
            if all(reference.start_index is not None for reference in question.references):
                recall, iou = _characters(index, question, ranked)
                recalls.append(recall)
                ious.append(iou)
        figures = f"hit@1 {np.mean(first):.4f}  hit@5 {np.mean(five):.4f}"
        if recalls:
            figures += f"  characters recalled at 5 {np.mean(recalls):.4f}  IoU {np.mean(ious):.4f}"
        return figures

    return measure


def _characters(index: OpenIndex, question: Question, ranked: list[int]) -> tuple[float, float]:
    wanted, got = set(), set()
    for reference in question.references:
        document = index.document_by_uri(reference.document or "")
        assert document is not None
        wanted |= {(document.id, place) for place in range(reference.start_index or 0, reference.end_index or 0)}
    for number in ranked:
        passage = index.passage(number)
        position = passage.position
        got |= {(passage.document_id, place) for place in range(position.start_char, position.end_char)}
    return len(wanted & got) / len(wanted), len(wanted & got) / len(wanted | got)


def answers_measured(answerer: QuestionAnswerer, questions: Sequence[Question]) -> str:
    """Ask all questions; return the measures of service, and the numbers of questions by verdict."""
    finder = GoldFinder(IndexCorpus(answerer.index))
    asked, shown = [], []
    for question in questions:
        gold, answer = finder.gold_of(question.references), answerer.ask(question.question)
        asked.append(EvaluatedQuestion(question, gold, Outcome.of_answer(answer)))
        # Without a verdict all quotes are shown.
        shown.append(EvaluatedQuestion(question, gold, Outcome.of_answer(replace(answer, verdict=None))))
    summary = summarize(map(result_of, asked, measure(asked, DEFAULT)), [], {}, [])
    means = summary.means()
    right = [values[SERVED] for values in measure(shown, DEFAULT) if SERVED in values]
    figures = [f"{name} {means[name]:.4f}" for name in SERVICE] + [f"quote right {np.mean(right):.4f}"]
    counts = [
        f"{verdict} {one.answerable}{f' ({one.right} right)' * bool(one.judged)} and {one.unanswerable} unanswerable"
        for verdict, one in summary.answerability.verdicts.items()
    ]
    return "  ".join(figures) + f"\n{'':12}" + "; ".join(counts)


def seed_page(answerer: QuestionAnswerer) -> None:
    """Print the number of questions with the evidence in the first result, in the answer, and in five results."""
    first = five = titles = results = 0
    for question, evidence in SEED_QUESTIONS:
        texts = [result.scored.passage.text for result in answerer.ask(question, AskOptions(top_k=5)).results]
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
