"""Ranking: fusion, candidates, duplicates, filters, rerankers, evidence."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import AskOptions, Filters, UnderstoodQuestion
from qa_service.embedding.models import packaged_folder
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.pipeline import build, open_answerer
from qa_service.questions.function_words import FUNCTION_WORDS
from qa_service.retrieval import Query, Ranker, Retriever, open_reranker
from qa_service.retrieval.candidates import gather
from qa_service.retrieval.evidence import QuestionFeatures, collect_evidence
from qa_service.retrieval.fusion import fuse, lexical_weight_for, scaled
from qa_service.retrieval.query import Wording
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
SCORES = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20).map(lambda row: np.array(row, np.float32))


@given(SCORES)
def test_scaled_scores_keep_their_order_between_0_and_1(scores: np.ndarray) -> None:
    """Equal scores become 0."""
    result = scaled(scores)
    assert ((result >= 0) & (result <= 1)).all()
    assert (np.diff(result[np.argsort(scores, kind="stable")]) >= 0).all()
    if scores.min() == scores.max():
        assert not result.any()


def test_fusion_is_the_weighted_mean_of_the_signals() -> None:
    """By hand: 0.2 dense, 0.3 lexical, 0.5 rerank; an absent signal leaves its weight to the others."""
    dense, lexical, rerank = np.array([0, 0.5, 1.0]), np.array([4, 0, 2.0]), np.array([1.0, 3, 1])
    np.testing.assert_allclose(fuse(dense, lexical, rerank, 0.3), [0.3, 0.1 + 0.5, 0.2 + 0.15])
    np.testing.assert_allclose(fuse(dense, lexical, lexical_weight=0.3), [0.6, 0.2, 0.4 + 0.3])
    np.testing.assert_allclose(fuse(dense, None), [0, 0.5, 1])


@pytest.mark.parametrize(("best", "weight"), [(0.0, 0.0), (1.1, 0.1), (2.2, 0.4), (10.0, 0.4)])
def test_words_weigh_by_the_square_of_their_coverage(best: float, weight: float) -> None:
    """Two terms with an idf of 2.5 each; from a score of .44 times their sum on, words have their full weight."""
    weights = {"canal": 2.5, "lock": 2.5}
    assert lexical_weight_for(weights, np.array([0.0, best], np.float32), 0.4) == pytest.approx(weight)


def test_without_words_in_common_their_weight_is_distributed_by_fusion() -> None:
    assert lexical_weight_for({"canal": 2.5}, None, 0.4) == lexical_weight_for({}, np.zeros(2, np.float32), 0.4) == 0.4


def opened(files: dict[str, str | bytes], folder: Write, settings: Settings) -> OpenIndex:
    folder(files)
    build(settings, FakeEmbedder())
    return IndexFolder(settings.index).open_current(FakeEmbedder().identity).index


MANY = {f"{number:02}.txt": f"Paragraph {number} speaks of thing{number % 7} and word{number}." for number in range(60)}


def test_candidates_have_dense_and_lexical_scores_and_ranks(folder: Write, settings: Settings) -> None:
    """Compared with scoring every passage."""
    index = opened(dict(MANY), folder, settings)
    question = "thing3 word10"
    embedding = FakeEmbedder().embed_questions([question])[0]
    vector = embedding.vector
    (found,) = gather(index, [Wording(question, embedding)], 5)
    cosines = index.store.vectors(np.arange(60)) @ vector
    match = index.words.match(question)
    assert match is not None
    assert found.lexical is not None
    np.testing.assert_allclose(found.dense, cosines[found.numbers], atol=1e-6)
    np.testing.assert_allclose(found.lexical, match.scores(found.numbers))
    for ranks, scores in ((found.dense_ranks, cosines), (found.lexical_ranks, match.scores(np.arange(len(index))))):
        ranked = found.numbers[ranks > 0][np.argsort(ranks[ranks > 0])]
        np.testing.assert_allclose(scores[ranked], np.sort(scores)[::-1][:5], atol=1e-6)
        assert sorted(ranks[ranks > 0].tolist()) == [1, 2, 3, 4, 5]


def test_all_passages_that_match_a_filter_are_found(folder: Write, settings: Settings) -> None:
    """Filters are applied before ranking, so a low rank does not matter."""
    files = dict(MANY)
    files["note.md"] = "---\nauthor: Kim\ntags: [x, y]\n---\nNothing here speaks of it.\n"
    index = opened(files, folder, settings)
    answerer, _ = open_answerer(settings, FakeEmbedder())
    for filters, expected in (
        (Filters(metadata={"author": ("Kim",)}), {"note.md"}),
        (Filters(metadata={"author": ("Lee", "Kim"), "tags": ("y",)}), {"note.md"}),
        (Filters(metadata={"author": ("Kim",), "tags": ("z",)}), set()),
        (Filters(path_prefixes=("1", "2")), {f"{number}.txt" for number in range(10, 30)}),
        (Filters(path_prefixes=("1",), metadata={"author": ("Kim",)}), set()),
    ):
        results = answerer.ask("thing3 word55", AskOptions(top_k=50, filters=filters)).results
        assert {result.citation.uri for result in results} == expected
        assert len(index.passages.matching(filters)) == len(expected)


def test_near_duplicates_are_one_result_and_other_figures_are_not(folder: Write, settings: Settings) -> None:
    """The same text in two files is returned once; sentences that differ by a number are both returned."""
    text = "The harbour master counts every boat that comes in before the tide turns at night."
    tables = {"c.txt": "The harbour has 17 boats.", "d.txt": "The harbour has 18 boats."}
    opened({"a.txt": text, "b.txt": text.upper(), **tables}, folder, settings)
    answerer, _ = open_answerer(settings, FakeEmbedder())
    uris = [result.citation.uri for result in answerer.ask("harbour boats tide", AskOptions(top_k=9)).results]
    assert sorted(uris) == ["a.txt", "c.txt", "d.txt"]


def test_all_candidates_are_ranked_if_the_first_are_duplicates(folder: Write, settings: Settings) -> None:
    """Forty copies of one text do not keep other texts out of the results."""
    text = "The harbour master counts every boat that comes in before the tide turns at night."
    others = {f"{place}.txt": f"Boats of house {place} lie by the mill, {place * 7} in all." for place in range(4)}
    opened({f"same{copy:02}.txt": text for copy in range(40)} | others, folder, settings)
    answer = open_answerer(settings, FakeEmbedder())[0].ask(
        "which boat comes in before the tide turns at night", AskOptions(top_k=5)
    )
    uris = [result.citation.uri for result in answer.results]
    assert len(uris) == 5
    assert set(others) < set(uris)


def test_a_sentence_is_quoted_once(folder: Write, settings: Settings) -> None:
    """If two passages overlap in the best sentence, only one is returned."""
    text = (
        "Sails hang in the loft all winter. Ropes dry beside them on iron hooks.\n\n"
        "The harbour master counts every boat at dusk.\n\n"
        "Nets lie folded along the pier wall. Crates of ice wait for the morning."
    )
    for overlap, expected in ((0, 1), (12, 1)):
        varied = settings.model_copy(
            update={"overlap_tokens": overlap, "passage_tokens": 18, "index": settings.index / str(overlap)}
        )
        index = opened({"a.txt": text}, folder, varied)
        places = index.overlapping(index.document_by_uri("a.txt").id, text.index("The harbour"), text.index("Nets") - 2)
        assert len(places) == (1 if overlap == 0 else 2)
        answerer, _ = open_answerer(varied, FakeEmbedder())
        quotes = [
            result.citation.quote for result in answerer.ask("Who counts every boat?", AskOptions(top_k=9)).results
        ]
        assert sum("harbour master" in quote for quote in quotes) == expected
        assert len(quotes) == len(set(quotes))


class Backwards:
    """Scores the last candidate highest."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, question: str, passages: Sequence[str]) -> np.ndarray:
        self.seen = list(passages)
        return np.arange(len(passages), dtype=np.float32)


