"""Time a question in process, its encoding alone, and MaxSim of 50 passages, on one thread.

    python benchmarks/latency.py SOURCE QUESTION_FILE [--work FOLDER]

SOURCE is a folder of documents. Prints medians over 300 questions, with alternating timings.
"""

import argparse
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

from common import answerer_for, setup

import numpy as np

from qa_service.evaluation import Question, QuestionFile


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        answerer = answerer_for(arguments.source, (arguments.work or Path(scratch)) / "index")
        asked = [item.question for item in QuestionFile(arguments.questions) if isinstance(item, Question)]
        times: dict[str, list[float]] = {"encode": [], "ask": [], "MaxSim of 50": []}
        tokens = answerer.index.tokens
        generator = np.random.default_rng(1)
        for number, question in enumerate(islice(asked, 320)):
            started = time.perf_counter()
            embedding = answerer.embedder.embed_questions([question])[0]
            encoded = time.perf_counter()
            answerer.ask(question)
            answered = time.perf_counter()
            if tokens is not None and embedding.tokens is not None:
                passages = generator.choice(len(answerer.index), min(50, len(answerer.index)), replace=False)
                tokens.similarities(embedding.tokens, passages).maxsim()
            finished = time.perf_counter()
            if number >= 20:  # noqa: PLR2004 - the first ones warm up
                for name, seconds in zip(
                    times, (encoded - started, answered - encoded, finished - answered), strict=True
                ):
                    times[name].append(1000 * seconds)
        print(setup())
        medians = {name: statistics.median(values) for name, values in times.items()}
        print(f"{len(answerer.index)} passages: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items()))
        print(f"ask / encode {medians['ask'] / medians['encode']:.2f}")


if __name__ == "__main__":
    main()
