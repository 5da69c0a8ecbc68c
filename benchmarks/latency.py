"""Time a question in process, its encoding alone, MaxSim of 50 passages, and the steps of understanding, on one thread.

    python benchmarks/latency.py SOURCE QUESTION_FILE [--work FOLDER]

SOURCE is a folder of documents. Prints medians over 300 questions, with alternating timings. For the steps, each
question is asked as it is, and in a form that needs a step; every form is asked with all steps and with none, in turn.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from common import answerer_for, setup

import numpy as np

from qa_service.datatypes import AskOptions, Turn
from qa_service.evaluation import Question, QuestionFile
from qa_service.pipeline import QuestionAnswerer

_WARM_UP, _QUESTIONS = 20, 320


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
        for number, question in enumerate(islice(asked, _QUESTIONS)):
            started = time.perf_counter()
            embedding = answerer.embedder.embed_questions([question])[0]
            encoded = time.perf_counter()
            answerer.ask(question)
            answered = time.perf_counter()
            if tokens is not None and embedding.tokens is not None:
                passages = generator.choice(len(answerer.index), min(50, len(answerer.index)), replace=False)
                tokens.similarities(embedding.tokens, passages).maxsim()
            finished = time.perf_counter()
            if number >= _WARM_UP:
                for name, seconds in zip(
                    times, (encoded - started, answered - encoded, finished - answered), strict=True
                ):
                    times[name].append(1000 * seconds)
        print(setup())
        medians = {name: statistics.median(values) for name, values in times.items()}
        print(f"{len(answerer.index)} passages: " + ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items()))
        print(f"ask / encode {medians['ask'] / medians['encode']:.2f}")
        plain = answerer_for(arguments.source, (arguments.work or Path(scratch)) / "index", question_steps="none")
        time_steps({"all steps": answerer, "no step": plain}, asked[:_QUESTIONS])


def time_steps(ways: dict[str, QuestionAnswerer], questions: Sequence[str]) -> None:
    """Print the median time of each form of the questions, asked with all steps and with none."""
    for name, form in FORMS.items():
        times: dict[str, list[float]] = {way: [] for way in ways}
        understanding: list[float] = []
        for number, question in enumerate(questions):
            text, options = form(question)
            for way, answerer in ways.items():
                answerer.question_cache.forget()
                started = time.perf_counter()
                answerer.ask(text, options)
                times[way].append(1000 * (time.perf_counter() - started))
            started = time.perf_counter()
            ways["all steps"].understand(text, options)
            understanding.append(1000 * (time.perf_counter() - started))
            if number < _WARM_UP:
                times = {way: [] for way in ways}
                understanding = []
        medians = {way: statistics.median(values) for way, values in times.items()}
        more = medians["all steps"] - medians["no step"]
        print(
            f"{name:22} "
            + ", ".join(f"{way} {ms:.2f} ms" for way, ms in medians.items())
            + f", {more:+.2f} ms; understanding alone {statistics.median(understanding):.3f} ms"
        )


def misspelled(question: str) -> str:
    """Return a question with two letters of its longest word swapped."""
    word = max(question.split(), key=len)
    middle = len(word) // 2
    return question.replace(word, word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :], 1)


_NONE = AskOptions()
FORMS: dict[str, Callable[[str], tuple[str, AskOptions]]] = {
    "as it is": lambda question: (question, _NONE),
    "wrapped": lambda question: (f"Hi, could you tell me {question} Thanks!", _NONE),
    "misspelled": lambda question: (misspelled(question), _NONE),
    "follow-up": lambda question: ("And when was that?", AskOptions(history=(Turn(question),))),
    "of two parts": lambda question: (f"{question.rstrip('?')}, and when did it begin?", _NONE),
}


if __name__ == "__main__":
    main()
