"""Record many made-up questions, and measure the report on them: seconds, memory, bytes on disk.

``python benchmarks/analytics.py [--questions 1000000]``. A third of the questions are not answered; they are about
3,000 things, so that there is something to cluster. The report runs in a process of its own, whose memory is measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from qa_service.analytics import RECORD
from qa_service.analytics.file import DAY_SECONDS, RecordedQuestion, RecordFile, digest, wording_of
from qa_service.analytics.report import summarize
from qa_service.analytics.vectors import packed

TOPICS, DOCUMENTS, DIMENSION, DAYS = 3000, 2000, 384, 60
BATCH = 5000


def made_up(count: int) -> Iterator[RecordedQuestion]:
    """Yield questions of the last 60 days, in order of time."""
    random = np.random.default_rng(5)
    topics = random.normal(size=(TOPICS, DIMENSION)).astype(np.float32)
    start = time.time() - DAYS * DAY_SECONDS
    for number in range(count):
        topic = int(min(random.pareto(0.8) * 20, TOPICS - 1))
        variant = int(random.integers(200))
        verdict = ("answered", "uncertain", "not_found")[topic % 3]
        question = f"Question {variant} about thing {topic}, which readers wonder about?"
        vector = packed(topics[topic] + 0.4 * random.normal(size=DIMENSION).astype(np.float32))
        uris = [f"docs/{int(one)}.md" for one in random.integers(DOCUMENTS, size=1 + variant % 2)]
        yield RecordedQuestion(
            asked_at=int(start + number * DAYS * DAY_SECONDS / count),
            collection="",
            verdict=verdict,
            confidence=0.5,
            documents=json.dumps(uris) if verdict != "not_found" else "[]",
            milliseconds=float(random.gamma(2, 4)),
            answer=digest(str(number)),
            question=question,
            wording=wording_of(question),
            model="m" if verdict != "answered" else None,
            vector=vector if verdict != "answered" else None,
        )


def report(folder: Path) -> None:
    """Print the seconds of a report, the peak of the process's memory before and after, and the number of gaps."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, cpu = time.perf_counter(), time.process_time()
    found = summarize(folder / RECORD, "", DAYS // 2).report
    print(
        f"report of {found.period.questions:,} questions and {found.before.questions if found.before else 0:,} before: "
        f"{time.perf_counter() - started:.1f} s ({time.process_time() - cpu:.1f} s of CPU), "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB ({before:.0f} MB before), "
        f"{len(found.gaps)} gaps, the first of {found.gaps[0].count:,} questions"
    )


def main() -> None:
    """Record, then report in another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--report", type=Path, help="report on the record in this folder only")
    parser.add_argument("--work", type=Path, help="folder for the record, which is kept")
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.report)
        return
    with tempfile.TemporaryDirectory(dir=arguments.work) as temporary:
        folder = arguments.work or Path(temporary)
        questions, written, started = made_up(arguments.questions), 0.0, time.perf_counter()
        with RecordFile(folder / RECORD) as file:
            while rows := list(islice(questions, BATCH)):
                began = time.perf_counter()
                file.add(rows)
                written += time.perf_counter() - began
        size = (folder / RECORD).stat().st_size / 1e6
        print(f"{arguments.questions:,} questions: written in {written:.0f} s, {size:.0f} MB", flush=True)
        print(f"made up in {time.perf_counter() - started - written:.0f} s", flush=True)
        subprocess.run([sys.executable, __file__, "--report", folder], check=True)


if __name__ == "__main__":
    main()
