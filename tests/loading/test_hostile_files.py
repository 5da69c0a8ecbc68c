"""No file ends a build: whatever a reader raises is a reason to skip that file or row."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FakeEmbedder

from qa_service.datatypes import BuildReport
from qa_service.loading import FORMATS, Limits
from qa_service.loading.formats import Format, parts_of
from qa_service.loading.outline import Outline, ParsedDocument, SkippedPart, UnreadableError
from qa_service.pipeline import build
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
HALF = "\ud83d"


def reasons(report: BuildReport) -> dict[str, str]:
    return {item.uri: item.reason for item in report.skipped if item.failed}


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        KeyError("k"),
        AssertionError(),
        OSError("disk"),
        StopIteration(),
        LookupError(HALF),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_reader_that_raises_skips_its_file(
    error: Exception, folder: Write, settings: Settings, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the process of the build, before and after it gave a document."""

    def broken(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
        yield from FORMATS[".txt"].read(data, Limits())
        raise error

    monkeypatch.setitem(FORMATS, ".md", Format("text/markdown", broken, isolated=False))
    folder({"a.md": "Words stand here.", "b.txt": "Other words stand here."})
    report = build(settings, fake)
    assert report.documents == 2
    assert set(reasons(report)) == {"a.md"}
    assert reasons(report)["a.md"].startswith("can't be read (")
    assert all(reason.encode() for reason in reasons(report).values())


def test_rows_with_half_a_character_are_skipped(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """As a value, a name, a title and an id; the other rows are documents."""
    lines = [
        r'{"id": "1", "text": "A boat \ud83d leaves."}',
        r'{"id": "2", "text": "A boat \ud83d\udea2 leaves."}',
        r'{"id": "3", "title": "\udc00", "text": "A pier."}',
        r'{"id": "4\ud83d", "text": "A rope."}',
        r'{"id": "5", "te\ud83dxt": "A sail."}',
        r'{"id": "6", "text": "A mast."}',
    ]
    folder({"rows.jsonl": "\n".join(lines)})
    report = build(settings, fake)
    assert report.documents == 2
    assert len(reasons(report)) == 4
    assert all("half of a character" in reason for reason in reasons(report).values())


def test_a_document_with_half_a_character_is_skipped_in_any_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is: in the text, the title, the address or the metadata."""
    whole = ParsedDocument("Words.", Outline(None, ()))
    halves = [
        ParsedDocument(HALF, Outline(None, ())),
        ParsedDocument("Words.", Outline(HALF, ())),
        ParsedDocument("Words.", Outline(None, ()), url=f"https://a/{HALF}"),
        ParsedDocument("Words.", Outline(None, (), {"tags": ("a", HALF)})),
    ]
    fixed = Format("text/plain", lambda *_: [whole, *halves], isolated=False)
    monkeypatch.setitem(FORMATS, ".txt", fixed)
    first, *others = parts_of(".txt", b"", Limits())
    assert first is whole
    assert all(isinstance(part, SkippedPart) and part.reason.encode() for part in others)


def test_nesting_beyond_the_stack_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has words of its own."""

    def deep(*_: object) -> list[ParsedDocument]:
        return deep()

    monkeypatch.setitem(FORMATS, ".txt", Format("text/plain", deep, isolated=False))
    with pytest.raises(UnreadableError, match="nested too deeply"):
        list(parts_of(".txt", b"", Limits()))
