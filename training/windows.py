"""Retrieve the windows that a reader learns from: the best sentences of the best passages, with their neighbours.

    python -m training.windows DATA WORK

DATA holds question sets as ``NAME.jsonl.xz``. For each of them WORK gets an index of its contexts and
``windows-NAME.jsonl``, unless it is there. The service itself retrieves the windows, so that the reader learns from
the texts that it will be given.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from qa_service.datatypes import AskOptions, ScoredPassage
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval.quotes import grown
from qa_service.settings import load_settings
from training.records import Record, SetQuestion, Window, read_questions, windows_file, write_records

WINDOWS_PER_QUESTION = 4
MAX_QUESTION_CHARACTERS = 2000
# Sets of many questions on few sentences are thinned.
MAX_QUESTIONS = {"qamr": 9000, "friendsqa": 1200}


class WindowFinder:
    """Asks an index of the contexts of one set, in which a context's number is its file's name."""

    def __init__(self, answerer: QuestionAnswerer, numbers: dict[str, int]) -> None:
        self._answerer, self._numbers = answerer, numbers

    def record(self, asked: SetQuestion) -> Record:
        """Return a question with its windows."""
        document = self._answerer.index.document_by_uri(file_name(self._numbers[asked.context]))
        document_id = document.id if document else None  # no passage may be left of a context
        question = asked.question[:MAX_QUESTION_CHARACTERS]
        retrieved = self._answerer.retrieve(question, AskOptions(top_k=WINDOWS_PER_QUESTION))
        best = retrieved.quotes[0].result
        windows = tuple(
            _window(result, document_id, best=place == best) for place, result in enumerate(retrieved.results)
        )
        gold = self._gold(document_id, asked.answers[0].start) if document_id and asked.answers else None
        return Record(asked.id, question, asked.title, asked.answerable, asked.answers, windows, gold)

    def _gold(self, document_id: str, at: int) -> Window | None:
        """Return the window around the sentence of a context that holds a character."""
        for number in self._answerer.index.overlapping(document_id, at, at + 1):
            passage = self._answerer.index.passage(int(number))
            offset = passage.position.start_char
            for chosen, sentence in enumerate(passage.sentences):
                if offset + sentence[0] <= at < offset + sentence[1]:
                    start, end = grown(passage, chosen)
                    return Window(passage.text[start:end], offset + start, best=False, confidence=None)
        return None


def _window(result: ScoredPassage, document_id: str | None, *, best: bool) -> Window:
    passage = result.passage
    start, end = grown(passage, passage.sentences.index(result.quote))
    at = passage.position.start_char + start if passage.document_id == document_id else None
    return Window(passage.text[start:end], at, best, result.confidence)


def file_name(number: int) -> str:
    """Return the name of the file of a context."""
    return f"{number:05d}.txt"


def thinned(questions: list[SetQuestion], most: int | None) -> list[SetQuestion]:
    """Return at most ``most`` questions, evenly spaced."""
    if most is None or len(questions) <= most:
        return questions
    step = len(questions) / most
    return [questions[int(number * step)] for number in range(most)]


def write_contexts(questions: list[SetQuestion], source: Path) -> dict[str, int]:
    """Write each context as a file into ``source``; return their numbers."""
    source.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, int] = {}
    for asked in questions:
        number = numbers.setdefault(asked.context, len(numbers))
        (source / file_name(number)).write_text(asked.context, encoding="utf-8", newline="")
    return numbers


def records(questions: list[SetQuestion], work: Path, name: str) -> Iterator[Record]:
    """Build an index of the contexts of a set, and yield what it finds for each question."""
    settings = load_settings(source=work / "sources" / name, index=work / "indexes" / name, reader="off")
    numbers = write_contexts(questions, settings.source)
    build(settings, embedder_to_build(settings))
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    finder = WindowFinder(answerer, numbers)
    for asked in questions:
        yield finder.record(asked)


def main() -> None:
    """Write the windows of every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    arguments = parser.parse_args()
    for path in sorted(arguments.data.glob("*.jsonl.xz")):
        name = path.name.removesuffix(".jsonl.xz")
        if not windows_file(arguments.work, name).exists():
            questions = thinned(read_questions(path), MAX_QUESTIONS.get(name))
            print(name, len(questions), "questions", flush=True)
            write_records(arguments.work, name, records(questions, arguments.work, name))


if __name__ == "__main__":
    main()
