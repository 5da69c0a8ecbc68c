"""Generations in Milvus: published, swapped, rolled back, and served by replicas."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder
from milvus_index import Write, swap_under_load
from milvus_servers import Server
from processes import PATIENCE

from qa_service.embedding import find_model
from qa_service.embedding.choose import embedder_to_ask
from qa_service.embedding.export import Exporter
from qa_service.errors import IndexMissing, ModelChanged, SettingsError, StoreUnavailable
from qa_service.index.locations import generations_of
from qa_service.index.manifest import data_files
from qa_service.index.milvus import MilvusGenerations
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.connection import Connection
from qa_service.pipeline import build, open_answerer
from qa_service.settings import DEFAULT_MODEL, Settings, load_settings

pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


def test_publishing_a_generation_hashes_each_of_its_files_once(
    shared: Settings, folder: Write, fake: FakeEmbedder, hashed: Counter[int]
) -> None:
    """A new generation is hashed when it is written, and again when it is opened to calibrate and to publish it."""
    folder(TWO_DOCUMENTS)

    def times() -> set[int]:
        hashed.clear()
        path = shared.index / "generations" / build(shared, fake).index_version
        return {hashed[(path / name).stat().st_ino] for name in data_files(token_vectors=True)}

    assert times() == {2}
    assert times() == {1}


def test_milvus_generations_are_swapped_kept_and_rolled_back(
    shared: Settings, folder: Write, fake: FakeEmbedder
) -> None:
    """Equal documents publish nothing; old generations are deleted; a retired citation still resolves."""
    generations = generations_of(shared)
    with pytest.raises(IndexMissing, match="nothing is published"):
        generations.current_pointer()
    versions = []
    for build_number in range(3):
        folder({"a.txt": f"The cat of build {build_number} sleeps."})
        versions.append(build(shared, fake).index_version)
        assert not build(shared, fake).changed
        assert generations.current_pointer()[0] == versions[-1]
        if build_number == 1:
            old = open_answerer(shared, fake)[0].ask("cat").results[0].citation.permalink
    before = generations.manifest_before(versions[2])
    assert before is not None
    assert before.generation == versions[1]
    assert generations.manifest_before(versions[1]) is None  # two are kept
    answerer = open_answerer(shared, fake)[0]
    assert "build 2" in answerer.ask("cat").results[0].scored.passage.text
    assert answerer.citation(old).state == "changed"
    assert generations.rollback() == versions[1]
    assert "build 1" in open_answerer(shared, fake)[0].ask("cat").results[0].scored.passage.text
    with pytest.raises(IndexMissing, match="older"):
        generations.rollback()
    with pytest.raises(ModelChanged):
        open_answerer(shared, FakeEmbedder(weights="c" * 64))


def test_an_interrupted_publication_changes_nothing(
    shared: Settings, folder: Write, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old generation keeps answering, and the next build publishes the new one."""
    folder({"a.txt": "The cat of build 0 sleeps."})
    first = build(shared, fake).index_version
    folder({"a.txt": "The cat of build 1 sleeps."})
    for broken in (
        "qa_service.index.milvus.generations.write_records",
        "qa_service.pipeline.QuestionAnswerer.self_test",
    ):
        with monkeypatch.context() as patched:
            patched.setattr(broken, _away)
            with pytest.raises(StoreUnavailable):
                build(shared, fake)
        assert generations_of(shared).current_pointer()[0] == first
    second = build(shared, fake).index_version
    assert generations_of(shared).current_pointer()[0] == second != first


def _away(*_: object, **__: object) -> None:
    raise StoreUnavailable("the vector store does not answer")


def test_the_alias_is_swapped_under_load(shared: Settings, server: Server, folder: Write, fake: FakeEmbedder) -> None:
    """Two replicas, four clients: no request fails, no answer mixes generations, both follow."""
    patient = {"reload_seconds": 0.1, "milvus_seconds": PATIENCE, "deadline_seconds": PATIENCE}
    assert swap_under_load(shared.model_copy(update=patient), folder, fake, 4) > 0


def test_a_replica_without_a_build_exports_the_model(
    tmp_path: Path, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, into the cache; another server answers by the reference until a build has exported the model."""
    written: list[str] = []

    def write(_: Exporter, folder: Path, precision: str) -> None:
        written.append(precision)
        shutil.copytree(exports[precision], folder, dirs_exist_ok=True)

    monkeypatch.setattr(Exporter, "write", write)
    model, cache = str(find_model(DEFAULT_MODEL).folder), str(tmp_path / "cache")  # as any model but the built-in one
    shared = load_settings(store="milvus", model=model, cache_dir=cache, index=tmp_path / "index")
    alone = shared.model_copy(update={"store": "faiss"})
    assert embedder_to_ask(alone).runtime.startswith("torch")
    assert "int8" in embedder_to_ask(shared).runtime
    assert "int8" in embedder_to_ask(shared).runtime
    assert "int8" in embedder_to_ask(alone).runtime
    assert written == ["int8"]


def test_aliases_are_valid_names_and_the_token_is_not_shown() -> None:
    """Each collection has an alias of its own."""
    token = "root:" + "s" * 20
    settings = load_settings(collections=("hr", "a-b", "a_b"), milvus_token=token)
    aliases = [own.milvus_alias for own in (settings, *settings.by_collection().values())]
    assert aliases == ["qa_default", "qa_hr", "qa_aHb", "qa_a_b"]
    assert token not in repr(settings)
    with pytest.raises(SettingsError, match="not shown"):
        load_settings(milvus_token=f"{token} {token}")


def test_an_alias_on_a_foreign_collection_is_an_error(shared: Settings, connection: Connection) -> None:
    """The error says how to fix it."""
    MilvusStore.create(connection, "strange", 4).finish()
    connection.call("create_alias", "strange", shared.milvus_alias)
    from qa_service.errors import IndexCorrupt

    with pytest.raises(IndexCorrupt, match="no build wrote"):
        MilvusGenerations(connection, shared.milvus_alias).current_id()
