"""Building an index and asking it, with the fake embedder."""

import gc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import SHARED_FIXTURES, TWO_DOCUMENTS, FakeEmbedder
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qa_service.datatypes import AskOptions, Expansion, Filters, SynonymRule
from qa_service.embedding import QuestionEmbedding
from qa_service.errors import IndexCorrupt, InvalidRequest, NotFound, SettingsError, SourceError
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.confidence import LogisticModel
from qa_service.settings import Settings
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS

Write = Callable[[dict[str, str | bytes]], Path]


def test_ask_returns_ranked_passages_and_quotes_the_best_sentence(answerer: QuestionAnswerer) -> None:
    """Results are ordered by score; the quote is the sentence that shares most with the question."""
    answer = answerer.ask("When does the cat wake?")
    best = answer.results[0]
    assert best.scored.passage.text == "The cat sleeps on the warm mat. It wakes at noon."
    assert [result.scored.rank for result in answer.results] == [1, 2, 3]
    assert best.scored.score <= 1
    scores = [result.scored.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)
    assert answerer.ask("Where does the cat sleep: warm mat?").results[0].citation.quote.startswith("The cat sleeps")
    assert answerer.ask("What wakes at noon?").results[0].citation.quote == "It wakes at noon."
    assert answer.index_version == answerer.index.generation


def test_citations_contain_the_exact_position_of_passage_and_quote(answerer: QuestionAnswerer) -> None:
    """In the document as served, in code points and bytes, and within the passage."""
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
def test_an_invalid_question_is_an_error(question: str, message: str, answerer: QuestionAnswerer) -> None:
    """The message gives the reason without repeating the question."""
    with pytest.raises(InvalidRequest, match=message):
        answerer.ask(question)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200).map("?".__add__))
@hypothesis_settings(suppress_health_check=SHARED_FIXTURES)
def test_any_visible_text_can_be_asked(answerer: QuestionAnswerer, question: str) -> None:
    """Punctuation, emoji, right-to-left text and everything else that a reader sees."""
    assert len(answerer.ask(question, AskOptions(top_k=2)).results) == 2


def test_top_k_above_the_number_of_passages_returns_all_of_them(answerer: QuestionAnswerer) -> None:
    """No passage is returned twice."""
    results = answerer.ask("cat", AskOptions(top_k=50)).results
    assert len({result.scored.passage.number for result in results}) == len(answerer.index) == len(results)


def test_without_a_calibration_confidence_is_null(answerer: QuestionAnswerer) -> None:
    """And so is ``answerable``."""
    answer = answerer.ask("cat")
    assert (answer.confidence, answer.answerable) == (None, None)


def test_confidence_is_compared_with_the_threshold(
    settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer
) -> None:
    """The threshold of the settings or of the question; the constants are those of ``qa-service calibrate``."""
    constants = Calibration(LogisticModel(-5, (10.0, *(0.0,) * 7))).to_dict()
    IndexFolder(settings.index).write_calibration(
        fake.identity.weights_sha256, constants, token_vectors=True, labels=True
    )
    answerer = open_answerer(settings.model_copy(update={"min_confidence": 0.5}), fake)[0]
    confident, unsure = answerer.ask("the cat sleeps on the warm mat"), answerer.ask("zebra")
    assert (confident.answerable, unsure.answerable) == (True, False)
    assert answerer.ask("zebra", AskOptions(min_confidence=0.0)).answerable
    assert not answerer.ask("the cat sleeps", AskOptions(min_confidence=1.0)).answerable
    assert answerer.ask("cat", AskOptions(filters=Filters(path_prefixes=("nowhere",)))).answerable is False


