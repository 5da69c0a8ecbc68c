"""The rows and records of a generation in Milvus, compared with brute force."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder
from milvus_index import SHAPES, Write, searches_as_brute_force_does

from qa_service.errors import StoreRefused, StoreUnavailable
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.connection import Address, Connection
from qa_service.index.milvus.records import Records
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings

pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


@pytest.mark.parametrize(("count", "dimension"), SHAPES)
def test_milvus_search_equals_brute_force(connection: Connection, count: int, dimension: int) -> None:
    """Ids and cosines, best first, of all rows and of those that meet a condition."""
    searches_as_brute_force_does(connection, count, dimension)


def test_milvus_refuses_invalid_ids_vectors_and_missing_rows(connection: Connection) -> None:
    """Ids that do not increase, vectors without a direction or of another dimension, rows that do not exist."""
    store = MilvusStore.create(connection, "refusals", 3)
    store.add(np.array([3]), np.ones((1, 3), np.float32))
    for ids in ([-1], [3], [5, 5]):
        with pytest.raises(ValueError, match="increasing"):
            store.add(np.array(ids), np.ones((len(ids), 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.add(np.array([9]), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.search(np.full((1, 3), np.nan, np.float32), 1)
    with pytest.raises(ValueError, match="shape"):
        store.search(np.ones((1, 2), np.float32), 1)
    with pytest.raises(ValueError, match="top_k"):
        store.search(np.ones((1, 3), np.float32), 0)
    store.finish()
    with pytest.raises(StoreRefused, match="missing"):
        store.vectors(np.array([3, 4]))


def test_records_hold_any_text(connection: Connection) -> None:
    """Texts of any length and characters; missing keys are absent; pages are in order."""
    odd, long = "한국 \0 \ud800 🚢\"'\\\n" * 50, "".join(map(chr, range(40, 9000))) * 30
    texts = {"a/1": "", "a/2": "=@z", "a/3": odd, "a/4": long}
    records = Records.create(connection, "records")
    records.write(texts.items())
    records.write([("a/1", "written again")])
    records.finish()
    assert records.get([*texts, "none"]) == texts | {"a/1": "written again"}
    assert records.scan("a/") == sorted(texts)
    assert records.scan("a/", "a/2", 1) == ["a/3"]
    assert records.one("none") is None


def test_equal_passages_can_be_published(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """The server finds arbitrary ones of them."""
    copies: dict[str, str | bytes] = {
        f"copy-{number}.txt": "The same terms hold for everybody." for number in range(60)
    }
    folder(copies | {f"{number}.txt": f"Rule {number} is of its own." for number in range(20)})
    build(shared, fake)
    answer = open_answerer(shared, fake)[0].ask("Which terms hold for everybody?")
    assert answer.results[0].scored.passage.text == "The same terms hold for everybody."


def test_publishing_waits_while_the_server_makes_progress_with_its_index() -> None:
    """Longer than the limit of a call, and no longer than that without progress."""

    class Slow:
        address = Address("http://nowhere", timeout=0.01)

        def __init__(self, *pending: int) -> None:
            self.pending = list(pending)
            self.called: list[str] = []

        def call(self, method: str, *_: object, **__: object) -> dict[str, int]:
            self.called.append(method)
            last = len(self.pending) == 1
            return {"pending_index_rows": self.pending[0] if last else self.pending.pop(0)}

    slow = Slow(*range(40, -1, -1))
    begun = time.monotonic()
    MilvusStore(slow, "rows", 8).finish(poll_seconds=0.02)  # type: ignore[arg-type]
    assert time.monotonic() - begun > 2 * 0.01 * 30
    assert [slow.called[0], slow.called[-1]] == ["flush", "load_collection"]
    stuck = Slow(9, 7)
    with pytest.raises(StoreUnavailable) as caught:
        MilvusStore(stuck, "rows", 8).finish(poll_seconds=0.02)  # type: ignore[arg-type]
    assert "7 rows are pending" in caught.value.in_full()
    assert "load_collection" not in stuck.called


class Searched:
    """A server with ten rows of cosine 1, some of which it does not find: ``missed`` returns for how many queries."""

    address = Address("http://nowhere", timeout=60)

    def __init__(self, missed: Callable[[int, int], int]) -> None:
        self.asked: list[int] = []
        self._missed = missed

    def call(self, method: str, *_: object, **named: Any) -> Any:
        if method == "describe_index":
            return {"pending_index_rows": 0}
        self.asked.append(named["search_params"]["params"]["ef"])
        missed = self._missed(len(self.asked), self.asked[-1])
        hits = [{"id": number, "distance": 1.0} for number in range(10)]
        worse = [*hits[:9], {"id": 9, "distance": 0.5}]
        return [worse if query < missed else hits for query in range(len(named["data"]))]


def test_rows_that_become_searchable_late_do_not_raise_ef_search() -> None:
    """It is chosen once all rows are searchable; for the largest one the mean recall suffices."""
    queries, expected = np.ones((100, 8), np.float32), np.ones((100, 10), np.float32)
    late = Searched(lambda times, ef: 100 if times < 4 else 8 if ef < 256 else 2)
    store = MilvusStore(late, "rows", 8, 10, exact=False)  # type: ignore[arg-type]
    assert store.settle(queries, expected, poll_seconds=0.001) == pytest.approx(0.998)
    assert (store.ef_search, late.asked) == (256, [2048] * 4 + [64, 128, 256])
    poor = Searched(lambda *_: 8)
    store = MilvusStore(poor, "rows", 8, 10, exact=False)  # type: ignore[arg-type]
    assert store.settle(queries, expected, poll_seconds=0.001) == pytest.approx(0.992)
    assert (store.ef_search, poor.asked) == (2048, [2048, 64, 128, 256, 512, 1024])
