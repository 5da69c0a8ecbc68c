"""An index that an earlier version built is opened, asked and reused.

``index-of-format-8.zip`` was written with the fake embedder when format 8 was new, by readers of version 2: two
documents, their index, and the answers that it gave then.
"""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from conftest import ROOT, FakeEmbedder

from qa_service.datatypes import AskOptions, CitedPassage
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings, load_settings

Recorded = dict[str, Any]


@pytest.fixture
def earlier(tmp_path: Path) -> Settings:
    """Return the settings with which the earlier version built its index."""
    with ZipFile(ROOT / "tests/data/index-of-format-8.zip") as archive:
        archive.extractall(tmp_path)
    return load_settings(
        source=tmp_path / "source",
        index=tmp_path / "index",
        data=tmp_path / "data",
        passage_tokens=24,
        overlap_tokens=0,
        top_k=3,
    )


@pytest.fixture
def recorded(earlier: Settings) -> Recorded:
    content: Recorded = json.loads((earlier.index.parent / "answers.json").read_text(encoding="utf-8"))
    return content


def assert_answers_are_equal(answerer: QuestionAnswerer, recorded: Recorded) -> None:
    assert len(recorded["answers"]) == 4
    for expected in recorded["answers"]:
        answer = answerer.ask(expected["question"], AskOptions(explain=True))
        assert (answer.best, answer.confidence) == (expected["best"], expected["confidence"])
        assert len(answer.results) == len(expected["results"]) == 3
        for result, wanted in zip(answer.results, expected["results"], strict=True):
            texts, numbers = described(result)
            assert texts == {key: wanted[key] for key in texts}
            assert numbers == pytest.approx({key: wanted[key] for key in numbers}, abs=5e-5)
            assert texts.keys() | numbers.keys() == wanted.keys() - {"score"}


def described(result: CitedPassage) -> tuple[dict[str, object], dict[str, float | None]]:
    """Return a result's texts and places, which have to be equal, and its scores, which may differ by rounding.

    The fused score is left out: its weights are not those of the earlier version.
    """
    citation, scored = result.citation, result.scored
    return {
        "text": scored.passage.text,
        "quote": citation.quote,
        "permalink": citation.permalink,
        "uri": citation.uri,
        "url": citation.url,
        "section_path": list(citation.section_path),
        "document_id": citation.document_id,
        "document_sha256": citation.document_sha256,
        "passage_sha256": citation.passage_sha256,
        "start_char": citation.position.start_char,
        "end_byte": citation.position.end_byte,
        "confidence": scored.confidence,
    }, {
        "dense": scored.scores.dense,
        "lexical": scored.scores.lexical,
        "rerank": scored.scores.rerank,
    }


def test_an_index_of_an_earlier_version_is_intact_and_gives_the_recorded_answers(
    earlier: Settings, recorded: Recorded, fake: FakeEmbedder
) -> None:
    assert IndexFolder(earlier.index).is_intact(recorded["generation"])
    answerer, problem = open_answerer(earlier, fake)
    assert problem is None
    assert answerer.index.generation == recorded["generation"]
    answerer.self_test()
    assert_answers_are_equal(answerer, recorded)
    answerer.index.close()


def test_a_rebuild_of_unchanged_documents_keeps_the_vectors_of_an_earlier_version(
    earlier: Settings, recorded: Recorded, fake: FakeEmbedder
) -> None:
    """The documents are read again, since readers have changed."""
    report = build(earlier, fake)
    assert (report.changed, report.passages, fake.embedded) == (True, recorded["passages"], 0)


def test_a_build_with_one_more_document_reuses_those_of_an_earlier_version(
    earlier: Settings, recorded: Recorded, fake: FakeEmbedder
) -> None:
    """Only the new passage is embedded, and the old ones keep the ids of their citations."""
    (earlier.source / "snow.txt").write_text("Snow fell on the pass for nine days.\n", encoding="utf-8")
    report = build(earlier, fake)
    assert report.changed
    assert (report.documents, report.passages, fake.embedded) == (3, recorded["passages"] + 1, 1)
    answerer, _ = open_answerer(earlier, fake)
    for expected in recorded["answers"]:
        for result in expected["results"]:
            assert answerer.citation(result["permalink"]).state == "exact"
    answerer.index.close()
