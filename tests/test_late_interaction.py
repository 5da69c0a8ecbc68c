"""Late interaction: codes that keep cosines, and MaxSim against a plain loop."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_service.embedding import SentenceTransformerEmbedder, TokenEmbeddings
from qa_service.late_interaction import MAX_PASSAGE_BYTES, Codec, PassageTokens, PassageTokensBuilder

FAKE = FakeEmbedder()


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stored(texts: list[str], sentences: list[list[tuple[int, int]]]) -> PassageTokens:
    folder = Path(tempfile.mkdtemp())
    builder = PassageTokensBuilder(len(texts), folder)
    for number in np.random.default_rng(1).permutation(len(texts)):
        tokens = FAKE.embed_passages([texts[number]]).tokens
        assert tokens is not None
        builder.add(int(number), texts[number], tokens[0], sentences[number])
    counts = builder.finish()
    assert sorted(counts) == sorted(path.name for path in folder.iterdir())
    assert all(len(np.load(folder / name)) == count for name, count in counts.items())
    tokens = PassageTokens.load(folder)
    shutil.rmtree(folder)  # mapped files stay until they are let go
    return tokens


def asked(text: str) -> TokenEmbeddings:
    tokens = FAKE.embed_questions([text])[0].tokens
    assert tokens is not None
    return tokens


def test_cosines_of_codes_are_those_of_the_vectors_they_stand_for() -> None:
    """The shortcut against unpacking by hand: sixteen levels a component, the halves of it in one byte each."""
    generator = np.random.default_rng(5)
    vectors = unit(generator.normal(size=(300, 160)) + generator.normal(size=160))
    codec = Codec.fit(vectors)
    codes = codec.encode(vectors)
    assert codes.shape == (300, 64)
    np.testing.assert_allclose(codec.projection.T @ codec.projection, np.eye(128), atol=1e-5)
    levels = 0.3352 * (np.arange(16) - 7.5)
    numbers = np.concatenate([codes & 15, codes >> 4], axis=1)
    meant = unit(codec.mean + codec.deviation * levels[numbers] @ codec.projection.T)
    found = codec.cosines(vectors, codes, codec.lengths(codes))
    np.testing.assert_allclose(found, vectors @ meant.T, atol=2e-3)
    again = Codec.from_array(codec.to_array())
    np.testing.assert_array_equal(again.cosines(vectors, codes, again.lengths(codes)), found)


def test_each_component_takes_its_nearest_level() -> None:
    """Sixteen of them, chosen one by one."""
    codec = Codec.fit(unit(np.random.default_rng(2).normal(size=(500, 8))))
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    scaled = (vectors - codec.mean) @ codec.projection / codec.deviation
    nearest = np.abs(scaled[:, :, None] - 0.3352 * (np.arange(16) - 7.5)).argmin(axis=2)
    codes = codec.encode(vectors)
    np.testing.assert_array_equal(np.concatenate([codes & 15, codes >> 4], axis=1), nearest)


def test_codes_lose_little(real: SentenceTransformerEmbedder) -> None:
    """Of real tokens: a twelfth of the bytes in float16, cosines within a few hundredths."""
    texts = ["The treaty was signed in 1953, two months after the armistice."] * 2 + [
        "Bread is baked from flour, water, yeast and salt in a hot oven every morning."
    ]
    vectors = np.concatenate([tokens.vectors for tokens in real.embed_passages(texts).tokens])
    codec = Codec.fit(vectors)
    found = codec.cosines(vectors, codec.encode(vectors), codec.lengths(codec.encode(vectors)))
    assert np.abs(found - vectors @ vectors.T).mean() < 0.06
    assert np.diag(found).mean() > 0.9
    assert codec.encode(vectors).nbytes == len(vectors) * 64


WORDS = st.lists(st.sampled_from(["cat", "dog", "mat", "sun", "sea", "."]), min_size=1, max_size=12).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS, st.data())
@settings(deadline=None)
def test_maxsim_equals_a_plain_loop(texts: list[str], question: str, data: st.DataObject) -> None:
    """Weighted mean over the question's tokens of their best cosine, for passages in any order."""
    tokens = stored(texts, [[(0, len(text))] for text in texts])
    passages = np.array(data.draw(st.permutations(range(len(texts)))))
    query = asked(question)
    found = tokens.similarities(query, passages)
    weights = tokens.weights(query.ids)
    for place, number in enumerate(passages):
        codes = tokens.codes.read([(int(tokens.starts[number]), int(tokens.starts[number + 1]))])
        cosines = tokens.codec.cosines(query.vectors, codes, tokens.codec.lengths(codes))
        expected = sum(w * row.max() for w, row in zip(weights, cosines, strict=True)) / weights.sum()
        assert found.maxsim()[place] == pytest.approx(expected, abs=1e-4)


def test_rare_tokens_weigh_more() -> None:
    """By idf over passages; a token that no passage holds weighs most."""
    tokens = stored(["cat dog", "cat sun", "cat"], [[], [], []])
    weights = tokens.weights(asked("cat dog zebra").ids)
    assert weights[0] < weights[1] < weights[2]


def test_the_sentence_that_answers_best_is_chosen() -> None:
    """Of several, also where one of them has no token left."""
    text = "cat mat . … dog sun ."
    tokens = stored([text, "sea"], [[(0, 9), (10, 11), (12, 21)], [(0, 3)]])
    similarities = tokens.similarities(asked("sun dog"), np.array([1, 0]))
    number, cosines = similarities.sentence(1, tokens.sentences[:3])
    assert number == 2
    assert cosines.min() > 0.8
    rows = tokens.sentences[:3]
    for first, (start, end) in zip(rows[[0, 2]], rows[[0, 2]].tolist(), strict=True):
        alone = similarities.sentence(1, first[None, :])[1]
        at = similarities.starts[1]
        np.testing.assert_array_equal(alone, similarities.cosines[:, at + start : at + end].max(axis=1))


def test_a_passage_without_a_spoken_sentence_has_a_first_one_all_the_same() -> None:
    """Its cosines are the least there is."""
    tokens = stored(["cat mat"], [[(7, 7)]])
    similarities = tokens.similarities(asked("sun dog"), np.array([0]))
    assert similarities.sentence(0, np.array([[2, 2]], np.int32))[1].tolist() == [-1, -1]


def test_punctuation_is_dropped_and_a_passage_keeps_to_its_bytes() -> None:
    """A passage of nothing else keeps what it has; a long one loses its end."""
    tokens = stored(["cat . , dog", "?!", "word " * 2000], [[], [], []])
    counts = np.diff(tokens.starts).tolist()
    assert counts[:2] == [2, 2]
    assert counts[2] == MAX_PASSAGE_BYTES // (128 // 2 + 2 + 4)


def test_a_missing_passage_is_an_error(tmp_path: Path) -> None:
    """Not a shift of all that follow."""
    builder = PassageTokensBuilder(2, tmp_path)
    builder.add(0, "cat", asked("cat"), [])
    with pytest.raises(ValueError, match="tokens of 1 passages out of 2 are missing"):
        builder.finish()
