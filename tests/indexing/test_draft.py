"""A build reuses what is unchanged from the current generation, and nothing else."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEmbedder

from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.indexing.build import build_generation, gather_inputs
from qa_service.pipeline import build, open_answerer
from qa_service.retrieval.fitting import MIN_PASSAGES
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
FOUR = {
    f"{name}.md": f"# {name}\n\nThe {name} stands in the {name} yard. It is number {place}.\n\n"
    f"## More\n\nAll about {name}.\n"
    for place, name in enumerate(["barn", "mill", "silo", "well"])
}


def current(settings: Settings) -> OpenIndex:
    return IndexFolder(settings.index).open_current(None).index


def test_only_changed_passages_are_embedded(folder: Write, settings: Settings) -> None:
    """A changed section costs one passage; moved, removed and renamed documents cost none."""
    folder(dict(FOUR))
    fake = FakeEmbedder()
    total = build(settings, fake).passages
    assert fake.embedded == total == 8
    source = folder({"mill.md": FOUR["mill.md"].replace("All about mill", "Nothing about mill")})
    fake.embedded = 0
    build(settings, fake)
    assert fake.embedded == 1
    (source / "barn.md").rename(source / "zzz.md")
    (source / "silo.md").unlink()
    fake.embedded = 0
    assert build(settings, fake).passages == 6
    assert fake.embedded == 0


@pytest.mark.parametrize("max_copied_passages", [10_000, 3])
def test_reused_documents_have_the_rows_of_a_new_build(
    max_copied_passages: int, folder: Write, settings: Settings, tmp_path: Path
) -> None:
    """In both tables, with files added, removed, renamed and changed among them, for large and small copies."""
    names = [f"{first}{second}" for first in "bdf" for second in "abcdefgh"]
    source = folder({f"{name}.md": FOUR["barn.md"].replace("barn", f"barn {name}") for name in names})
    build(settings, FakeEmbedder())
    folder({"aa.md": FOUR["mill.md"], "bd.md": FOUR["silo.md"], "cc.md": FOUR["well.md"] * 3, "zz.md": FOUR["barn.md"]})
    for gone in ("ba", "da", "db", "fh"):
        (source / f"{gone}.md").unlink()
    (source / "dd.md").rename(source / "ee.md")
    index, inputs = IndexFolder(settings.index), gather_inputs(settings, FakeEmbedder())
    with index.building(), index.open_or_none() as before:
        index.add(
            inputs.contents.generation_id(),
            lambda path: build_generation(
                path, inputs, before, lambda *_: None, max_copied_passages=max_copied_passages
            ),
        )
    fresh = settings.model_copy(update={"index": tmp_path / "fresh"})
    build(fresh, FakeEmbedder())
    for table in ("documents ORDER BY id", "passages ORDER BY number"):
        reused, rebuilt = (
            sqlite3.connect(current(one).passages.path).execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - constants
            for one in (settings, fresh)
        )
        assert len(reused) > 20
        assert reused == rebuilt


def test_reused_vectors_and_tokens_are_those_of_a_new_build(folder: Write, settings: Settings, tmp_path: Path) -> None:
    """Also sentences and frequencies, in the new order."""
    folder(dict(FOUR))
    build(settings, FakeEmbedder())
    folder({"aaa.md": "# Aaa\n\nA new first document moves all the others. It has two sentences.\n"})
    build(settings, FakeEmbedder())
    fresh = settings.model_copy(update={"index": tmp_path / "fresh"})
    build(fresh, FakeEmbedder())
    reused, rebuilt = current(settings), current(fresh)
    assert reused.generation == rebuilt.generation
    numbers = np.arange(len(rebuilt))
    np.testing.assert_array_equal(reused.store.vectors(numbers), rebuilt.store.vectors(numbers))
    assert reused.tokens is not None
    assert rebuilt.tokens is not None
    for name in ("ids", "starts", "sentences", "frequencies"):
        np.testing.assert_array_equal(getattr(reused.tokens, name), getattr(rebuilt.tokens, name))
    first, second = (
        open_answerer(chosen, FakeEmbedder())[0].ask("Where does the silo stand?") for chosen in (settings, fresh)
    )
    assert first.results[0].scored.passage == second.results[0].scored.passage


@pytest.mark.parametrize("other", ["weights", "runtime", "tokens", "damage"])
def test_an_incompatible_generation_is_not_reused(folder: Write, settings: Settings, other: str) -> None:
    """One of another model or runtime, one with token vectors for one without, or a damaged one."""
    folder(dict(FOUR))
    build(settings, FakeEmbedder())
    folder({"aaa.md": "# Aaa\n\nOne more.\n"})
    fake = FakeEmbedder(weights="c" * 64) if other == "weights" else FakeEmbedder()
    if other == "runtime":
        fake.runtime = "fake in other arithmetic"
    if other == "damage":
        path = settings.index / "generations" / current(settings).generation / "vectors.faiss"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    chosen = settings.model_copy(update={"token_vectors": other != "tokens"})
    report = build(chosen, fake)
    assert fake.embedded == report.passages == 9


def test_a_build_calibrates_a_model_without_built_in_constants(folder: Write, settings: Settings) -> None:
    """Without labels: a question from the documents gets a higher confidence than one that is not."""
    words = [
        f"{first}{second}" for first in ("ka", "lo", "mi", "nu", "po", "ra") for second in ("ba", "de", "fi", "go")
    ]
    texts = {
        f"{place}.txt": " ".join(words[(place * step + step) % len(words)] for step in range(1, 10)) + ".\n"
        for place in range(MIN_PASSAGES + 10)
    }
    folder({name: text.replace(".", f" mark{name[:-4]} sign{name[:-4]}.") for name, text in texts.items()})
    fake = FakeEmbedder()
    build(settings, fake)
    assert (settings.index / "calibration-unlabelled.json").is_file()
    answerer, _ = open_answerer(settings, fake)
    known, unknown = answerer.ask("mark7 sign7 kaba"), answerer.ask("zebra giraffe hippo")
    assert known.confidence is not None
    assert unknown.confidence is not None
    assert 0 <= unknown.confidence < known.confidence <= 1
    assert re.search(r"mark7\b", known.results[0].scored.passage.text)


def test_a_small_index_is_not_calibrated(folder: Write, settings: Settings) -> None:
    """With four documents, confidence stays null."""
    folder(dict(FOUR))
    build(settings, FakeEmbedder())
    assert not (settings.index / "calibration-unlabelled.json").exists()
    assert open_answerer(settings, FakeEmbedder())[0].ask("barn").confidence is None
