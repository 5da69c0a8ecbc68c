"""Compare the default model with a multilingual one, in English, Korean, Spanish and German: docs/languages.md.

    python benchmarks/multilingual_model.py FOLDER
    python benchmarks/multilingual.py FOLDER [--set NAME=VALUE …] [--folder EVAL_FOLDER]

A row for each model and set: questions in four languages on the English briefing, and Korean questions on Korean
documents. EVAL_FOLDER holds xquad_en/ (documents/ and questions.jsonl), of which every third question is asked.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from common import answerer_for, memory_mb, relevant_passages, serving, setup

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question, QuestionFile
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests/data"
LANGUAGES = DATA / "languages"
COLUMNS = (
    "documents",
    "questions",
    "model",
    "n",
    "hit@1",
    "hit@5",
    "answered / uncertain / not found",
    "no answer: same",
)
_VERDICTS = ("answered", "uncertain", "not_found")
_XQUAD_EVERY = 3


@dataclass(frozen=True, slots=True)
class Documents:
    """A folder of documents, its question files with their step, by name, and the stemmer for its language."""

    name: str
    folder: Path
    files: dict[str, tuple[Path, int]]
    language: str


def main() -> None:
    """Print the table, and a line on the cost of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of the multilingual model")
    parser.add_argument("--folder", type=Path, help="folder with xquad_en/")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings that are not the default")
    arguments = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in arguments.set)
    print(setup())
    print(f"\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in (DEFAULT_MODEL, str(arguments.model)):
            for documents in sets(arguments.folder):
                index = Path(scratch) / Path(model).name / documents.name
                started = time.perf_counter()
                answerer = answerer_for(documents.folder, index, model=model, language=documents.language, **settings)
                seconds = time.perf_counter() - started
                for name, (file, step) in documents.files.items():
                    shown = (documents.name, name, Path(model).name)
                    print(f"| {' | '.join((*shown, *measured(answerer, file, step)))} |", flush=True)
                if documents.name == "briefing":
                    costs.append(cost(answerer, documents.folder, index, model, seconds))
    print("", *costs, sep="\n")


def sets(evaluation: Path | None) -> list[Documents]:
    """Return the documents to ask, with their questions."""
    briefing = {"english": (DATA / "us-korea-questions.jsonl", 1)}
    briefing |= {name: (LANGUAGES / f"us-korea-{name}.jsonl", 1) for name in ("korean", "spanish", "german")}
    found = [
        Documents("briefing", ROOT / "source_text", briefing, "english"),
        Documents("korean", LANGUAGES / "korean", {"korean": (LANGUAGES / "korean.jsonl", 1)}, "none"),
    ]
    if evaluation is not None:
        folder = evaluation / "xquad_en"
        questions = {"english": (folder / "questions.jsonl", _XQUAD_EVERY)}
        found.append(Documents("xquad_en", folder / "documents", questions, "english"))
    return found


def measured(answerer: QuestionAnswerer, file: Path, step: int) -> tuple[str, ...]:
    """Return the number of answerable questions, the shares with a right first result and among five, and verdicts."""
    ranks: list[int | None] = []
    verdicts: dict[bool, Counter[str | None]] = {True: Counter(), False: Counter()}
    for question in [item for item in QuestionFile(file) if isinstance(item, Question)][::step]:
        answer = answerer.ask(question.question, AskOptions(top_k=5))
        verdicts[question.answerable][answer.verdict] += 1
        if question.answerable:
            relevant = relevant_passages(answerer.index, question)
            uris = [place for place, result in enumerate(answer.results) if result.scored.passage.number in relevant]
            ranks.append(min(uris, default=None))
    hits = (statistics.mean(rank is not None and rank < depth for rank in ranks) for depth in (1, 5))
    return (
        str(len(ranks)),
        *(f"{share:.2f}".removeprefix("0") for share in hits),
        *map(_counts, (verdicts[True], verdicts[False])),
    )


def _counts(verdicts: Counter[str | None]) -> str:
    return "no verdict" if verdicts[None] else " / ".join(str(verdicts[name]) for name in _VERDICTS)


def cost(answerer: QuestionAnswerer, source: Path, index: Path, model: str, seconds: float) -> str:
    """Return a line on size, time and memory of a model."""
    texts = [item.question for item in QuestionFile(DATA / "us-korea-questions.jsonl") if isinstance(item, Question)]
    times = []
    for text in texts:
        started = time.perf_counter()
        answerer.ask(" ".join(reversed(text.split())))  # a question that is not in the cache
        times.append(1000 * (time.perf_counter() - started))
    megabytes = sum(path.stat().st_size for path in index.glob("models/*-int8-[0-9]/model.onnx")) / 1e6
    environment = {"QA_MODEL": model, "QA_SOURCE": str(source), "QA_INDEX": str(index)}
    with serving(**environment) as (address, process):
        urlopen(f"{address}/readyz").read()
        memory = memory_mb(process)
    return (
        f"{Path(model).name}: {answerer.embedder.runtime}, graph {megabytes:.0f} MB, export and index of the briefing "
        f"{seconds:.0f} s, a question {statistics.median(times):.1f} ms, server {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
