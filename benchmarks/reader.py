"""Compare the service without the reader, with the quick and with the careful one: quality, verdicts, cost.

    python benchmarks/reader.py EVAL_FOLDER [--work FOLDER] [--reader off quick careful] [--no-cost]

EVAL_FOLDER holds the sets of benchmarks/confidence.py. All settings but QA_READER are the defaults. "Quoted" is the
share of answerable questions whose quote holds the answer; "served" are those of them that are answered, or given as
uncertain. The cost is measured over HTTP, one question at a time, with the server on a core of its own; each pass over
the shipped questions asks them in other words, so that no cache answers.
"""

import argparse
import http.client
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from common import memory_mb, serving, setup

import numpy as np
from confidence import FITTED_SETS, figures
from observing import (
    ANSWERABLE,
    NEAR_MISS,
    OFF_TOPIC,
    OWN_SETS,
    ROOT,
    QuestionSet,
    SetObservation,
    observations,
)

from qa_service.evaluation import Question, QuestionFile
from qa_service.settings import default_of

PASSES = 4
READER = ROOT / "qa_service/reading"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--reader", nargs="*", default=["off", "quick", "careful"])
    parser.add_argument("--no-cost", action="store_true")
    arguments = parser.parse_args()
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        for mode in arguments.reader:
            print(f"\nQA_READER={mode}", flush=True)
            sets = [QuestionSet(n, arguments.eval_folder, work, reader=mode) for n in (*FITTED_SETS, *OWN_SETS)]
            observed = observations(sets, note=lambda _: None)
            for one in sets:
                print(f"  {one.name:16}", quality([seen for seen in observed if seen.name == one.name]), flush=True)
        if not arguments.no_cost:
            sizes = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.1f} MB" for path in READER.glob("*.onnx"))
            print(f"\n{sizes}")
            for mode in arguments.reader * 2:  # twice, since the machine's speed drifts
                print(f"  {mode:8}", cost(mode, work / "briefing/index"), flush=True)


def quality(observed: Sequence[SetObservation]) -> str:
    """Return the measures of a set as a line."""
    kinds = np.array([one.kind for one in observed])
    confidence = np.array([one.confidence for one in observed])
    right, first, quoted = (
        np.array([getattr(one, name) for one in observed]) for name in ("is_right", "first", "quoted")
    )
    asked, near, off = kinds == ANSWERABLE, kinds == NEAR_MISS, kinds == OFF_TOPIC
    answered, shown = (confidence >= default_of(name) for name in ("min_confidence", "min_uncertain"))
    return (
        f"hit@1 {first[asked].mean():.3f}, hit@5 {right[asked].mean():.3f}, quoted {quoted[asked].mean():.3f}; "
        f"{figures(observed, confidence)}; served {np.sum(quoted & shown & asked)} of {asked.sum()}, answered "
        f"{np.sum(answered & asked)}; near misses answered {np.sum(answered & near)}, uncertain "
        f"{np.sum(shown & ~answered & near)} of {near.sum()}; off topic answered {np.sum(answered & off)}, uncertain "
        f"{np.sum(shown & ~answered & off)} of {off.sum()}"
    )


def cost(mode: str, index: Path) -> str:
    """Return latency and memory of a server over HTTP as a line."""
    source, questions = OWN_SETS["briefing"]
    asked = [item.question for item in QuestionFile(questions) if isinstance(item, Question)]
    with serving("--source", str(source), "--index", str(index), apart=True, QA_READER=mode) as (url, process):
        at = urlsplit(url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port)
        milliseconds = []
        for number in range(PASSES):
            for question in asked:
                body = json.dumps({"question": question.rstrip("?") + " " * number + "?"})
                started = time.perf_counter()
                connection.request("POST", "/ask", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                assert response.status == http.client.OK
                milliseconds.append(1000 * (time.perf_counter() - started))
        cuts = np.percentile(milliseconds[len(asked) :], (50, 90, 99))  # the first pass warms up
        return "p50 {:.1f} ms, p90 {:.1f} ms, p99 {:.1f} ms".format(*cuts) + f", memory {memory_mb(process):.0f} MB"


if __name__ == "__main__":
    main()
