"""The settings that change an index, or answers from one, say so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder

from qa_service.embedding import Embedder
from qa_service.evaluation.sweep import index_folder
from qa_service.indexing.build import gather_inputs
from qa_service.loading import Limits, limits_of
from qa_service.settings import Settings, default_of, load_settings, settings_that_change

# Values that differ from the defaults. A model is an embedder of another identity; the rest are values of settings.
OTHER_VALUES: dict[str, Any] = {
    "model": "another",
    "runtime": "torch",
    "starters": "sea.txt",
    "include": ("sea.*",),
    "passage_tokens": 17,
    "overlap_tokens": 1,
    "language": "german",
    "token_vectors": False,
    "row_text": ("text",),
    "row_title": "heading",
    "row_id": "number",
    "max_file_mb": 1,
    "max_pages": 2,
    "ocr": "off",
    "max_ocr_pages": 4,
    "max_expanded_mb": 3,
}
NOT_IN_THE_GENERATION_ID = {"runtime"}
"""The index records it, but an index that another runtime embedded is not built again."""


def embedder_of(settings: Settings) -> Embedder:
    return FakeEmbedder(name=settings.model)


@pytest.fixture
def source(folder: Callable[[dict[str, str | bytes]], Path]) -> Path:
    """Write a source folder that holds a file of more than a megabyte."""
    return folder({**TWO_DOCUMENTS, "large.txt": "A long line.\n" * 90_000})


def test_all_settings_that_change_an_index_have_another_value_here() -> None:
    """The table above is complete."""
    assert OTHER_VALUES.keys() == set(settings_that_change("index"))


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_setting_that_changes_an_index_gets_an_index_of_its_own(name: str, source: Path, tmp_path: Path) -> None:
    """Another generation id, except for the runtime, and another folder in a sweep."""
    before = load_settings(source=source)
    after = before.model_copy(update={name: OTHER_VALUES[name]})
    ids = [gather_inputs(one, embedder_of(one)).contents.generation_id() for one in (before, after)]
    assert (ids[0] != ids[1]) == (name not in NOT_IN_THE_GENERATION_ID)
    assert index_folder(tmp_path, before) != index_folder(tmp_path, after)


def test_numbers_and_switches_that_do_not_say_so_change_no_index(source: Path, fake: FakeEmbedder) -> None:
    """Each one with another value gives the same generation id."""
    before = load_settings(source=source)
    expected = gather_inputs(before, fake).contents.generation_id()
    for name, field in Settings.model_fields.items():
        if name not in OTHER_VALUES and field.annotation in {int, float, bool}:
            value = not field.default if field.annotation is bool else field.default + 1
            after = before.model_copy(update={name: value})
            assert gather_inputs(after, fake).contents.generation_id() == expected, name


def test_starters_are_never_documents(source: Path) -> None:
    """The file of the default name, and the one that is set, in every folder."""
    for name in ("starters.jsonl", "zoo/starters.jsonl", "faq.jsonl"):
        (source / name).write_text('{"question": "Who?"}\n', encoding="utf-8")
    for given, indexed in (
        (None, {"faq.jsonl"}),
        ("", {"faq.jsonl"}),
        ("faq.jsonl", set()),
        ("/faq.jsonl", {"faq.jsonl"}),
    ):
        settings = load_settings(source=source, starters=given)
        read = {file.uri for file in gather_inputs(settings, FakeEmbedder()).source.files}
        assert read - set(TWO_DOCUMENTS) - {"large.txt"} == indexed, given


def test_limits_default_to_the_settings() -> None:
    """Files are read alike with and without settings."""
    assert Limits() == limits_of(load_settings())


def test_a_default_is_looked_up_by_name() -> None:
    """By the name of the setting."""
    assert default_of("top_k") == load_settings().top_k
