"""Pinned answers: which questions get one, and what the answer is then."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, TWO_DOCUMENTS, FakeEmbedder, app_for, settings_below
from starlette.testclient import TestClient

from qa_service.datatypes import AskOptions, Filters, Pin, UnderstoodQuestion
from qa_service.embedding.runtime import ExportedEmbedder
from qa_service.index.pins import Pins
from qa_service.indexing.pins import _vectors
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import Query
from qa_service.retrieval.pins import PinFinder
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
OWN = [json.loads(line) for line in (ROOT / "tests/data/pinned-questions.jsonl").read_text().splitlines()]


def pin(*questions: str, document: str = "zoo/animals.md", quote: str = "It barks at foxes.") -> str:
    return json.dumps({"questions": questions, "document": document, "quote": quote}) + "\n"


@pytest.fixture
def ask(settings: Settings, folder: Write, fake: FakeEmbedder) -> Callable[..., QuestionAnswerer]:
    """Return a function that opens an index of two documents with a file of pins."""

    def opened(pins: str, **changed: Any) -> QuestionAnswerer:
        own = settings.model_copy(update={"top_k": 3, **changed})
        folder({**TWO_DOCUMENTS, "answers.jsonl": pins})
        assert build(own, fake).warnings == ()
        return open_answerer(own, fake)[0]

    return opened


def test_a_pinned_question_is_answered_with_its_quote(ask: Callable[..., QuestionAnswerer]) -> None:
    """Whatever the ranking says, in any case, with a citation as always; the other results follow."""
    answerer = ask(pin("Where does the cat sleep?", "What makes noise?"))
    before = answerer.ask("Where does a cat sleep at noon on the mat?")
    assert not before.pinned
    for question in ("where does the CAT sleep", "what makes noise??", "Where does cat sleep"):
        answer = answerer.ask(question, AskOptions(explain=True))
        assert (answer.pinned, answer.verdict, answer.confidence) == (True, "answered", 1.0)
        assert (answer.reason, answer.best) == (None, 0)
        first = answer.results[0]
        assert first.citation.quote == "It barks at foxes."
        assert answerer.citation(first.citation.permalink).state == "exact"
        assert [one.scored.rank for one in answer.results] == [1, 2, 3]
        assert len({one.scored.passage.number for one in answer.results}) == 3
        scores = [one.scored.score for one in answer.results]
        assert scores == sorted(scores, reverse=True)
        assert all(one.scored.explanation is not None for one in answer.results)
    (only,) = answerer.ask("where does the cat sleep", AskOptions(top_k=1)).results
    assert only.citation.quote == "It barks at foxes."


def test_an_index_without_pins_has_no_file_of_them(ask: Callable[..., QuestionAnswerer]) -> None:
    """And its id is the one without ``answers.jsonl``."""
    answerer = ask("")
    assert not answerer.index.manifest.has_pins
    assert answerer.index.manifest.pins != ""
    assert not answerer.ask("Where does the cat sleep?").pinned


def test_filters_that_exclude_the_document_exclude_the_pin(ask: Callable[..., QuestionAnswerer]) -> None:
    """By id, path or section."""
    answerer = ask(pin("Where does the cat sleep?"))
    own = answerer.index.document_id_at("zoo/animals.md") or ""
    other = answerer.index.document_id_at("sea.txt") or ""
    for filters, pinned in (
        (Filters(document_ids=(own,)), True),
        (Filters(document_ids=(own, other)), True),
        (Filters(document_ids=(other,)), False),
        (Filters(path_prefixes=("zoo/",)), True),
        (Filters(path_prefixes=("sea",)), False),
        (Filters(sections=("Dogs",)), True),
        (Filters(sections=("Cats",)), False),
    ):
        assert answerer.ask("Where does the cat sleep?", AskOptions(filters=filters)).pinned is pinned, filters


def test_a_quote_over_two_passages_is_two_quotes(ask: Callable[..., QuestionAnswerer]) -> None:
    """In the order of the text; with one result only the first is shown."""
    quote = "It wakes at noon.\n\n## Dogs\n\nA dog guards the old farm."
    answerer = ask(pin("What is this?", quote=quote))
    answer = answerer.ask("what is this")
    texts = [answer.results[one.result].scored.passage.text[slice(*one.place)] for one in answer.quotes]
    assert texts == ["It wakes at noon.", "A dog guards the old farm."]
    assert len(answerer.ask("what is this", AskOptions(top_k=1)).quotes) == 1


def test_at_most_as_many_results_of_a_document_as_allowed(ask: Callable[..., QuestionAnswerer]) -> None:
    """The pinned one counts."""
    answerer = ask(pin("the cat, the dog and the whale"), max_per_document=1)
    answer = answerer.ask("the cat, the dog and the whale")
    assert answer.pinned
    assert sorted(one.citation.uri for one in answer.results) == ["sea.txt", "zoo/animals.md"]


def test_pins_are_answered_over_http(ask: Callable[..., QuestionAnswerer], settings: Settings) -> None:
    """Alone and in a batch, where others are not."""
    answerer = ask(pin("Where does the cat sleep?"))
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        alone = client.post("/ask", json={"question": "where does the cat sleep"}).json()
        batch = client.post("/ask/batch", json={"questions": ["where does the cat sleep", "whale"]}).json()["results"]
    assert alone["pinned"] is True
    assert alone["answer"]["text"] == "It barks at foxes."
    assert [one["answer"]["pinned"] for one in batch] == [True, False]


def test_lines_that_can_not_be_served_are_reported(settings: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """With what to do; the others are served, and a document that changes makes a warning of its pin."""
    lines = [
        pin("One?"),
        pin("Two?", document="nowhere.md"),
        pin("Three?", quote="It barks at boxes."),
        pin("Four?", quote="It"),
    ]
    folder({**TWO_DOCUMENTS, "answers.jsonl": "".join(lines)})
    two, three, four = build(settings, fake).warnings
    assert two.startswith("answers.jsonl, line 2: no document 'nowhere.md' in the index")
    assert "line 3: the quote does not stand in zoo/animals.md" in three
    assert "It barks at foxes." in three
    assert "line 4: the quote stands 2 times" in four
    with_pins = open_answerer(settings, fake)[0].index
    assert [one.questions for one in with_pins.pins.pins] == [("One?",), ("Four?",)]
    embedded = fake.embedded
    folder({"answers.jsonl": pin("One?")})
    assert build(settings, fake).warnings == ()
    assert fake.embedded == embedded
    folder({"zoo/animals.md": "# Animals\n\nThe cat sleeps.\n"})
    (warning,) = build(settings, fake).warnings
    assert "does not stand" in warning
    assert not open_answerer(settings, fake)[0].ask("One?").pinned


def test_a_damaged_file_of_pins_is_an_error(
    ask: Callable[..., QuestionAnswerer], settings: Settings, fake: FakeEmbedder, run: Callable[..., Any]
) -> None:
    """Named by ``qa-service verify``."""
    answerer = ask(pin("Where does the cat sleep?"))
    path = settings.index / "generations" / answerer.index.generation / "pins.json"
    path.write_bytes(path.read_bytes().replace(b"cat", b"cow"))
    code, _, err = run("verify", "--index", settings.index)
    assert code == 5
    assert "pins.json" in err


@pytest.fixture(scope="module")
def finder(onnx: ExportedEmbedder, built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that tells whether a question gets the pin of others, with the real model."""
    index, _ = open_answerer(settings_below(built_once), FakeEmbedder())

    @cache
    def pins_of(*pinned: str) -> Pins:
        return Pins((Pin(pinned, "d", ((0, (0, 1)),)),), _vectors(list(pinned), onnx))

    def matches(asked: str, pinned: list[str]) -> bool:
        own = SimpleNamespace(pins=pins_of(*pinned), words=index.index.words, manifest=index.index.manifest)
        (embedding,) = onnx.embed_questions([asked])
        return PinFinder(own).find(asked, Query.of(UnderstoodQuestion(asked), [embedding]), None) is not None  # type: ignore[arg-type]

    return matches


def test_near_questions_about_another_thing_get_no_pin(finder: Callable[[str, list[str]], bool]) -> None:
    """Another name, number, year, opposite or question word, in the same words otherwise."""
    assert [asked for group in OWN for asked in group["near"] if finder(asked, group["pinned"])] == []


def test_the_same_question_in_other_order_and_function_words_gets_the_pin(
    finder: Callable[[str, list[str]], bool],
) -> None:
    """More than half of the paraphrases with one or two pinned questions, and all with themselves."""
    matched = [finder(asked, group["pinned"]) for group in OWN for asked in group["same"]]
    assert sum(matched) >= 35
    assert all(finder(asked.upper(), group["same"]) for group in OWN for asked in group["same"][:1])
