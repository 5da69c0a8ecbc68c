"""Late interaction: codes that keep cosines, and MaxSim against a plain loop."""

import itertools
import shutil
import tempfile
import weakref
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.embedding import TokenEmbeddings
from qa_service.embedding.runtime import ExportedEmbedder
from qa_service.errors import StorageError
from qa_service.index.tokens import MAX_PASSAGE_BYTES, Codec, PassageTokens, PassageTokensBuilder
from qa_service.index.tokens.product import GRAPH, products, unpacked
from qa_service.index.tokens.tokens import StoredRows

FAKE = FakeEmbedder()


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stored(texts: list[str], sentences: list[list[tuple[int, int]]]) -> PassageTokens:
    folder = Path(tempfile.mkdtemp())
    builder = PassageTokensBuilder(len(texts), folder)
    for number in np.random.default_rng(1).permutation(len(texts)):
        tokens = FAKE.embed_passages([texts[number]]).tokens
        assert tokens is not None
        builder.add(int(number), builder.pack(texts[number], tokens[0], sentences[number]))
    counts = builder.finish()
    assert sorted(counts) == sorted(path.name for path in folder.iterdir())
    assert all(len(np.load(folder / name)) == count for name, count in counts.items())
    tokens = PassageTokens.load(folder)
    weakref.finalize(tokens.codes, shutil.rmtree, folder, ignore_errors=True)
    return tokens


def asked(text: str) -> TokenEmbeddings:
    tokens = FAKE.embed_questions([text])[0].tokens
    assert tokens is not None
    return tokens


def test_cosines_of_codes_equal_those_of_the_decoded_vectors() -> None:
    """Compared with decoding by hand: four levels a component, four components a byte."""
    generator = np.random.default_rng(5)
    vectors = unit(generator.normal(size=(300, 160)) + generator.normal(size=160))
    codec = Codec.fit(vectors)
    codes = codec.encode(vectors)
    assert codes.shape == (300, 32)
    np.testing.assert_allclose(codec.projection.T @ codec.projection, np.eye(128), atol=1e-5)
    levels = 0.9957 * (np.arange(4) - 1.5)
    numbers = np.concatenate(unpacked(codes), axis=1)
    meant = unit(codec.mean + codec.deviation * levels[numbers] @ codec.projection.T)
    found = codec.cosines(vectors, codes, codec.lengths(codes))
    np.testing.assert_allclose(found, vectors @ meant.T, atol=2e-3)
    again = Codec.from_array(codec.to_array())
    np.testing.assert_array_equal(again.cosines(vectors, codes, again.lengths(codes)), found)