def test_a_reranker_replaces_maxsim(folder: Write, settings: Settings) -> None:
    """It gets the first twenty candidates, and its scores are reported."""
    index = opened(dict(MANY), folder, settings)
    reranker = Backwards()
    retriever = Retriever(index, None, ranker=Ranker(index, reranker=reranker))
    query = Query.of(UnderstoodQuestion("thing3"), FakeEmbedder().embed_questions(["thing3"]))
    results = retriever.retrieve(query, 5).results
    assert len(reranker.seen) == 20
    for result in results:
        if result.passage.text in reranker.seen:
            assert result.scores.rerank == reranker.seen.index(result.passage.text)
    assert any(result.scores.rerank for result in results)


def test_a_cross_encoder_is_read_from_a_folder(tmp_path: Path) -> None:
    """One score per passage; a missing or damaged folder is an error."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(packaged_folder() / name, tmp_path / name)
    torch.manual_seed(20261123)
    small = BertConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
        initializer_range=1.0,  # so that random weights tell texts apart
    )
    BertForSequenceClassification(small).save_pretrained(tmp_path)
    reranker = open_reranker(str(tmp_path))
    assert reranker is not None
    scores = reranker.score("Who signed?", ["Kim signed.", "Bread is baked.", "The sea."])
    assert scores.shape == (3,)
    assert len(set(scores.tolist())) == 3
    assert open_reranker("maxsim") is open_reranker("none") is None
    with pytest.raises(ModelMissing):
        open_reranker("no/such-model")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelCorrupt):
        open_reranker(str(tmp_path))


def asked(text: str) -> QuestionFeatures:
    weights = {"what": 3.0, "treati": 2.0, "1953": 4.0}
    return QuestionFeatures.of(text, weights, frozenset({"what"}), FUNCTION_WORDS["english"].negations, 100)


def test_evidence_by_hand() -> None:
    """Every feature, computed by hand."""
    cosines = np.array([0.2, 0.6, 0.7], np.float32)
    found = collect_evidence(
        asked("What treaty of 1953?"), "Signed 1953. A treaty.", "A treaty.", {"treati"}, 0.5, cosines
    )
    assert found.dense == 0.5
    assert found.sentence == pytest.approx(0.5)
    assert found.weakest == pytest.approx(0.2)
    assert found.coverage == pytest.approx(2 / 9)
    assert found.missing == pytest.approx(4 / np.log(1 + 100.5 / 0.5))
    assert (found.numbers, found.negation) == (1.0, 0.0)
    assert collect_evidence(asked("What was not signed?"), "x", "It was.", set(), 0.5, None).negation == 1
    assert collect_evidence(asked("What wasn\u2019t it?"), "x", "It was not.", set(), 0.5, None).negation == 0
    assert collect_evidence(asked("What of 1953 and 1954?"), "In 1953.", "x", set(), 0.5, None).numbers == 0.5


@pytest.mark.parametrize(
    ("language", "text", "question", "negated"),
    [
        (
            "german",
            "Der Vertrag wurde 1953 unterzeichnet.",
            "Wann wurde der Vertrag unterzeichnet?",
            "nicht der Vertrag",
        ),
        ("french", "Le traité fut signé en 1953.", "Quand le traité fut signé ?", "jamais signé"),
        ("english", "Договор подписали в 1953 году.", "Когда подписали договор?", "договор не подписали"),
        ("none", "The treaty was signed in 1953.", "When was the treaty signed?", "not signed"),
    ],
)
def test_stop_words_and_negations_are_those_of_the_index(
    language: str, text: str, question: str, negated: str, folder: Write, settings: Settings
) -> None:
    """Those of its language, and of languages in other scripts."""
    folder({"a.txt": text})
    settings = settings.model_copy(update={"language": language, "reader": "off"})
    build(settings, FakeEmbedder())
    answerer = open_answerer(settings, FakeEmbedder())[0]
    plain, negative = (answerer.retrieve(asked).evidence for asked in (question, negated))
    assert plain is not None
    assert negative is not None
    assert (plain.missing, plain.negation, negative.negation) == (0.0, 0.0, 1.0)


def test_max_per_document_limits_the_results_of_one_document(folder: Write, settings: Settings) -> None:
    """A document full of the question's words leaves the other results to other documents."""
    stuffed = "\n\n".join(f"The cat sleeps, says line {number} of {number * 7}." for number in range(12))
    files = {"stuffed.txt": stuffed} | {f"{place}.txt": f"A cat of house {place} sleeps." for place in range(4)}
    folder(files)
    build(settings, FakeEmbedder())
    for most, expected in ((0, 10), (2, 6), (1, 5)):
        limited = settings.model_copy(update={"max_per_document": most})
        answer = open_answerer(limited, FakeEmbedder())[0].ask("where does the cat sleep", AskOptions(top_k=10))
        uris = [result.citation.uri for result in answer.results]
        assert len(uris) == expected
        assert most == 0 or uris.count("stuffed.txt") == most
