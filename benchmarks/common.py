"""Shared by the benchmark scripts: one thread for asking, an index of a folder, BEIR sets, the line on the set-up."""

import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

# As `qa-service serve` does: threads of several libraries in one process wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.gold import GoldFinder, IndexCorpus
from qa_service.index.disk import OpenIndex
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings, load_settings


def answerer_for(source: Path, index: Path, **settings: object) -> QuestionAnswerer:
    """Build an index of ``source``, by default with the default settings, and open it to ask with one thread."""
    chosen: Settings = load_settings(source=source, index=index, **settings)
    build(chosen, embedder_to_build(chosen))
    answerer, _ = open_answerer(chosen, embedder_to_ask(chosen))
    answerer.self_test()
    return answerer


def setup() -> str:
    """Return a line on machine, versions and load, for the head of every table of figures."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "sentence-transformers", "faiss-cpu"))
    load = f"load average {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores, {load}; {versions}"


def beir_documents(beir: Path, folder: Path) -> Path:
    """Write a BEIR corpus as Markdown files with the title as heading; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (beir / "corpus.jsonl").open(encoding="utf-8") as corpus:
        for line in corpus:
            document = json.loads(line)
            title = " ".join(document.get("title", "").split())
            heading = f"# {title}\n\n" if title else ""
            (folder / f"{document['_id']}.md").write_text(heading + document["text"].strip() + "\n", encoding="utf-8")
    return folder


def beir_questions(beir: Path) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield id, question and graded relevant documents of each question with judgements."""
    grades: dict[str, dict[str, int]] = {}
    for line in (beir / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        question, document, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(question, {})[document] = int(grade)
    with (beir / "queries.jsonl").open(encoding="utf-8") as questions:
        for line in questions:
            entry = json.loads(line)
            if entry["_id"] in grades:
                yield entry["_id"], entry["text"], grades[entry["_id"]]


def relevant_passages(index: OpenIndex, question: Question) -> set[int]:
    """Return the numbers of the passages that share a character with a reference of a question."""
    found: set[int] = set()
    for places in GoldFinder(IndexCorpus(index)).gold_of(question.references).spans:
        for span in places:
            document = index.document_by_uri(span.uri)
            assert document is not None
            found.update(index.overlapping(document.id, span.start, span.end))
    return found


def shuffled_questions(file: Path, seed: int) -> list[str]:
    """Seed the random generator and return the questions of a file in random order."""
    random.seed(seed)
    questions = [item.question for item in QuestionFile(file) if isinstance(item, Question)]
    random.shuffle(questions)
    return questions


@contextmanager
def serving(*arguments: str, apart: bool = False, **environment: str) -> Iterator[tuple[str, int]]:
    """Run ``qa-service serve`` on a free port; yield its address and process id.

    ``apart`` pins the server to the first core and this process to the last one.
    """
    if apart:
        os.sched_setaffinity(0, {0})  # inherited by the server and its threads
    command = [sys.executable, "-m", "qa_service", "serve", "--port", "0", *arguments]
    with (
        tempfile.NamedTemporaryFile("w") as log,  # a pipe without a reader would block the log
        subprocess.Popen(command, stderr=log, env=os.environ | environment) as server,
    ):
        try:
            while not (found := re.search(r"http://[\d.]+:\d+", Path(log.name).read_text(encoding="utf-8"))):
                assert server.poll() is None, "the server did not start"
                time.sleep(0.01)
            if apart:
                os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
            yield found.group(), server.pid
        finally:
            server.terminate()


def memory_mb(process: int, *, most: bool = False) -> float:
    """Return the resident memory of a process without its children, or the maximum so far."""
    name = "VmHWM" if most else "VmRSS"
    with Path(f"/proc/{process}/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name)) / 1024


def cpu_seconds(process: int) -> float:
    """Return the time that a process and its descendants have computed."""
    folder = Path(f"/proc/{process}")
    fields = (folder / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
    children = " ".join(path.read_text(encoding="ascii") for path in folder.glob("task/*/children")).split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)
