"""Answers from an index whose results are read: any question, any document, any setting.

The index is that of a fake model with the name and hash of the built-in one, so that the shipped reader reads. Nothing
here depends on its weights.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED_FIXTURES, TWO_DOCUMENTS, FakeEmbedder, app_for
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from passages import FakeReader
from starlette.testclient import TestClient

from qa_service import pipeline
from qa_service.datatypes import Answer, AskOptions, Filters
from qa_service.embedding import DEFAULT_WEIGHTS
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.confidence import LogisticModel
from qa_service.retrieval.fitting import MIN_PASSAGES
from qa_service.settings import Settings
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS

Write = Callable[[dict[str, str | bytes]], Path]

HARD: dict[str, str | bytes] = {
    **TWO_DOCUMENTS,
    "table.md": "# Boats\n\n| Name | Crew |\n|------|-----:|\n| Anna | 3 |\n| Berta | 2 |\n| Clara | 12 |\n",
    "list.md": "# Rules\n\n1. Oars first\n2. Then sails\n\n- a rope\n- a net\n\n---\n\nNOTES AND REMARKS\n\n* * *\n",
    "code.md": "# Code\n\n```python\n# sail the boat\ndef sail(boat):\n    return boat | {'sails': 3}\n```\n",
    "marks.txt": "… — !? ...\n\n?!\n\n***\n\n👩‍🚀🇰🇷 👍🏽\n",
    "korean.txt": "한국의 배는 새벽에 떠난다. 정오에 돌아온다.\n",
    "chinese.txt": "朝鲜战争于1953年结束。船在黎明出发。\n",
    "hebrew.txt": "הסירה יוצאת. היא חוזרת.\n",
    "rows.csv": "name,crew\nAnna,3\nBerta,2\n",
    "long.txt": "boat " * 900 + "\n",
    "word.txt": "Boat\n",
}


def embedder(*, tokens: bool = True) -> FakeEmbedder:
    return FakeEmbedder(weights=DEFAULT_WEIGHTS, tokens=tokens)


def read_by(fake: FakeReader, monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    monkeypatch.setattr(pipeline, "open_reader", lambda mode, weights: None if mode == "off" else fake)
    return fake


@pytest.fixture
def hard(folder: Write, settings: Settings) -> Settings:
    folder(HARD)
    settings = settings.model_copy(update={"allow_skips": True})
    build(settings, embedder())
    return settings


def check(answer: Answer, top_k: int) -> None:
    """Check everything that holds for any weights of the reader."""
    results = [result.scored for result in answer.results]
    assert 0 < len(results) <= top_k
    assert [result.rank for result in results] == list(range(1, len(results) + 1))
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)
    assert answer.verdict in {"answered", "uncertain", "not_found"}
    assert answer.confidence is not None
    assert 0 <= answer.confidence <= 1
    assert answer.quotes[0].place == results[answer.best].quote
    for quote in answer.quotes:
        check_quote(results[quote.result].passage.text, quote.place, quote.spans)
    for found in answer.results:
        check_quote(found.scored.passage.text, found.scored.quote, found.scored.spans)
        assert found.citation.quote == found.scored.passage.text[slice(*found.scored.quote)]
    if answer.reason is not None:
        assert answer.reason.message
        assert all(place < len(results) for place in answer.reason.results)


def check_quote(text: str, place: tuple[int, int], spans: Sequence[tuple[int, int]]) -> None:
    start, end = place
    assert 0 <= start < end <= len(text)
    assert all(start <= low < high <= end for low, high in spans)


QUESTIONS = [
    "boat",
    "?",
    "?!… —",
    "When does the cat wake, and where does the whale swim?",
    "How many are in the crew of Berta?",
    "What is the first rule?",
    "def sail(boat): return boat",
    "👍🏽",
    "배는 언제 떠납니까?",
    "战争何时结束？",
    "متى؟",
    "הסירה",
    "xyzzy plugh",
    "boat " * (MAX_QUESTION_CHARACTERS // 5),
    "a" * MAX_QUESTION_CHARACTERS,
    "| Name | Crew |",
    "NOTES AND REMARKS",
]


@pytest.mark.parametrize("mode", ["quick", "careful"])
def test_any_question_of_any_document_has_an_answer(mode: str, hard: Settings) -> None:
    """One word, two thousand characters, marks alone; tables, code, lists and other scripts; one result and fifty."""
    answerer, _ = open_answerer(hard.model_copy(update={"reader": mode}), embedder())
    assert answerer.reader_mode == mode
    for question in QUESTIONS:
        for top_k in (1, 5, 50):
            check(answerer.ask(question, AskOptions(top_k=top_k, explain=top_k == 5)), top_k)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60).map("?".__add__))
@hypothesis_settings(suppress_health_check=SHARED_FIXTURES, max_examples=40)
def test_any_visible_text_can_be_asked(hard_answerer: QuestionAnswerer, question: str) -> None:
    check(hard_answerer.ask(question), 5)


@pytest.fixture
def hard_answerer(hard: Settings) -> QuestionAnswerer:
    return open_answerer(hard, embedder())[0]


def test_an_answer_does_not_depend_on_questions_before(hard: Settings) -> None:
    """Asked alone by a new answerer, or after all others, in either order."""
    one = open_answerer(hard, embedder())[0]
    first = [one.ask(question) for question in QUESTIONS]
    assert [one.ask(question) for question in QUESTIONS[::-1]][::-1] == first
    assert [open_answerer(hard, embedder())[0].ask(question) for question in QUESTIONS[:4]] == first[:4]


@pytest.mark.parametrize("mode", ["quick", "careful"])
def test_few_results_have_the_same_answer_as_many(mode: str, hard: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quote, span, confidence and verdict are those of five results, whatever the reader says.

    There are no near-duplicates here, which would have all candidates ranked for five results, but not for one.
    """
    hard = hard.model_copy(update={"index": hard.index / "few", "include": ("*.md", "zoo/*", "[!l]*.txt")})
    build(hard, embedder())
    fake = read_by(FakeReader(), monkeypatch)
    answerer, _ = open_answerer(hard.model_copy(update={"reader": mode}), embedder())
    words = ["cat", "boat", "Anna", "sail", "The", "It", "is", "crab", "deep", "Boat"]
    for seed in range(12):
        numbers = np.random.default_rng(seed).normal(0, 3, len(words))
        fake.logits = dict(zip(words, np.minimum(numbers, 4.0).tolist(), strict=True))
        for question in ("Where does the cat sleep?", "Which boat sails?", "xyzzy", "crew of Anna"):
            one, five = (answerer.ask(question, AskOptions(top_k=top_k)) for top_k in (1, 5))
            assert (one.verdict, one.confidence) == (five.verdict, five.confidence)
            if five.best == 0:  # off topic nothing is read, and the quote may be that of another result
                assert one.quotes[0] == five.quotes[0]
                assert one.results[0] == five.results[0]


