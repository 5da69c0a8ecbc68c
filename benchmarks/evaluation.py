"""Time the evaluation of a question file and its questions asked one by one; check the measures.

    python benchmarks/evaluation.py EVAL_FOLDER [--only NAME …] [--jobs N] [--work FOLDER]

EVAL_FOLDER is that of quality.py. Sets are evaluated in their own formats: our question files, and BEIR folders whose
corpus is indexed by its lines. The measures are compared with those that trec_eval's code computes from the written
run and qrels.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from common import setup

import ir_measures
from ir_measures import RR

from qa_service.cli.options import beir_settings
from qa_service.datatypes import AskOptions
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.evaluation import EvaluationOptions, Question, QuestionFile, Target, evaluate
from qa_service.evaluation.gold import IndexCorpus
from qa_service.evaluation.measures import DEFAULT
from qa_service.evaluation.run import QRELS_TREC, RUN_TREC
from qa_service.evaluation.targets import InProcessAsker, ProcessPoolAsker
from qa_service.pipeline import build, open_answerer
from qa_service.settings import load_settings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--only", nargs="*", default=["xquad_en", "chroma_chunking", "cranfield"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    print(setup(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only:
            measure(arguments.eval_folder / name, (arguments.work or Path(scratch)) / name, arguments.jobs)


def measure(folder: Path, work: Path, jobs: int) -> None:
    """Print the figures of one set."""
    beir = (folder / "corpus.jsonl").exists()
    source = beir_settings(folder) if beir else {"source": folder / "documents"}
    settings = load_settings(index=work / "index", **source)
    build(settings, embedder_to_build(settings))
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    answerer.self_test()
    questions = QuestionFile(folder if beir else folder / "questions.jsonl")
    asked = [item.question for item in questions if isinstance(item, Question)]
    started = time.perf_counter()
    for question in asked:
        answerer.ask(question, AskOptions(top_k=10))
    alone = time.perf_counter() - started
    answerer.question_cache.forget()
    corpus = IndexCorpus(answerer.index)
    processes = ProcessPoolAsker(settings, jobs)
    processes.ask([(asked[0], 1)] * jobs * 4)  # starts them
    print(f"{folder.name}: {len(asked)} questions one by one {alone:.1f} s")
    for label, asker in (("in one process", InProcessAsker(answerer)), (f"by {jobs} processes", processes)):
        output = work / label.replace(" ", "-")
        started = time.perf_counter()
        summary = evaluate(questions, Target(asker, corpus), output, EvaluationOptions(overwrite=True))
        seconds = time.perf_counter() - started
        print(f"  evaluated {label} {seconds:.1f} s, {alone / seconds:.2f} times as fast", flush=True)
    processes.close()
    means = summary.means()
    worst = max(abs(value - means[name]) for name, value in trec_eval(output).items())
    shown = ", ".join(f"{name} {means[str(name)]:.4f}" for name in DEFAULT[:6])
    print(f"  {shown}; {summary.scored} scored, {len(summary.problems)} left out; off trec_eval by {worst:.1e} at most")
    answerer.index.close()


def trec_eval(output: Path) -> dict[str, float]:
    """Return the measures that trec_eval's code computes from a run; RR@10 is the RR of ten results."""
    qrels = list(ir_measures.read_trec_qrels(str(output / QRELS_TREC)))
    run = list(ir_measures.read_trec_run(str(output / RUN_TREC)))
    found = ir_measures.pytrec_eval.calc_aggregate([name for name in DEFAULT if name != RR @ 10], qrels, run)
    first_ten = [line for line in run if line.score >= 1 / 10]  # scores are 1 by rank
    found |= {RR @ 10: ir_measures.pytrec_eval.calc_aggregate([RR], qrels, first_ten)[RR]}
    return {str(name): value for name, value in found.items()}


if __name__ == "__main__":
    main()
