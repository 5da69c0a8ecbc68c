"""A build reports how much of each file's text is content, and what else there is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FakeEmbedder

from qa_service.datatypes import Dropped
from qa_service.index.disk import IndexFolder
from qa_service.loading.outline import OutlineBuilder, TextBuilder
from qa_service.pipeline import build
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
LINES = "The boats leave at five.\n\nThey come back at noon.\n\nNets dry on the pier.\n\n"


def test_a_file_with_much_dropped_text_is_warned_of(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """Below 98 %, with the kinds of text and their numbers; the share of all files is counted."""
    page = "The pier of glass\n\nBoats leave at five every day.\n\n" * 6
    folder({"page.txt": page, "long.txt": page + LINES * 200})
    report = build(settings, fake)
    letters = len("Thepierofglass")
    (warning,) = report.warnings
    assert warning == (
        f"page.txt: {24 / (24 + letters * 5 / 6):.1%} of its text is content; "
        f"dropped: 5 repeated titles ({5 * letters} characters)"
    )
    figures = report.completeness
    assert figures.text_characters - figures.content_characters == 10 * letters
    assert figures.covered_characters == figures.content_characters


def test_the_share_of_each_file_can_be_asked_for(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """The file that lost most comes first; all text of the other is in the index."""
    folder({"page.txt": "The pier of glass\n\nBoats leave at five every day.\n\n" * 6, "whole.txt": LINES})
    build(settings, fake)
    with IndexFolder(settings.index).open_or_none() as index:
        assert index is not None
        (page, share), whole = index.kept_of_files()
    sentence, title = len("Boatsleaveatfiveeveryday."), len("Thepierofglass")
    assert (page, whole) == ("page.txt", ("whole.txt", 1.0))
    assert share == pytest.approx(6 * sentence / (6 * sentence + 5 * title))


def test_the_share_stays_when_a_document_is_reused(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """It is stored with the document."""
    folder({"page.txt": "The pier of glass\n\nBoats leave at five.\n\n" * 6})
    first = build(settings, fake)
    folder({"other.txt": "Nets dry on the pier."})
    second = build(settings, fake)
    dropped = [
        report.completeness.text_characters - report.completeness.content_characters for report in (first, second)
    ]
    assert dropped == [70, 70]
    assert second.warnings == first.warnings


def test_dropped_text_is_counted_by_kind() -> None:
    """Letters and digits only; pieces without any do not count."""
    builder = TextBuilder()
    builder.block("Boats leave.")
    for number in range(3):
        builder.drop("running title", f"Page {number}")
    builder.drop("hidden text", "secret!")
    builder.drop("hidden text", "---")
    assert builder.document().outline.dropped == (Dropped("running title", 3, 15), Dropped("hidden text", 1, 6))


def test_text_that_no_reader_explains_counts_as_dropped() -> None:
    """Between blocks, before the first and after the last; hidden text does not count."""
    text = "one Two three Four five"
    builder = OutlineBuilder(text)
    builder.block(4, 7)
    builder.hide(8, 13)
    builder.heading(2, "Four", 14, 18)
    assert builder.outline().dropped == (Dropped("other text", 2, 7),)
