"""The lexical signal: terms in any script, and BM25 against its formula."""

import math
from pathlib import Path

import bm25s
import numpy as np
import pytest
from bm25s.tokenization import Tokenized
from hypothesis import given
from hypothesis import strategies as st

from qa_service.index.words import FILES, BM25Builder, BM25Index, terms

TEXTS = ["the cat sat on the mat", "dogs run fast and far", "the dog sat", "한국은 아름답다", "Москва большая"]


def indexed(passages: list[tuple[str, list[str]]]) -> BM25Index:
    builder = BM25Builder("english")
    for heading, sentences in passages:
        builder.add(heading, sentences)
    return builder.finish()


EVERY = np.arange(len(TEXTS))
WORDS = ["a dog", "dogs run", "?!", "the cat sat on the cat", "zebra"]
PLAIN = [("", [text]) for text in TEXTS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Running dogs' houses", ["run", "dog", "hous"]),
        ("ﬁne ＡＢＣ１２", ["fine", "abc12"]),
        ("STRASSE straße", ["strass", "strass"]),
        ("한국은 아름답다", ["한국", "국은", "아름", "름답", "답다"]),
        ("東京タワー 2024年", ["東京", "京タ", "タワ", "ワー", "2024", "年"]),
        ("ไทย", ["ไท", "ทย"]),
        ("Московские москвы", ["московск", "москв"]),
        ("U.S.-led GSOMIA", ["u", "s", "led", "gsomia"]),
        ("e\u0301te\u0301", ["\u00e9t\u00e9"]),
        ("?! — …", []),
    ],
)
def test_terms_of_many_scripts(text: str, expected: list[str]) -> None:
    """Normalised, folded, stemmed if there is a stemmer, in pairs if there are no spaces."""
    assert terms(text, "english") == expected


def test_without_stemming_words_keep_their_endings() -> None:
    """Another language has its own endings."""
    assert terms("Running houses", "none") == ["running", "houses"]
    assert terms("maisons", "french") == ["maison"]


@given(st.text())
def test_a_paired_script_elsewhere_in_a_text_does_not_change_its_terms(text: str) -> None:
    """Another expression splits such a text."""
    assert terms(f"{text}\n\u6f22", "english") == [*terms(text, "english"), "\u6f22"]


@given(st.lists(st.tuples(st.sampled_from(["", "a cat", "cat dog cat"]), st.lists(st.sampled_from(WORDS)))))
def test_scores_equal_those_of_the_library(passages: list[tuple[str, list[str]]]) -> None:
    """The library counts passage by passage."""
    passages = [*passages, ("", ["cat"])]
    index = indexed(passages)
    vocabulary = index.vocabulary()
    ids = [[vocabulary[term] for term in terms(" ".join([head, *said]), "english")] or [0] for head, said in passages]
    library = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    library.index(Tokenized(ids=ids, vocab=vocabulary), show_progress=False)
    for name in ("data", "indices", "indptr"):
        made = index._bm25.scores[name]
        np.testing.assert_array_equal(made, library.scores[name])
        assert made.dtype == library.scores[name].dtype


@given(st.text())
def test_terms_of_any_text_are_visible(text: str) -> None:
    """No term is empty or contains white space."""
    assert all(term and not any(map(str.isspace, term)) for term in terms(text, "english"))


def test_scores_equal_those_of_the_formula() -> None:
    """Lucene's BM25 with k1 = 1.2 and b = 0.75, computed by hand."""
    index = indexed(PLAIN)
    match = index.match("Where do dogs run?")
    assert match is not None
    lengths = [len(terms(text, "english")) for text in TEXTS]
    average = sum(lengths) / len(lengths)
    idf = {"dog": math.log(1 + 3.5 / 2.5), "run": math.log(1 + 4.5 / 1.5)}
    for number, text in enumerate(TEXTS):
        found = terms(text, "english")
        norm = 1.2 * (1 - 0.75 + 0.75 * lengths[number] / average)
        expected = sum(idf[term] * found.count(term) / (found.count(term) + norm) for term in idf)
        assert match.scores(EVERY)[number] == pytest.approx(expected, rel=1e-5)
    assert match.weights["dog"] == pytest.approx(idf["dog"])
    assert match.weights["where"] == pytest.approx(math.log(1 + 5.5 / 0.5))


def test_a_question_without_a_known_term_has_no_match() -> None:
    """It has no row of zeros that looks like scores."""
    index = indexed(PLAIN)
    assert index.match("zebra") is None
    assert index.match("?!") is None
    assert index.match("한국") is not None
    assert int(np.argmax(index.match("Москве").scores(EVERY))) == 4