def test_a_calibration_of_another_model_is_not_used(
    settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer
) -> None:
    """A damaged calibration file is an error that names the file."""
    folder = IndexFolder(settings.index)
    folder.write_calibration(
        "c" * 64, Calibration(LogisticModel(0, (0.0,) * 8)).to_dict(), token_vectors=True, labels=True
    )
    assert open_answerer(settings, fake)[0].ask("cat").confidence is None
    (settings.index / "calibration.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IndexCorrupt, match=r"calibration\.json"):
        open_answerer(settings, fake)


def test_an_unknown_language_is_an_error(settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer) -> None:
    """The message lists the supported languages."""
    with pytest.raises(SettingsError, match=r"klingon.*english"):
        build(settings.model_copy(update={"language": "klingon"}), fake)


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("rerank", ["maxsim", "none"])
def test_token_vectors_and_reranking_are_optional(
    tokens: bool, rerank: str, settings: Settings, answerer: QuestionAnswerer
) -> None:
    """Both are settings; a model without token vectors gives an index without them."""
    for chosen, embedder in (
        (settings.model_copy(update={"token_vectors": tokens, "rerank": rerank}), FakeEmbedder()),
        (settings.model_copy(update={"rerank": rerank}), FakeEmbedder(tokens=tokens, weights="d" * 64)),
    ):
        build(chosen, embedder)
        result = open_answerer(chosen, embedder)[0].ask("What wakes at noon?").results[0]
        assert result.citation.quote == "It wakes at noon."
        assert (result.scored.scores.rerank is not None) == (tokens and rerank == "maxsim")


def test_document_rank_returns_the_rank_and_the_passages_before(answerer: QuestionAnswerer) -> None:
    """The document of rank 1 has no passages before it; an unknown document is an error."""
    why = answerer.document_rank("the cat sleeps on the mat", "sea.txt")
    assert why.rank > 1
    assert why.before[0].passage.text.startswith("The cat")
    assert why.passage.text in TWO_DOCUMENTS["sea.txt"]
    assert answerer.document_rank("the cat sleeps on the mat", "zoo/animals.md").before == ()
    with pytest.raises(NotFound, match=r"none\.md"):
        answerer.document_rank("cat", "none.md")


def test_an_unknown_document_is_not_found(answerer: QuestionAnswerer) -> None:
    """The message says where to find ids."""
    with pytest.raises(NotFound, match="citation"):
        answerer.document("0" * 16)


@pytest.mark.parametrize(
    ("files", "message"), [({}, "holds no files"), ({".hidden": "x"}, "holds no files"), ({"a.txt": " \n"}, "empty")]
)
def test_a_folder_without_a_usable_document_is_an_error(
    files: dict[str, str | bytes], message: str, settings: Settings, fake: FakeEmbedder, folder: Write
) -> None:
    """Empty, with hidden files only, or with empty files only: no index is written."""
    settings.source.mkdir(exist_ok=True)
    folder(files)
    with pytest.raises(SourceError, match=message):
        build(settings, fake)
    assert not list((settings.index / "generations").iterdir())


def test_a_file_that_changes_during_the_build_is_read_again(settings: Settings, folder: Write) -> None:
    """The index has its last version; a file that keeps changing is an error and leaves the index as it was."""

    class Writing(FakeEmbedder):
        changes = 1

        def count_tokens(self, texts: Sequence[str]) -> list[int]:
            if self.changes:
                self.changes -= 1
                folder({"b.md": f"# B\n\nWritten with {self.changes} changes to come.\n"})
            return super().count_tokens(texts)

    folder({"a.md": "# A\n\nAt rest.\n", "b.md": "# B\n\nFirst.\n"})
    report = build(settings, Writing())
    index = IndexFolder(settings.index).open_current(None).index
    assert report.documents == 2
    assert "0 changes" in index.document_by_uri("b.md").text
    restless = Writing()
    restless.changes = 10**6
    folder({"a.md": "# A\n\nOther words.\n", "b.md": "# B\n\nBegun.\n"})
    with pytest.raises(SourceError, match=r"b\.md keeps changing during the build"):
        build(settings, restless)
    assert IndexFolder(settings.index).current_id() == report.index_version


def test_a_build_reports_progress_and_completeness(
    settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer
) -> None:
    """All passages are embedded once, and the figures of the report add up."""
    seen: list[tuple[str, int, int]] = []
    (settings.source / "more.txt").write_text("One more sentence stands here.", encoding="utf-8")
    (settings.source / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    report = build(settings, fake, lambda *event: seen.append(event))
    assert report.files == report.documents + len(report.skipped) == 4
    assert ("reading documents", 3, 3) in seen
    assert ("embedding passages", report.passages, report.passages) in seen
    assert report.completeness.covered_characters == report.completeness.content_characters
    assert report.completeness.tokens_lost == 0
    assert len(IndexFolder(settings.index).open_current(fake.identity).index) == report.passages


def test_long_questions_are_embedded_one_by_one(answerer: QuestionAnswerer, fake: FakeEmbedder) -> None:
    """Questions of usual length share a forward pass."""
    passes: list[int] = []
    embed = fake.embed_questions

    def counted(questions: Sequence[str]) -> list[QuestionEmbedding]:
        passes.append(len(questions))
        return embed(questions)

    fake.embed_questions = counted  # type: ignore[method-assign]
    answerer.question_cache.embed(["cat", "dog", "cat " * 100, "whale", "dog " * 100])
    assert passes == [3, 1, 1]


def test_synonyms_and_acronyms_belong_to_an_index(settings: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """A change of ``synonyms.txt`` makes a new one without embedding again; its wrong lines are reported."""
    folder({"a.txt": "The Animal Health Office (AHO) was founded in 1953.\n", "b.txt": "The sea is deep.\n"})
    before = build(settings, fake)
    folder({"synonyms.txt": "ocean, sea\nwrong\n"})
    report = build(settings, fake)
    assert report.index_version != before.index_version
    assert report.documents == report.passages == fake.embedded == 2
    (warning,) = report.warnings
    assert warning.startswith("synonyms.txt, line 2: it has one phrase only")
    folder({"b.txt": "The sea is very deep.\n"})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    words = answerer.index.words
    assert [(one.short, one.long, one.count) for one in words.synonyms.acronyms] == [("AHO", "Animal Health Office", 1)]
    assert words.synonyms.rules == (SynonymRule(("ocean", "sea")),)
    assert words.spellings.count("deep") == words.spellings.count("founded") == 1
    match = words.match("ocean", [Expansion("ocean", ("sea",))])
    assert match is not None
    assert answerer.index.passage(int(match.best(1)[0])).text == "The sea is very deep."
    assert not build(settings, fake).changed


def test_an_answerer_is_freed_without_the_garbage_collector(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """No reference cycle: the server freezes its objects after a swap, so the collector would never find one."""
    folder(TWO_DOCUMENTS)
    build(settings, fake)
    gc.disable()
    try:
        answerer, _ = open_answerer(settings, fake)
        assert answerer.ask("When does the cat wake?", AskOptions(blocks=True)).results[0].blocks
        answerer.index.close()
        freed = weakref.ref(answerer), weakref.ref(answerer.index)
        del answerer
        assert [reference() for reference in freed] == [None, None]
    finally:
        gc.enable()
