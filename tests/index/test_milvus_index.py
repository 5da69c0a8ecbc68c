"""An index in Milvus gives the answers of the index on disk."""

import json
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder
from documents import pdf_of_lines
from milvus_index import (
    DOCUMENTS,
    QUESTIONS,
    REPORTS,
    Write,
    alike,
    alike_in_rank,
    both,
    chosen,
    filters_choose_as_in_the_folder,
)

from qa_service.datatypes import AskOptions, ComparisonFilter, Expansion, Filters
from qa_service.errors import InvalidRequest, StoreRefused
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.filtering import MAX_VALUES
from qa_service.index.milvus.records import MAX_FIELD_BYTES
from qa_service.pipeline import build
from qa_service.settings import Settings

pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


def test_milvus_answers_equal_those_from_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """Results, citations, scores, confidence, explanations, with every filter, and all other reads."""
    folder(DOCUMENTS)
    build(shared, fake)
    local, remote = both(shared, fake)
    some = local.index.list_documents("", 100)
    filters: list[Filters | None] = [
        None,
        Filters(document_ids=(some[0].id, some[3].id)),
        Filters(path_prefixes=("more/1", "zoo")),
        Filters(path_prefixes=("notes/a%b_~",)),
        Filters(sections=("Lakes", "Dogs")),
        Filters(metadata={"author": ('Ann "Quick" O\'Hara',)}),
        Filters(document_ids=('" or id >= 0 or "',)),
        Filters(path_prefixes=('" or id >= 0 or uri >= "',), sections=("Cats",)),
        Filters(),
        Filters(attributes=ComparisonFilter("title", "eq", ('") or id >= 0 or array_contains_any(metadata, ["',))),
        Filters(attributes=ComparisonFilter("uri", "in", ('"] or id >= 0 or uri in ["', "notes/a%b_~c.md"))),
    ]
    for question in QUESTIONS:
        for chosen_filters in filters:
            alike(
                *(
                    one.ask(question, AskOptions(top_k=4, filters=chosen_filters, explain=True))
                    for one in (local, remote)
                )
            )
        alike_in_rank(*(one.document_rank(question, "sea.txt") for one in (local, remote)))
    assert remote.index.list_documents("", 100) == some
    assert remote.index.list_documents(some[4].id, 3) == some[5:8]
    assert sorted(remote.index.texts()) == sorted(local.index.texts())
    for document in some:
        assert remote.index.document(document.id) == local.index.document(document.id)
        assert remote.index.document_by_uri(document.uri) == local.index.document(document.id)
        assert remote.index.spans(document.id) == local.index.spans(document.id)
        assert remote.index.sections(document.id) == local.index.sections(document.id)
        assert remote.index.overlapping(document.id, 5, 9) == local.index.overlapping(document.id, 5, 9)
    assert remote.index.document('x" or "') is None
    assert remote.index.document_by_uri("nowhere") is None
    answer = local.ask(QUESTIONS[0])
    for result in answer.results:
        assert remote.citation(result.citation.permalink) == local.citation(result.citation.permalink)
    assert remote.index.document_holding("Children skate on the lake.") is not None


def test_pinned_answers_are_those_from_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """Also with filters that include or exclude them."""
    pin = {"questions": ["what colour is the barn?"], "document": "notes/a%b_~c.md", "quote": "It carries sand."}
    folder({**DOCUMENTS, "answers.jsonl": json.dumps(pin)})
    build(shared, fake)
    local, remote = both(shared, fake)
    assert remote.index.pins == local.index.pins
    for filters, pinned in (
        (None, True),
        (Filters(path_prefixes=("notes/",)), True),
        (Filters(path_prefixes=("more/", "zoo")), False),
        (Filters(sections=("Lakes",)), False),
    ):
        options = AskOptions(filters=filters, explain=True)
        assert remote.ask("What colour is the barn?", options).pinned is pinned
        alike(*(one.ask("What colour is the barn?", options) for one in (local, remote)))


def test_milvus_filters_on_attributes_select_as_on_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """A hundred random filters select the same passages."""
    filters_choose_as_in_the_folder(shared, folder, fake)