@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_products_of_codes_equal_those_of_their_numbers(rows: int, width: int, columns: int, seed: int) -> None:
    """Exact in integers, for any shape and all values."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (rows, width), dtype=np.uint8)
    question = generator.integers(-127, 128, (4 * width, columns), dtype=np.int8)
    numbers = np.concatenate([codes >> shift & 3 for shift in (0, 2, 4, 6)], axis=1).astype(np.int64)
    np.testing.assert_array_equal(products(codes, question), numbers @ question.astype(np.int64))


def test_the_graph_file_is_what_onnx_writes() -> None:
    """It has seven nodes."""
    import onnx
    from onnx import TensorProto, helper

    def value(name: str, kind: int, *shape: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    parts = range(4)
    graph = helper.make_graph(
        [
            *(helper.make_node("MatMulInteger", [f"codes_{n}", f"question_{n}"], [f"product_{n}"]) for n in parts),
            helper.make_node("Add", ["product_0", "product_1"], ["first"]),
            helper.make_node("Add", ["product_2", "product_3"], ["second"]),
            helper.make_node("Add", ["first", "second"], ["sum"]),
        ],
        "products",
        [
            *(value(f"codes_{n}", TensorProto.UINT8, "n", "w") for n in parts),
            *(value(f"question_{n}", TensorProto.INT8, "w", "m") for n in parts),
        ],
        [value("sum", TensorProto.INT32, "n", "m")],
    )
    opsets = [helper.make_opsetid("", 17)]
    assert onnx.load(GRAPH) == helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_rows_are_the_same_from_memory_and_from_the_file(tmp_path: Path) -> None:
    """For any ranges in any order, including empty ones; a truncated file is reported."""
    rows = np.random.default_rng(7).integers(0, 256, (50, 6), dtype=np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    ranges = [(40, 50), (3, 3), (0, 7), (5, 20)]
    expected = np.concatenate([rows[start:end] for start, end in ranges])
    kept = StoredRows(tmp_path / "rows.npy")
    read = StoredRows(tmp_path / "rows.npy", max_bytes_in_memory=10)
    np.testing.assert_array_equal(kept.read(ranges), expected)
    np.testing.assert_array_equal(read.read(ranges), expected)
    (tmp_path / "rows.npy").write_bytes((tmp_path / "rows.npy").read_bytes()[:-1])
    with pytest.raises(StorageError, match="ends before its last row"):
        read.read(ranges)
    kept.close()
    read.close()


def test_each_component_takes_its_nearest_level() -> None:
    """Four levels, each chosen independently."""
    codec = Codec.fit(unit(np.random.default_rng(2).normal(size=(500, 8))))
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    scaled = (vectors - codec.mean) @ codec.projection / codec.deviation
    nearest = np.abs(scaled[:, :, None] - 0.9957 * (np.arange(4) - 1.5)).argmin(axis=2)
    codes = codec.encode(vectors)
    np.testing.assert_array_equal(np.concatenate(unpacked(codes), axis=1), nearest)


def test_codes_of_real_tokens_lose_little(onnx: ExportedEmbedder) -> None:
    """They take a 24th of the bytes of float16; cosines stay within a tenth."""
    texts = ["The treaty was signed in 1953, two months after the armistice."] * 2 + [
        "Bread is baked from flour, water, yeast and salt in a hot oven every morning."
    ]
    vectors = np.concatenate([tokens.vectors for tokens in onnx.embed_passages(texts).tokens])
    codec = Codec.fit(vectors)
    found = codec.cosines(vectors, codec.encode(vectors), codec.lengths(codec.encode(vectors)))
    assert np.abs(found - vectors @ vectors.T).mean() < 0.06
    assert np.diag(found).mean() > 0.9
    assert codec.encode(vectors).nbytes == len(vectors) * 32


WORDS = st.lists(st.sampled_from(["cat", "dog", "mat", "sun", "sea", "."]), min_size=1, max_size=12).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=6), WORDS, st.data())
def test_maxsim_equals_a_plain_loop(texts: list[str], question: str, data: st.DataObject) -> None:
    """The weighted mean of the best cosine of each question token, for passages in any order."""
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


def test_the_best_sentence_is_chosen() -> None:
    """Also if another sentence has no token left."""
    text = "cat mat . … dog sun ."
    tokens = stored([text, "sea"], [[(0, 9), (10, 11), (12, 21)], [(0, 3)]])
    similarities = tokens.similarities(asked("sun dog"), np.array([1, 0]))
    rows = tokens.sentences[:3]
    number, cosines = similarities.sentence(1, rows, [0, 1, 2])
    assert number == 2
    assert cosines.min() > 0.8
    for place in (0, 2):
        start, end = rows[place].tolist()
        number, alone = similarities.sentence(1, rows, [place])
        at = similarities.starts[1]
        assert number == place
        np.testing.assert_array_equal(alone, similarities.cosines[:, at + start : at + end].max(axis=1))


def test_the_best_sentence_is_one_of_those_allowed() -> None:
    """Compared with the maxima of each sentence, for every choice of four."""
    text, spans = "cat mat. dog sun. sea cat. sun dog sun", [(0, 8), (9, 17), (18, 26), (27, 38)]
    tokens = stored(["fog", text], [[(0, 3)], spans])
    similarities = tokens.similarities(asked("sun sea dog"), np.array([0, 1]))
    rows = tokens.sentences[1:5]
    own = similarities.cosines[:, similarities.starts[1] : similarities.starts[2]]
    bests = np.array([own[:, start:end].max(axis=1) for start, end in rows.tolist()])
    for size in range(1, 5):
        for allowed in itertools.combinations(range(4), size):
            number, cosines = similarities.sentence(1, rows, allowed)
            assert number == max(allowed, key=lambda place: bests[place].sum())
            np.testing.assert_array_equal(cosines, bests[number])


def test_a_passage_without_tokens_in_any_sentence_has_its_first_as_best() -> None:
    """With the lowest cosines."""
    tokens = stored(["cat mat"], [[(7, 7)]])
    similarities = tokens.similarities(asked("sun dog"), np.array([0]))
    assert similarities.sentence(0, np.array([[2, 2]], np.int32), [0])[1].tolist() == [-1, -1]


def test_punctuation_is_dropped_and_long_passages_are_truncated() -> None:
    """A passage of punctuation alone keeps its tokens."""
    tokens = stored(["cat . , dog", "?!", "word " * 2000], [[], [], []])
    counts = np.diff(tokens.starts).tolist()
    assert counts[:2] == [2, 2]
    assert counts[2] == MAX_PASSAGE_BYTES // (128 // 4 + 2 + 4)


def test_reusing_passages_singly_or_in_batches_gives_equal_files(tmp_path: Path) -> None:
    """All or some of them in any order; the files equal those of adding each passage."""
    texts = [
        "The cat sleeps. The dog barks.",
        "…",
        "Whales are large",
        "",
        "A crab walks. It pinches. It hides.",
        "Fog",
    ]
    spans = [[(0, 15), (16, 30)], [(0, 1)], [(0, 16)], [(0, 0)], [(0, 13), (14, 25), (26, 35)], [(0, 3)]]
    rows = np.cumsum([0, *map(len, spans)])
    before = stored(texts, spans)
    files = []
    counts = np.diff(rows)
    for case, (most, order) in enumerate([(9999, range(6)), (3, [4, 5, 1, 2, 3, 0]), (1, [5, 0, 3, 1, 4, 2])]):
        (tmp_path / str(case)).mkdir()
        builder = PassageTokensBuilder(len(texts), tmp_path / str(case), order_tokens=most)
        numbers = np.array(order)
        builder.add_stored(numbers[:4], before, numbers[:4], rows[numbers[:4]], counts[numbers[:4]])
        builder.add_stored(numbers[4:], before, numbers[4:], rows[numbers[4:]], counts[numbers[4:]])
        builder.finish()
        files.append({path.name: path.read_bytes() for path in (tmp_path / str(case)).iterdir()})
    assert files[0] == files[1] == files[2]
    whole = PassageTokens.load(tmp_path / "0")
    for name in ("starts", "sentences", "ids", "lengths"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(before, name))
    some = PassageTokensBuilder(3, tmp_path)
    own = np.array([4, 5, 0])
    some.add_stored(np.array([1, 2, 0]), before, own, rows[own], counts[own])
    some.finish()
    loaded = PassageTokens.load(tmp_path)
    wanted = [*range(rows[0], rows[1]), *range(rows[4], rows[6])]
    np.testing.assert_array_equal(loaded.sentences, np.asarray(before.sentences)[wanted])
    ids = [before.ids[before.starts[number] : before.starts[number + 1]] for number in (0, 4, 5)]
    np.testing.assert_array_equal(loaded.ids, np.concatenate(ids))
    counted = np.load(tmp_path / "token-frequencies.npy")
    for token in np.unique(loaded.ids):
        assert counted[token] == sum(token in each for each in ids)


def test_missing_tokens_of_a_passage_are_an_error(tmp_path: Path) -> None:
    """They do not shift the passages after it."""
    builder = PassageTokensBuilder(2, tmp_path)
    builder.add(0, builder.pack("cat", asked("cat"), []))
    with pytest.raises(ValueError, match="tokens of 1 passages out of 2 are missing"):
        builder.finish()


def test_tokens_with_another_codec_are_refused(tmp_path: Path) -> None:
    """Tokens with the given codec are accepted."""
    one, other = stored(["cat sat", "dog"], [[], []]), stored(["a whale swims far", "seals"], [[], []])
    builder = PassageTokensBuilder(2, tmp_path, one.codec)
    builder.add_stored(np.array([0]), one, np.array([1]), np.array([0]), np.array([0]))
    with pytest.raises(ValueError, match="another codec"):
        builder.add_stored(np.array([1]), other, np.array([0]), np.array([0]), np.array([0]))
    builder.drop()
