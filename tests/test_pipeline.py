"""The two ways through the house, with the fake embedder."""

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qa_service.errors import InvalidRequest, NotFound
from qa_service.index import IndexFolder
from qa_service.pipeline import MAX_QUESTION_CHARACTERS, QuestionAnswerer, build
from qa_service.retrieval import CALIBRATIONS, Calibration
from qa_service.settings import Settings


def test_a_question_finds_its_passage_and_the_sentence_in_it(answerer: QuestionAnswerer) -> None:
    """Ranked by score, cited exactly, the quote being the sentence that shares most with the question."""
    answer = answerer.ask("When does the cat wake?")
    best = answer.results[0]
    assert best.scored.passage.text == "The cat sleeps on the warm mat. It wakes at noon."
    assert [result.scored.rank for result in answer.results] == [1, 2, 3]
    scores = [result.scored.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)
    assert answerer.ask("Where does the cat sleep: warm mat?").results[0].citation.quote.startswith("The cat sleeps")
    assert answerer.ask("What wakes at noon?").results[0].citation.quote == "It wakes at noon."
    assert answer.index_version == answerer.index.version


def test_citations_point_at_what_they_quote(answerer: QuestionAnswerer) -> None:
    """In the document as served, in every unit, and within the passage."""
    for question in ("cat", "dog barks", "whale ocean", "crab"):
        for result in answerer.ask(question).results:
            citation, passage = result.citation, result.scored.passage
            document = answerer.document(citation.document_id)
            position = citation.position
            assert document.text == TWO_DOCUMENTS[citation.uri]
            assert document.text[position.start_char : position.end_char] == passage.text
            assert document.text.encode()[position.start_byte : position.end_byte].decode() == passage.text
            assert passage.text[citation.quote_start : citation.quote_end] == citation.quote
            assert citation.document_sha256 == document.sha256
    cats = answerer.ask("cat").results[0].citation
    assert (cats.title, cats.section_path, cats.uri) == ("Animals", ("Cats",), "zoo/animals.md")
    assert (cats.position.start_line, cats.position.end_line) == (5, 5)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("", "empty"),
        (" \t\u00a0\u200b\u3164", "empty"),
        ("x" * (MAX_QUESTION_CHARACTERS + 1), "2001 characters"),
        ("a\0b", "NUL"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_what_is_no_question_is_refused(question: str, message: str, answerer: QuestionAnswerer) -> None:
    """With a message that does not repeat it."""
    with pytest.raises(InvalidRequest, match=message):
        answerer.ask(question)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200).map("?".__add__))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_other_text_can_be_asked(answerer: QuestionAnswerer, question: str) -> None:
    """Punctuation, emoji, right-to-left, anything that a reader sees."""
    assert len(answerer.ask(question, 2).results) == 2


def test_top_k_beyond_the_passages_gives_them_all(answerer: QuestionAnswerer) -> None:
    """And no result twice."""
    results = answerer.ask("cat", 50).results
    assert len({result.scored.passage.number for result in results}) == len(answerer.index) == len(results)


def test_a_model_without_calibration_gets_no_confidence(answerer: QuestionAnswerer) -> None:
    """Null is honest, a made-up number is not."""
    answer = answerer.ask("cat")
    assert (answer.confidence, answer.answerable) == (None, None)


def test_confidence_is_compared_with_the_threshold(answerer: QuestionAnswerer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's, or the one asked for."""
    weights = answerer.index.manifest.model.weights_sha256
    monkeypatch.setattr("qa_service.retrieval.CALIBRATIONS", {weights: Calibration(10, -5)})
    confident, unsure = answerer.ask("the cat sleeps on the warm mat"), answerer.ask("zebra")
    assert (confident.answerable, unsure.answerable) == (True, False)
    assert answerer.ask("zebra", min_confidence=0.0).answerable
    assert not answerer.ask("the cat sleeps", min_confidence=1.0).answerable


def test_calibration_is_a_growing_probability() -> None:
    """For the built-in model's constants."""
    (calibration,) = CALIBRATIONS.values()
    values = [calibration.confidence(score / 10) for score in range(-10, 11)]
    assert values == sorted(values)
    assert 0 <= values[0] < 0.01
    assert 0.95 < values[-1] <= 1


def test_an_unknown_document_is_not_found(answerer: QuestionAnswerer) -> None:
    """By a message that says where ids stand."""
    with pytest.raises(NotFound, match="citations"):
        answerer.document("0" * 16)


def test_a_build_reports_progress_and_completeness(
    settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer
) -> None:
    """All passages are embedded once, and the figures add up."""
    seen: list[tuple[str, int, int]] = []
    (settings.source / "more.txt").write_text("One more sentence stands here.", encoding="utf-8")
    (settings.source / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    report = build(settings, fake, lambda *event: seen.append(event))
    assert report.files == report.documents + len(report.skipped) == 4
    assert ("splitting documents", 3, 3) in seen
    assert ("embedding passages", report.passages, report.passages) in seen
    assert report.completeness.covered_characters == report.completeness.content_characters
    assert report.completeness.tokens_lost == 0
    assert len(IndexFolder(settings.index).open(fake.identity).index) == report.passages