def test_an_attribute_with_too_many_values_compares_with_text_only(
    shared: Settings, folder: Write, fake: FakeEmbedder
) -> None:
    """Other comparisons are refused with the reason; attributes with fewer values still compare."""
    many = [f"{number:05}" for number in range(MAX_VALUES + 1)]
    lists = {
        f"many/{start}.md": f"---\nday: [{', '.join(many[start : start + 200])}]\n---\nA raft.\n"
        for start in range(0, len(many), 200)
    }
    folder(REPORTS | lists)
    build(shared, fake)
    local, remote = both(shared, fake)
    for filters in (
        ComparisonFilter("day", "in", ("2017-03-15", "2017-04-15")),
        ComparisonFilter("author", "gt", ("Kim",)),
    ):
        assert chosen(remote, filters) == chosen(local, filters) != set()
    with pytest.raises(InvalidRequest, match="more than 10,000 values"):
        chosen(remote, ComparisonFilter("day", "gt", ("2017-03-15",)))


def test_values_too_long_for_a_row_are_stored_in_records(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """They come back complete; here a title is longer than a row may be."""
    folder(DOCUMENTS | {"long.md": f"---\ntitle: {'x' * MAX_FIELD_BYTES}\n---\n\nThe raft drifts at night.\n"})
    build(shared, fake)
    local, remote = both(shared, fake)
    rows = remote.index.store.rows(np.arange(len(local.index)), ["passage"]).values()
    assert any(row["passage"] == "@" for row in rows)
    for question in (*QUESTIONS, "when does the raft drift"):
        alike(*(one.ask(question, AskOptions(explain=True)) for one in (local, remote)))


def test_quotes_in_pdf_files_have_the_same_boxes(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """On several pages."""
    folder(DOCUMENTS | {"night.pdf": pdf_of_lines([["The raft drifts at"], ["night past the pier."]])})
    build(shared, fake)
    local, remote = both(shared, fake)
    one, other = (answerer.ask("when does the raft drift").results[0].citation for answerer in (local, remote))
    assert [box.page for box in one.boxes] == [1, 2]
    assert one == other


def test_passages_are_found_by_vectors_alone_without_bm25(
    shared: Settings,
    folder: Write,
    fake: FakeEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are still ranked by their words; publishing and opening such a generation are logged."""
    create = MilvusStore.create

    def without(*arguments: Any, words: bool, **named: Any) -> MilvusStore:
        if words:
            raise StoreRefused("no such index")
        return create(*arguments, words=False, **named)

    monkeypatch.setattr(MilvusStore, "create", without)
    folder(DOCUMENTS)
    build(shared, fake)
    local, remote = both(shared, fake)
    answer = remote.ask("where does the cat sleep")
    assert [record.message for record in caplog.records if "no BM25" in record.message] == [
        "the vector store has no BM25, so passages are found by vectors alone ()",
        f"{shared.milvus_alias}_{answer.index_version} has no BM25, so passages are found by vectors alone",
    ]
    assert answer.results[0].scored.scores.lexical
    assert answer.results[0].citation == local.ask("where does the cat sleep").results[0].citation


def test_words_and_synonyms_are_those_from_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """And so is the score of a passage with a synonym, whether its own words are in the index or not."""
    folder({**DOCUMENTS, "health.txt": "The Animal Health Office (AHO) sleeps.\n", "synonyms.txt": "kitten => cat\n"})
    build(shared, fake)
    answerers = both(shared, fake)
    every = np.arange(len(answerers[0].index))
    local, remote = (one.index.words for one in answerers)
    assert len(local.spellings) > 10
    assert local.spellings.dump() == remote.spellings.dump()
    assert local.synonyms == remote.synonyms
    assert len(local.synonyms) == 2
    for question, expansion in (
        ("a kitten", Expansion("kitten", ("cat",))),
        ("AHO", Expansion("AHO", ("animal health",))),
    ):
        mine, theirs = local.match(question, [expansion]), remote.match(question, [expansion])
        assert mine is not None
        assert theirs is not None
        np.testing.assert_allclose(mine.scores(every), theirs.scores(every), rtol=1e-5)
        assert mine.scores(every).max() > 0
        assert mine.best(3).tolist() == theirs.best(3).tolist()
