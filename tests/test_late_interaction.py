"""Late interaction: codes that keep cosines, and MaxSim against a plain loop."""

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
    builder = PassageTokensBuilder(len(texts))
    for number in np.random.default_rng(1).permutation(len(texts)):
        tokens = FAKE.embed_passages([texts[number]]).tokens
        assert tokens is not None
        builder.add(int(number), texts[number], tokens[0], sentences[number])
    return builder.finish()


def asked(text: str) -> TokenEmbeddings:
    tokens = FAKE.embed_question(text).tokens
    assert tokens is not None
    return tokens


def test_cosines_of_codes_are_those_of_the_vectors_they_stand_for() -> None:
    """The shortcut through integers against unpacking by hand, four levels a component."""
    generator = np.random.default_rng(5)
    vectors = unit(generator.normal(size=(300, 32)) + generator.normal(size=32))
    codec = Codec.fit(vectors)
    codes = codec.encode(vectors)
    assert codes.shape == (300, 8)
    levels = np.array([-1.51, -0.453, 0.453, 1.51])[(codes[:, :, None] >> np.array([0, 2, 4, 6])) & 3].reshape(300, 32)
    meant = unit(codec.mean + levels * codec.deviation)
    np.testing.assert_allclose(codec.cosines(vectors, codes), (vectors @ codec.rotation) @ meant.T, atol=1e-3)


def test_codes_lose_little(real: SentenceTransformerEmbedder) -> None:
    """Of real tokens: a twelfth of the bytes in float16, cosines within a few hundredths."""
    texts = ["The treaty was signed in 1953, two months after the armistice."] * 2 + [
        "Bread is baked from flour, water, yeast and salt in a hot oven every morning."
    ]
    vectors = np.concatenate([tokens.vectors for tokens in real.embed_passages(texts).tokens])
    codec = Codec.fit(vectors)
    found = codec.cosines(vectors, codec.encode(vectors))
    assert np.abs(found - vectors @ vectors.T).mean() < 0.06
    assert np.diag(found).mean() > 0.9
    assert codec.encode(vectors).nbytes == len(vectors) * 96


def test_a_codec_is_read_back_as_written() -> None:
    """From one array of numbers."""
    codec = Codec.fit(unit(np.random.default_rng(2).normal(size=(100, 8))))
    again = Codec.from_array(codec.to_array())
    np.testing.assert_array_equal(again.rotation, codec.rotation)
    np.testing.assert_array_equal(again.mean, codec.mean)
    assert again.deviation == pytest.approx(codec.deviation)
    with pytest.raises(ValueError, match="do not pack"):
        Codec.fit(np.ones((3, 6), np.float32))


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
        codes = tokens.codes[tokens.starts[number] : tokens.starts[number + 1]]
        cosines = tokens.codec.cosines(query.vectors, codes)
        expected = sum(w * row.max() for w, row in zip(weights, cosines, strict=True)) / weights.sum()
        assert found.maxsim()[place] == pytest.approx(expected, abs=1e-4)
    order = np.arange(len(texts))[::-1]
    np.testing.assert_allclose(found.take(order).maxsim(), found.maxsim()[order], atol=1e-5)


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


def test_punctuation_is_dropped_and_a_passage_keeps_to_its_bytes() -> None:
    """A passage of nothing else keeps what it has; a long one loses its end."""
    tokens = stored(["cat . , dog", "?!", "word " * 2000], [[], [], []])
    counts = np.diff(tokens.starts).tolist()
    assert counts[:2] == [2, 2]
    assert counts[2] * 128 // 4 == MAX_PASSAGE_BYTES


def test_a_missing_passage_is_an_error() -> None:
    """Not a shift of all that follow."""
    builder = PassageTokensBuilder(2)
    builder.add(0, "cat", asked("cat"), [])
    with pytest.raises(ValueError, match="tokens of 1 passages, expected 2"):
        builder.finish()
