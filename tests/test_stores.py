"""Vector stores: ids and scores against NumPy brute force, and what a store must refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_service.stores import VectorStore
from qa_service.stores.faiss import FaissStore


def filled(vectors: np.ndarray, ids: np.ndarray) -> VectorStore:
    store = FaissStore(vectors.shape[1])
    store.add(ids, vectors)
    return store


@given(st.integers(0, 60), st.sampled_from([2, 8, 384]), st.integers(1, 70), st.integers(0, 10_000))
@settings(deadline=None)
def test_search_equals_brute_force(count: int, dimension: int, top_k: int, seed: int) -> None:
    """Ids and cosines, best first, for vectors and queries of any length."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, dimension)).astype(np.float32) * generator.uniform(0.1, 9, (count, 1))
    vectors = vectors.astype(np.float32)
    ids = np.cumsum(generator.integers(1, 9, size=count))
    queries = generator.normal(size=(3, dimension)).astype(np.float32)
    found, scores = filled(vectors, ids).search(queries, top_k)
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ).T
    expected = np.argsort(-cosines, axis=1)[:, :top_k]
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, expected, axis=1), atol=1e-5)
    np.testing.assert_array_equal(found, ids[expected] if count else expected)


def test_equal_scores_come_in_the_order_of_ids() -> None:
    """Also at the last place, where some of them fall out."""
    ids, scores = filled(np.ones((20, 4), np.float32), np.arange(0, 40, 2)).search(np.ones((1, 4), np.float32), 7)
    assert ids[0].tolist() == [0, 2, 4, 6, 8, 10, 12]
    np.testing.assert_allclose(scores, 1, atol=1e-6)


@pytest.mark.parametrize("bad", [0, np.nan, np.inf])
def test_a_vector_without_a_direction_is_refused(bad: float) -> None:
    """On the way in and as a query."""
    store = FaissStore(3)
    with pytest.raises(ValueError, match="no direction"):
        store.add(np.array([0]), np.full((1, 3), bad, np.float32))
    store.add(np.array([0]), np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.search(np.full((1, 3), bad, np.float32), 1)


@pytest.mark.parametrize("ids", [[-1], [3], [5, 5], [6, 5]])
def test_ids_must_grow(ids: list[int]) -> None:
    """Nothing is overwritten; also not after reopening."""
    store = filled(np.ones((1, 3), np.float32), np.array([3]))
    reopened = FaissStore.from_bytes(store.to_bytes(), dimension=3, count=1)
    for target in (store, reopened):
        with pytest.raises(ValueError, match="growing"):
            target.add(np.array(ids), np.ones((len(ids), 3), np.float32))


def test_shapes_and_numbers_are_checked() -> None:
    """A wrong dimension, a wrong count, no results asked for."""
    store = filled(np.ones((2, 3), np.float32), np.array([0, 1]))
    with pytest.raises(ValueError, match="shape"):
        store.add(np.array([2]), np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="shape"):
        store.search(np.ones((1, 4), np.float32), 1)
    with pytest.raises(ValueError, match="top_k is 0"):
        store.search(np.ones((1, 3), np.float32), 0)


def test_bytes_round_trip() -> None:
    """What was written answers the same."""
    generator = np.random.default_rng(7)
    store = filled(generator.normal(size=(50, 8)).astype(np.float32), np.arange(50))
    reopened = FaissStore.from_bytes(store.to_bytes(), dimension=8, count=50)
    queries = generator.normal(size=(5, 8)).astype(np.float32)
    for one, other in zip(store.search(queries, 9), reopened.search(queries, 9), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(reopened) == 50
    reopened.close()
    assert len(reopened) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"IwFl" + data[4:], "not an exact inner product index"),
        (lambda data: data[:37] + b"IxF2" + data[41:], "not an exact inner product index"),
        (lambda data: data[:-1], "bytes, expected"),
        (lambda data: data + b"\0", "bytes, expected"),
        (lambda data: b"", "not an exact inner product index"),
    ],
)
def test_another_type_or_length_is_refused_before_faiss_reads_it(change: object, message: str) -> None:
    """A header that promises more than the file holds allocates nothing."""
    data = change(filled(np.ones((4, 3), np.float32), np.arange(4)).to_bytes())
    with pytest.raises(ValueError, match=message):
        FaissStore.from_bytes(data, dimension=3, count=4)


def test_a_header_of_other_numbers_is_refused() -> None:
    """Dimension and count are those of the manifest, not of the file."""
    data = filled(np.ones((4, 3), np.float32), np.arange(4)).to_bytes()
    with pytest.raises(ValueError, match="expected"):
        FaissStore.from_bytes(data, dimension=4, count=4)
    with pytest.raises(ValueError, match="expected"):
        FaissStore.from_bytes(data, dimension=3, count=10**12)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10_000))
@settings(deadline=None)
def test_search_among_allowed_ids_equals_brute_force(count: int, top_k: int, seed: int) -> None:
    """Exactly as many results as asked for if so many are allowed, and the vectors themselves by id."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(count, 8)).astype(np.float32)
    ids = np.arange(0, 3 * count, 3)
    allowed = ids[generator.random(count) < 0.5]
    query = generator.normal(size=(1, 8)).astype(np.float32)
    store = filled(vectors, ids)
    found, _ = store.search(query, top_k, allowed)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = sorted(allowed.tolist(), key=lambda identifier: (-float(units[identifier // 3] @ query[0]), identifier))
    assert found[0].tolist() == order[:top_k]
    np.testing.assert_allclose(store.vectors(allowed), units[allowed // 3], atol=1e-6)
