"""Vector stores: ids and scores against NumPy brute force, and what a store must refuse."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.embedding.interface import unit_length
from qa_service.index.vectors import Recall, VectorIndex
from qa_service.index.vectors.faiss import FaissStore


def filled(vectors: np.ndarray, ids: np.ndarray) -> FaissStore:
    store = FaissStore(vectors.shape[1])
    store.add(ids, vectors)
    return store


@given(st.integers(0, 60), st.sampled_from([2, 8, 384]), st.integers(1, 70), st.integers(0, 10_000))
def test_search_equals_brute_force(count: int, dimension: int, top_k: int, seed: int) -> None:
    """Ids and cosines, best first, for vectors and queries of any length; vectors are kept as 16-bit floats."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, dimension)).astype(np.float32) * generator.uniform(0.1, 9, (count, 1))
    vectors = vectors.astype(np.float32)
    ids = np.cumsum(generator.integers(1, 9, size=count))
    queries = generator.normal(size=(3, dimension)).astype(np.float32)
    store = filled(vectors, ids)
    found, scores = store.search(queries, top_k)
    kept = store.vectors(ids)
    np.testing.assert_allclose(kept, unit_length(vectors), atol=2.5e-4)
    cosines = unit_length(queries) @ kept.T
    expected = np.argsort(-cosines, axis=1)[:, :top_k]
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, expected, axis=1), atol=1e-5)
    # Cosines that differ by less than rounding errors may come in either order.
    np.testing.assert_allclose(np.take_along_axis(cosines, np.searchsorted(ids, found), axis=1), scores, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in found.tolist())


def test_equal_scores_come_in_the_order_of_ids() -> None:
    """Also at the last place, where some of them are cut off."""
    ids, scores = filled(np.ones((20, 4), np.float32), np.arange(0, 40, 2)).search(np.ones((1, 4), np.float32), 7)
    assert ids[0].tolist() == [0, 2, 4, 6, 8, 10, 12]
    np.testing.assert_allclose(scores, 1, atol=1e-6)