def test_a_loaded_index_scores_as_the_saved_one(tmp_path: Path) -> None:
    """From the files that it names."""
    index = indexed(PLAIN)
    index.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    again = BM25Index.load(tmp_path, "english")
    assert len(again) == len(TEXTS)
    np.testing.assert_array_equal(again.match("dogs run").scores(EVERY), index.match("dogs run").scores(EVERY))


def test_passages_and_sentences_hold_the_terms_of_their_text(tmp_path: Path) -> None:
    """Passages include their headings."""
    sentences = [text.split(", ") for text in TEXTS]
    indexed([("Head", own) for own in sentences]).save(tmp_path)
    index = BM25Index.load(tmp_path, "english")
    everything = {term for text in TEXTS for term in terms(f"Head {text}", "english")}
    known = index.ids([*everything, "zebra"])
    assert set(known) == everything
    for number, text in enumerate(TEXTS):
        held = {term for term, identifier in known.items() if index.holds(number, identifier)}
        assert held == set(terms(f"Head {text}", "english"))
    flat = [sentence for own in sentences for sentence in own]
    assert index.sentences() == len(flat)
    for row, sentence in enumerate(flat):
        expected = [known[term] for term in terms(sentence, "english")]
        assert index.sentence_terms(row, row + 1).tolist() == expected


def test_texts_without_any_term_can_be_indexed() -> None:
    """An index of punctuation answers nothing."""
    assert indexed([("", ["?!"]), ("…", [])]).match("cat") is None


def test_reused_sentences_equal_those_tokenized_again(tmp_path: Path) -> None:
    """Scores and sentence terms, also after words were added and removed: ids are ranks in sorted order."""
    old = [("Old", ["zebras graze", "the cat sleeps"]), ("Both", ["dogs run", "?!", "apples fall"]), ("", ["gone"])]
    indexed(old).save(tmp_path)
    previous = BM25Index.load(tmp_path, "english")
    wanted = [("New heading", ["a mouse appears"]), ("Both", ["dogs run", "?!", "apples fall"])]
    builder = BM25Builder("english")
    builder.add(*wanted[0])
    builder.reuse(["Both"], [3], builder.map_vocabulary(previous), 2)
    found, expected = builder.finish(), indexed(wanted)
    assert found.vocabulary() == expected.vocabulary()
    assert "zebra" not in found.vocabulary()
    for row in range(expected.sentences()):
        np.testing.assert_array_equal(found.sentence_terms(row, row + 1), expected.sentence_terms(row, row + 1))
    scores, again = found.match("a mouse and dogs"), expected.match("a mouse and dogs")
    assert scores is not None
    assert again is not None
    np.testing.assert_array_equal(scores.scores(np.arange(2)), again.scores(np.arange(2)))


def test_sentences_of_several_indexes_are_reused() -> None:
    """Each has ids of its own."""
    parts = [[("One", ["zebras graze"])], [("Two", ["apples fall", "zebras fall"]), ("", ["gone"])]]
    builder = BM25Builder("english")
    for part, last in zip(parts, (1, 2), strict=True):
        builder.reuse([part[0][0]], [last], builder.map_vocabulary(indexed(part)), 0)
    found, expected = builder.finish(), indexed([part[0] for part in parts])
    assert found.vocabulary() == expected.vocabulary()
    np.testing.assert_array_equal(found.sentence_terms(0, 3), expected.sentence_terms(0, 3))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_the_best_passages_equal_those_of_scoring_all(seed: int, depth: int, some: bool) -> None:
    """With common and rare terms, ties, filters, and fewer matches than requested."""
    generator = np.random.default_rng(seed)
    shares = [0.9, 0.5, 0.3, 0.1, 0.02, 0.01]
    passages = [
        (
            "",
            [" ".join(f"w{term}" for term, share in enumerate(shares) for _ in range(2) if generator.random() < share)],
        )
        for _ in range(150)
    ]
    index = indexed(passages)
    match = index.match(" ".join(f"w{term}" for term in generator.choice(12, size=4)))
    if match is None:
        return
    allowed = np.flatnonzero(generator.random(150) < 0.3) if some else None
    everything = np.arange(150) if allowed is None else allowed
    scores = match.scores(everything)
    expected = everything[np.lexsort((everything, -scores))][: min(depth, int((scores > 0).sum()))]
    np.testing.assert_allclose(
        match.scores(np.sort(match.best(depth, allowed))), match.scores(np.sort(expected)), rtol=1e-5
    )
    assert len(match.best(depth, allowed)) == len(expected)
