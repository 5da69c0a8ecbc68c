"""Asks the questions of several sets, answerable ones, near misses and others, and keeps what the service saw.

A near miss is an unanswerable question of the set, or an answerable one that is asked while all passages with its
answer are left out; a question off topic is one of another set.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import answerer_for, beir_documents, beir_questions, relevant_passages

import numpy as np

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.calibrate import Observation
from qa_service.evaluation.measures import normalized
from qa_service.retrieval.evidence import evidence_row

ROOT = Path(__file__).parent.parent
ANSWERABLE, NEAR_MISS, OFF_TOPIC = "answerable", "near miss", "off topic"
OWN_SETS = {
    "briefing": (ROOT / "source_text", ROOT / "tests/data/us-korea-questions.jsonl"),
    "unseen": (ROOT / "tests/data/unseen/documents", ROOT / "tests/data/unseen/questions.jsonl"),
}
# Articles of SQuAD whose near misses the reader was trained on; XQuAD shares some of them.
TRAINED_ARTICLES = frozenset(
    (
        *("Normans", "Computational_complexity_theory", "Huguenot", "Steam_engine", "1973_oil_crisis", "Warsaw"),
        *("European_Union_law", "Packet_switching", "Harvard_University", "Yuan_dynasty", "Immune_system", "Force"),
        *("Scottish_Parliament", "Islamism", "Imperialism", "French_and_Indian_War"),
    )
)
MAX_QUESTIONS = 1500
_NEAR_MISS_EVERY, _OFF_TOPIC_EVERY = 2, 3
_MIN_PARAGRAPH_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class SetObservation(Observation):
    """A question of a ``kind`` and of the set with a ``name``, as it was answered.

    ``first`` tells whether the first result holds the answer, ``quoted`` whether the quote does.
    """

    name: str
    kind: str
    confidence: float
    first: bool
    quoted: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the passages with its answer, and the answers as normalised texts; unanswerable without passages."""

    text: str
    relevant: frozenset[int]
    answers: tuple[str, ...]
    answerable: bool


class QuestionSet:
    """A set with its index and its questions."""

    def __init__(self, name: str, folder: Path, work: Path, **settings: object) -> None:
        self.name = name
        beir = folder / name
        self.beir = beir if (beir / "corpus.jsonl").exists() else None
        own = OWN_SETS.get(name)
        documents = own[0] if own else beir / "documents"
        source = beir_documents(beir, work / name / "documents") if self.beir else documents
        self._trained = frozenset() if own or self.beir else trained_documents(folder, source)
        self._file = own[1] if own else beir / "questions.jsonl"
        index = work / name / ("index" if settings.get("token_vectors", True) else "index-without-tokens")
        self.answerer = answerer_for(source, index, **settings)

    def questions(self) -> list[Asked]:
        """Return the questions, of those that the reader was not trained on; long sets are thinned evenly."""
        return list(self._of_beir(self.beir)) if self.beir else list(self._of_file())

    def of_file(self) -> list[Question]:
        """Return the questions of the set's file, chosen like those of :meth:`questions`."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        found = [
            item
            for item in QuestionFile(self._file)
            if isinstance(item, Question) and not _documents(json.loads(lines[item.line - 1])) & self._trained
        ]
        return found[:: max(1, -(-len(found) // MAX_QUESTIONS))]

    def _of_file(self) -> Iterator[Asked]:
        index = self.answerer.index
        for item in self.of_file():
            relevant = relevant_passages(index, item) if item.answerable else set()
            yield Asked(item.question, frozenset(relevant), tuple(map(normalized, item.answers)), item.answerable)

    def _of_beir(self, beir: Path) -> Iterator[Asked]:
        index = self.answerer.index
        by_name: dict[str, list[int]] = {}
        for number in range(len(index)):
            uri = index.document_without_text(index.passage(number).document_id).uri
            by_name.setdefault(uri.removesuffix(".md"), []).append(number)
        for _, text, grades in beir_questions(beir):
            relevant = frozenset(number for name in grades for number in by_name.get(name, []))
            yield Asked(text, relevant, (), answerable=True)


def _documents(line: dict[str, Any]) -> set[str]:
    """Return the names of the documents that a line of a question file is about."""
    return {line.get("about_document", ""), *(one.get("document", "") for one in line.get("references", []))}


def trained_documents(folder: Path, documents: Path) -> frozenset[str]:
    """Return the names of the documents with a paragraph that the reader was trained on.

    ``folder`` holds squad2_dev/, whose articles XQuAD has under other names.
    """
    known: set[str] = set()
    for path in (folder / "squad2_dev/documents").glob("*.txt"):
        if path.stem in TRAINED_ARTICLES:
            known |= _paragraphs(path)
    return frozenset(path.name for path in documents.glob("*.txt") if known & _paragraphs(path))


def _paragraphs(path: Path) -> set[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return {line for line in lines if len(line) >= _MIN_PARAGRAPH_CHARACTERS}


def observations(sets: list[QuestionSet], note: Callable[[str], None] = print) -> list[SetObservation]:
    """Ask all questions of all sets, and of each set some of the next one as off topic."""
    found = []
    asked = [one.questions() for one in sets]
    for place, one in enumerate(sets):
        strangers = asked[(place + 1) % len(sets)][::_OFF_TOPIC_EVERY] if len(sets) > 1 else []
        for number, question in enumerate(asked[place]):
            found.append(observed(one, question, ANSWERABLE if question.answerable else NEAR_MISS))
            if (
                question.answerable
                and question.relevant
                and number % _NEAR_MISS_EVERY == 0
                and _needs_near(asked[place])
            ):
                found.append(observed(one, question, NEAR_MISS, without=True))
        found += [observed(one, question, OFF_TOPIC) for question in strangers[: len(asked[place])]]
        note(f"  {one.name}: {sum(seen.name == one.name for seen in found)} questions asked")
    return found


def _needs_near(questions: list[Asked]) -> bool:
    """Tell whether a set has no unanswerable questions of its own."""
    return all(question.answerable for question in questions)


def observed(one: QuestionSet, question: Asked, kind: str, *, without: bool = False) -> SetObservation:
    """Ask a question; ``without`` leaves out the passages with its answer."""
    out = np.array(sorted(question.relevant)) if without else None
    retrieved = one.answerer.retrieve(question.text, AskOptions(top_k=5), without=out)
    relevant = question.relevant if kind == ANSWERABLE else frozenset()
    hits = [result.passage.number in relevant for result in retrieved.results]
    assert retrieved.evidence is not None
    best = retrieved.quotes[0]
    text = retrieved.results[best.result].passage.text
    quote = f" {normalized(text[slice(*best.place)])} "
    return SetObservation(
        name=one.name,
        kind=kind,
        confidence=retrieved.confidence or 0.0,
        evidence=evidence_row(retrieved.evidence),
        read=None if retrieved.read is None else evidence_row(retrieved.read),
        is_right=any(hits),
        first=hits[:1] == [True],
        quoted=kind == ANSWERABLE and any(f" {answer} " in quote for answer in question.answers if answer),
    )