@pytest.mark.parametrize("bad", [0, np.nan, np.inf])
def test_a_vector_without_a_direction_is_refused(bad: float) -> None:
    """Both when it is added and as a query."""
    store = FaissStore(3)
    with pytest.raises(ValueError, match="no direction"):
        store.add(np.array([0]), np.full((1, 3), bad, np.float32))
    store.add(np.array([0]), np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.search(np.full((1, 3), bad, np.float32), 1)


@pytest.mark.parametrize("ids", [[-1], [3], [5, 5], [6, 5]])
def test_ids_must_increase(ids: list[int], tmp_path: Path) -> None:
    """Nothing is overwritten, also after reopening."""
    store = filled(np.ones((1, 3), np.float32), np.array([3]))
    store.save(tmp_path / "v")
    reopened = FaissStore.open(tmp_path / "v", dimension=3, count=1)
    for target in (store, reopened):
        with pytest.raises(ValueError, match="increasing"):
            target.add(np.array(ids), np.ones((len(ids), 3), np.float32))


def test_shapes_and_top_k_are_checked() -> None:
    """A wrong dimension, a wrong count, no requested results."""
    store = filled(np.ones((2, 3), np.float32), np.array([0, 1]))
    with pytest.raises(ValueError, match="shape"):
        store.add(np.array([2]), np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="shape"):
        store.search(np.ones((1, 4), np.float32), 1)
    with pytest.raises(ValueError, match="top_k is 0"):
        store.search(np.ones((1, 3), np.float32), 0)


def test_a_reopened_store_answers_the_same(tmp_path: Path) -> None:
    """Its vectors are mapped from the file."""
    generator = np.random.default_rng(7)
    store = filled(generator.normal(size=(50, 8)).astype(np.float32), np.arange(50))
    store.save(tmp_path / "v")
    reopened = FaissStore.open(tmp_path / "v", dimension=8, count=50)
    queries = generator.normal(size=(5, 8)).astype(np.float32)
    for one, other in zip(store.search(queries, 9), reopened.search(queries, 9), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(reopened) == 50
    reopened.close()
    assert len(reopened) == 0


@pytest.mark.parametrize("dimension", [8, 384])
def test_vectors_of_another_store_stay_the_same(dimension: int) -> None:
    """Also after ten builds that copy them."""
    vectors = np.random.default_rng(9).normal(size=(3000, dimension)).astype(np.float32)
    store = filled(vectors, np.arange(3000))
    first = store.vectors(np.arange(3000))
    for _ in range(10):
        store = filled(store.vectors(np.arange(3000)), np.arange(3000))
    np.testing.assert_array_equal(store.vectors(np.arange(3000)), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"IwFl" + data[4:], "not a flat inner product index"),
        (lambda data: data[:37] + b"IxF2" + data[41:], "not a flat inner product index"),
        (lambda data: data[:-1], "bytes, expected"),
        (lambda data: data + b"\0", "bytes, expected"),
        (lambda data: b"", "not a flat inner product index"),
    ],
)
def test_a_file_of_another_type_or_size_is_refused_before_faiss_parses_it(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """A header that promises more than the file holds allocates nothing."""
    path = tmp_path / "v"
    filled(np.ones((4, 3), np.float32), np.arange(4)).save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        FaissStore.open(path, dimension=3, count=4)


def test_a_header_with_another_dimension_or_count_is_refused(tmp_path: Path) -> None:
    """The manifest gives both."""
    path = tmp_path / "v"
    filled(np.ones((4, 3), np.float32), np.arange(4)).save(path)
    with pytest.raises(ValueError, match="expected"):
        FaissStore.open(path, dimension=4, count=4)
    with pytest.raises(ValueError, match="expected"):
        FaissStore.open(path, dimension=3, count=10**12)
    with pytest.raises(ValueError, match="not a pq"):
        FaissStore.open(path, dimension=3, count=4, kind="pq", candidates=64)


@pytest.mark.parametrize("dimension", [32, 33])
def test_codes_find_what_exact_search_finds(dimension: int, tmp_path: Path) -> None:
    """Recall@10 of .99 or more on questions that they were not chosen by, also once written and read; always the same.

    An odd number of components has a code each.
    """
    generator = np.random.default_rng(3)
    centres = generator.normal(size=(40, dimension))
    vectors = centres[generator.integers(40, size=3000)] + generator.normal(size=(3000, dimension))
    vectors = vectors.astype(np.float32)
    ids = np.arange(3000) * 2
    store, exact = filled(vectors, ids), filled(vectors, ids)
    chosen = store.choose_index(exact_up_to=1000)
    assert chosen.kind == "pq"
    assert chosen.recall_at_10 >= 0.99
    store.save(tmp_path / "v")
    again = filled(vectors, ids)
    again.choose_index(exact_up_to=1000)
    again.save(tmp_path / "again")
    assert (tmp_path / "v").read_bytes() == (tmp_path / "again").read_bytes()
    store = FaissStore.open(tmp_path / "v", dimension=dimension, count=3000, kind="pq", candidates=chosen.candidates)
    queries = generator.normal(size=(100, dimension)).astype(np.float32)
    (found, scores), (right, _) = store.search(queries, 10), exact.search(queries, 10)
    assert np.mean([len(np.intersect1d(*pair)) for pair in zip(found, right, strict=True)]) >= 9.8
    assert (np.diff(scores, axis=1) <= 0).all()
    found, right = store.search(queries, 100)[0], exact.search(queries, 100)[0]
    assert np.mean([np.isin(*pair).mean() for pair in zip(found, right, strict=True)]) >= 0.99
    for some in (188, 3000):  # sixteen candidates each are more than there are
        for one, other in zip(store.search(queries, some), exact.search(queries, some), strict=True):
            np.testing.assert_array_equal(one, other)
    allowed = ids[::7]
    for one, other in zip(store.search(queries, 10, allowed), exact.search(queries, 10, allowed), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(store.vectors(ids[5:9]), exact.vectors(ids[5:9]))


def test_the_lower_bound_of_recall_is_two_standard_errors_below_the_mean() -> None:
    """If all queries agree, the bound is the mean."""
    exact = np.tile(np.linspace(0.9, 0.5, 10, dtype=np.float32), (100, 1))
    found = exact.copy()
    assert Recall.of(exact, found) == Recall(1.0, 1.0)
    found[:20, 9] = 0.49
    recall = Recall.of(exact, found)
    assert recall.mean == pytest.approx(0.98)
    assert recall.least == pytest.approx(0.98 - 2 * 0.04 / 10)


def test_the_fewest_candidates_with_sufficient_recall_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the largest number the mean suffices."""
    store = filled(np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32), np.arange(500))
    measured = iter([Recall(0.991, 0.98), Recall(0.993, 0.9901)])
    monkeypatch.setattr("qa_service.index.vectors.faiss.Recall.of", lambda *_: next(measured))
    assert store.choose_index(exact_up_to=100) == VectorIndex("pq", 256, 0.993)
    monkeypatch.setattr("qa_service.index.vectors.faiss.Recall.of", lambda *_: Recall(0.991, 0.98))
    store = filled(np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32), np.arange(500))
    assert store.choose_index(exact_up_to=100) == VectorIndex("pq", 2048, 0.991)


def test_equal_vectors_are_interchangeable_in_recall() -> None:
    """A text in many passages, such as a licence, is no reason to search exactly."""
    generator = np.random.default_rng(5)
    vectors = generator.normal(size=(3000, 32)).astype(np.float32)
    vectors[generator.permutation(3000)[:600]] = vectors[:20].repeat(30, axis=0)
    store, exact = filled(vectors, np.arange(3000)), filled(vectors, np.arange(3000))
    assert store.choose_index(exact_up_to=1000).kind == "pq"
    (_, found), (_, right) = store.search(vectors[:20], 10), exact.search(vectors[:20], 10)
    np.testing.assert_allclose(found, right, atol=1e-5)
    assert Recall.of(right, found - 0.001).mean < 1


def test_some_are_found_if_all_vectors_are_equal() -> None:
    """FAISS finds none of them by codes."""
    store = filled(np.ones((6000, 384), np.float32), np.arange(6000))
    assert store.choose_index().kind == "pq"
    ids, scores = store.search(np.ones((1, 384), np.float32), 20)
    assert len(set(ids[0].tolist()) & set(range(6000))) == 20
    np.testing.assert_allclose(scores, 1, atol=1e-3)


def test_few_vectors_and_low_recall_keep_exact_search() -> None:
    """A recall that can't be reached keeps the flat index."""
    store = filled(np.random.default_rng(1).normal(size=(500, 8)).astype(np.float32), np.arange(500))
    assert store.choose_index() == VectorIndex("flat", 0, 1.0)
    assert store.choose_index(exact_up_to=100, least_recall=1.1) == VectorIndex("flat", 0, 1.0)
    assert len(store.search(np.ones((1, 8), np.float32), 5)[0][0]) == 5


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10_000))
def test_search_among_allowed_ids_equals_brute_force(count: int, top_k: int, seed: int) -> None:
    """There are exactly top_k results if so many are allowed."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, 8)).astype(np.float32)
    ids = np.arange(0, 3 * count, 3)
    allowed = ids[generator.random(count) < 0.5]
    query = generator.normal(size=(1, 8)).astype(np.float32)
    store = filled(vectors, ids)
    found, scores = store.search(query, top_k, allowed)
    units = store.vectors(ids)
    cosines = np.sort(-units[allowed // 3] @ unit_length(query)[0])[:top_k]
    np.testing.assert_allclose(scores[0], -cosines, atol=1e-5)
    assert set(found[0].tolist()) <= set(allowed.tolist())
    assert len(set(found[0].tolist())) == len(cosines)
    np.testing.assert_array_equal(store.vectors(allowed), units[allowed // 3])
