"""Measure questions with typos: the right passage first, with and without correction, and that others stay as they are.

    python benchmarks/question_typos.py EVAL_FOLDER [--work FOLDER] [--every N] [--only NAME …]

EVAL_FOLDER holds xquad_en/ and nq_passages/ (documents/ and questions.jsonl). Each question is asked as it is, with one
typo and with two, in different words of at least four letters: two letters swapped, one dropped, doubled, or replaced
by its neighbour on the keyboard, all equally likely. The typos are the same in every run. A question counts as right if
its first result overlaps the expected span. The reader is off. ``--every`` takes every N-th question.
"""

import argparse
import random
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import relevant_passages, setup

from observing import QuestionSet

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings.fields import QUESTION_STEPS

SPELLING = "spelling"
SEED = 20261128
_WORD = re.compile(r"[A-Za-z]{4,}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {key: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, key in enumerate(row)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["briefing", "xquad_en", "nq_passages"])
    arguments = parser.parse_args()
    print(setup(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.only:
            measure(name, arguments.eval_folder, arguments.work or Path(scratch), arguments.every)


def measure(name: str, folder: Path, work: Path, every: int) -> None:
    """Print the figures of a set."""
    without = ",".join(step for step in QUESTION_STEPS if step != SPELLING)
    plain = QuestionSet(name, folder, work, reader="off", question_steps=without)
    corrected = QuestionSet(name, folder, work, reader="off").answerer
    questions = [one for one in plain.of_file() if one.references][::every]
    relevant = [relevant_passages(plain.answerer.index, one) for one in questions]
    print(f"{name}, {len(questions)} questions")
    for typos in range(3):
        texts = spoiled(questions, typos)
        found = [[first_result(one, text) for text in texts] for one in (plain.answerer, corrected)]
        rights = [
            statistics.mean(number in own for number, own in zip(numbers, relevant, strict=True)) for numbers in found
        ]
        changed = sum(one != other for one, other in zip(*found, strict=True))
        seconds, corrections = time_of(corrected, texts)
        print(
            f"  {typos} typos: hit@1 {rights[0]:.4f} without, {rights[1]:.4f} with correction; {corrections} questions "
            f"corrected, {changed} with another first result; {seconds * 1e6:.0f} µs to understand one",
            flush=True,
        )


def spoiled(questions: Sequence[Question], typos: int) -> list[str]:
    """Return the questions with so many typos each, or fewer where they have fewer words of four letters."""
    generator = random.Random(SEED)  # noqa: S311 - typos need no secrecy
    found = []
    for one in questions:
        text = one.question
        words = [match.span() for match in _WORD.finditer(text)]
        for start, end in sorted(generator.sample(words, min(typos, len(words))), reverse=True):
            text = text[:start] + with_typo(text[start:end], generator) + text[end:]
        found.append(text)
    return found


def with_typo(word: str, generator: random.Random) -> str:
    """Return a word of at least two letters with one typo."""
    kind, at = generator.choice(("swap", "drop", "double", "neighbour")), generator.randrange(len(word))
    if kind == "swap":
        at = min(at, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "drop":
        return word[:at] + word[at + 1 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    key = generator.choice(_NEIGHBOURS[word[at].lower()])
    return word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]


def first_result(answerer: QuestionAnswerer, question: str) -> int:
    """Return the number of the first passage, -1 without one."""
    results = answerer.retrieve(question, AskOptions(top_k=1)).results
    return results[0].passage.number if results else -1


def time_of(answerer: QuestionAnswerer, questions: Sequence[str]) -> tuple[float, int]:
    """Return the median of the seconds that understanding a question takes, and how many questions were corrected."""
    seconds, corrections = [], 0
    for question in questions:
        started = time.perf_counter()
        understood = answerer.understand(question)
        seconds.append(time.perf_counter() - started)
        corrections += bool(understood.corrections)
    return statistics.median(seconds), corrections


if __name__ == "__main__":
    main()