def test_a_contradiction_is_seen_behind_the_results(
    folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one result it is reported without the other quote; with more, both are quoted, with dates.

    All words of the question stand in both sentences, so that they are as close to it.
    """
    folder(
        {
            "old.md": "---\ndate: 2001-05-01\n---\nThe harbour holds 17 boats.\n",
            "new.md": "---\ndate: 2016-07-08\n---\nThe harbour holds 21 boats.\n",
        }
    )
    build(settings, embedder())
    read_by(FakeReader({"17": 3.0, "21": 2.0}), monkeypatch)
    answerer, _ = open_answerer(settings.model_copy(update={"min_uncertain": 0.0}), embedder())
    for top_k, places in ((1, (0,)), (5, (0, 1))):
        answer = answerer.ask("The harbour holds boats", AskOptions(top_k=top_k))
        assert answer.verdict == "uncertain"
        assert answer.reason is not None
        assert (answer.reason.kind, answer.reason.results) == ("conflict", places)
        assert "“17” (2001-05-01)" in answer.reason.message
        assert "“21” (2016-07-08)" in answer.reason.message
        assert [quote.result for quote in answer.quotes] == list(places)


def test_a_question_of_two_parts_has_two_quotes(folder: Write, settings: Settings) -> None:
    """The second one from another document; each is a sentence of a result."""
    folder(TWO_DOCUMENTS)
    build(settings, embedder())
    answer = open_answerer(settings, embedder())[0].ask("the cat sleeps on the mat? the whale swims in the ocean?")
    said = [answer.results[quote.result].scored.passage.text[slice(*quote.place)] for quote in answer.quotes]
    assert any("cat sleeps" in quote for quote in said)
    assert any("whale swims" in quote for quote in said)


@pytest.mark.parametrize(
    ("changes", "tokens"),
    [
        ({"token_vectors": False}, True),
        ({}, False),
        ({"rerank": "none"}, True),
        ({"max_per_document": 1}, True),
        ({"lexical_weight": 0.0}, True),
        ({"min_confidence": 0.0}, True),
        ({"min_uncertain": 1.0, "min_confidence": 1.0}, True),
        ({"overlap_tokens": 8}, True),
    ],
    ids=str,
)
def test_settings_go_together_with_the_reader(
    changes: dict[str, object], tokens: bool, folder: Write, settings: Settings
) -> None:
    """An index without token vectors, or a model without; no reranking; limits and thresholds at their ends."""
    folder(HARD)
    settings = settings.model_copy(update={"allow_skips": True, **changes})
    build(settings, embedder(tokens=tokens))
    answerer, _ = open_answerer(settings, embedder(tokens=tokens))
    assert answerer.reader_mode == "quick"
    answerer.self_test()
    for question in QUESTIONS:
        answer = answerer.ask(question)
        check(answer, 5)
        if changes.get("min_confidence") == 0.0 and answer.reason is None:
            assert answer.verdict == "answered"
        uris = [result.citation.uri for result in answer.results]
        assert "max_per_document" not in changes or len(set(uris)) == len(uris)


class Lengths:
    """A cross-encoder that prefers long passages."""

    def score(self, question: str, passages: Sequence[str]) -> np.ndarray:
        return np.array([len(passage) for passage in passages], np.float32)


def test_a_cross_encoder_ranks_and_the_reader_reads(hard: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rerank scores are those of the cross-encoder; the best result was read."""
    monkeypatch.setattr(pipeline, "open_reranker", lambda name, *, allow_download: Lengths())
    answerer, _ = open_answerer(hard.model_copy(update={"rerank": "some/folder"}), embedder())
    for question in QUESTIONS:
        check(answerer.ask(question), 5)
    best = answerer.ask("the cat sleeps on the warm mat").results[0].scored
    assert best.scores.rerank == len(best.passage.text)
    assert best.scores.reading is not None


def test_filters_limit_the_results_that_are_read(hard: Settings) -> None:
    """No result at all is not found; one result is the answer."""
    answerer, _ = open_answerer(hard, embedder())
    nothing = answerer.ask("boat", AskOptions(filters=Filters(path_prefixes=("nowhere",))))
    assert (nothing.results, nothing.quotes, nothing.verdict, nothing.confidence) == ((), (), "not_found", 0.0)
    assert nothing.best == 0
    one = answerer.ask("cat", AskOptions(filters=Filters(path_prefixes=("word.txt",))))
    check(one, 1)
    assert one.results[0].citation.uri == "word.txt"


def test_without_the_reader_nothing_is_read(hard: Settings, fake: FakeEmbedder) -> None:
    """It is off, or the model is another one; verdicts come from words and cosines, if there is a calibration."""
    off, _ = open_answerer(hard.model_copy(update={"reader": "off"}), embedder())
    assert off.reader_mode == ""
    for question in QUESTIONS:
        answer = off.ask(question)
        check(answer, 5)
        assert all(result.scored.scores.reading is None for result in answer.results)
        assert not any(quote.spans for quote in answer.quotes)
    other = hard.model_copy(update={"index": hard.index / "other", "include": ("zoo/*", "sea.txt")})
    build(other, fake)
    assert len(open_answerer(other, fake)[0].index) < MIN_PASSAGES
    answerer, _ = open_answerer(other, fake)
    assert answerer.reader_mode == ""
    assert (answerer.ask("cat").verdict, answerer.ask("cat").confidence) == (None, None)
    constants = Calibration(LogisticModel(-5, (10.0, *(0.0,) * 7))).to_dict()
    IndexFolder(other.index).write_calibration(fake.identity.weights_sha256, constants, token_vectors=True, labels=True)
    calibrated = open_answerer(other, fake)[0].ask("the cat sleeps on the warm mat")
    assert calibrated.verdict == "answered"
    assert calibrated.results[0].scored.scores.reading is None


def test_the_self_test_loads_the_reader_once(
    folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the service is ready, which says how the reader reads."""
    folder(TWO_DOCUMENTS)
    build(settings, embedder())
    fake = read_by(FakeReader(), monkeypatch)
    for mode, expected in (("careful", "careful"), ("quick", "quick"), ("off", None)):
        fake.loaded = False
        chosen = settings.model_copy(update={"reader": mode})
        answerer, _ = open_answerer(chosen, embedder())
        with TestClient(app_for(answerer, chosen), base_url="http://localhost") as client:
            assert client.get("/readyz").json()["reader"] == expected
        assert fake.loaded == (mode != "off")


def test_all_indexes_of_a_process_have_one_reader() -> None:
    """Its memory does not grow with collections, or when another index goes live."""
    one, other = (pipeline.open_reader(mode, DEFAULT_WEIGHTS) for mode in ("quick", "careful"))
    assert one is other


def test_a_question_in_another_language_names_it(folder: Write, settings: Settings) -> None:
    folder(TWO_DOCUMENTS)
    build(settings, embedder())
    answer = open_answerer(settings, embedder())[0].ask(
        "고양이는 언제 일어나나요?", AskOptions(min_confidence=1.0, min_uncertain=1.0)
    )
    assert answer.verdict == "not_found"
    assert answer.reason is not None
    assert answer.reason.kind == "other_language"
    assert answer.understood is not None
    assert answer.understood.language == "Korean"
