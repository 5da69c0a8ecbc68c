"""Splitting: passages are exact, complete, in order, within the window, and end at sentences and paragraphs."""

import re
from collections.abc import Callable, Sequence

import pytest
from conftest import FakeEmbedder
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from qa_service.datatypes import Document, Passage
from qa_service.embedding.runtime import ExportedEmbedder
from qa_service.loading import FORMATS, Limits
from qa_service.splitting import (
    CoverageCount,
    Splitter,
    SplitterSettings,
    covered_characters,
    embedded_sentences,
    embedding_text,
)
from qa_service.text.cleaning import embeddable
from qa_service.text.positions import grapheme_starts

COUNT = FakeEmbedder().count_tokens
HOSTILE = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from(list("aA .?!\n\r\t#-*|\0\u0301\u200b\u200d\u202e\ufeff\u3000。😀🇰🇷ก한")),
    max_size=300,
)


def document(text: str, ending: str = ".txt") -> Document:
    outline = next(iter(FORMATS[ending].read(text.encode(), Limits()))).outline
    return Document(
        id="0" * 16,
        uri="a" + ending,
        title=outline.title or "a",
        title_is_heading=outline.title is not None,
        text=text,
        sha256="",
        blocks=outline.blocks,
    )


def split(text: str, tokens: int = 16, window: int = 64, ending: str = ".txt", overlap: int = 0) -> list[Passage]:
    return Splitter(SplitterSettings(tokens, window, overlap), COUNT).split(document(text, ending))


def assert_sound(
    found: Document, passages: Sequence[Passage], window: int, count: object = COUNT, overlap: int = 0
) -> None:
    """Check the invariants of passages, which hold for any text."""
    text = found.text
    end = 0
    before: set[str] = set()
    for number, passage in enumerate(passages):
        position = passage.position
        assert passage.number == number
        assert text[position.start_char : position.end_char] == passage.text
        assert text.encode()[position.start_byte : position.end_byte].decode() == passage.text
        assert position.end_char > end
        repeated = [span for span in passage.sentences if position.start_char + span[0] < end]
        assert {passage.text[slice(*span)] for span in repeated} <= before
        assert not repeated or position.start_char + repeated[-1][1] == end
        words = [embeddable(passage.text[slice(*span)]) for span in repeated]
        assert sum(count([text])[0] - count([""])[0] for text in words) <= overlap
        end = position.end_char
        before = {passage.text[slice(*span)] for span in passage.sentences}
        for left, right in passage.sentences:
            assert 0 <= left < right <= len(passage.text)
            assert embeddable(passage.text[left:right]).strip()
    tokens = count([embedding_text(passage.context, passage.text) for passage in passages])
    assert max(tokens, default=0) <= window
    count = covered_characters(found, passages)
    assert count.covered == count.content


@given(HOSTILE, st.sampled_from([".md", ".txt"]), st.sampled_from([16, 40]), st.sampled_from([0, 8, 40]))
@settings(max_examples=300)
def test_any_text_gives_exact_and_complete_passages(text: str, ending: str, tokens: int, overlap: int) -> None:
    """``document.text[start:end] == passage.text``, no visible character is lost, no passage exceeds the window.

    The overlap is whole sentences, the last ones of the passage before, within the allowed tokens.
    """
    found = document(text, ending)
    passages = Splitter(SplitterSettings(tokens, 64, overlap), COUNT).split(found)
    assert_sound(found, passages, 64, overlap=overlap)


@given(HOSTILE)
@settings(max_examples=50)
def test_any_text_gives_exact_and_complete_passages_with_the_real_tokenizer(onnx: ExportedEmbedder, text: str) -> None:
    """Its counts of pieces need not add up to the count of the whole text."""
    found = document(text)
    passages = Splitter(SplitterSettings(20, onnx.window, 8), onnx.count_tokens).split(found)
    assert_sound(found, passages, onnx.window, onnx.count_tokens, overlap=8)


@given(st.lists(st.sampled_from(["👨‍👩‍👧", "e\u0301", "🇰🇷", "नि", "a", " ", ". "]), max_size=200).map("".join))
def test_no_grapheme_is_cut(text: str) -> None:
    """Families, flags, accents and Indic clusters stay intact at the ends of passages and sentences."""
    safe = set(grapheme_starts(text))
    for passage in split(text):
        start = passage.position.start_char
        assert {start, passage.position.end_char} <= safe
        assert {start + offset for span in passage.sentences for offset in span} <= safe


def test_passages_end_where_sections_and_sentences_end() -> None:
    """A heading separates passages and is not one; a long paragraph is cut evenly, between sentences."""
    passages = split(
        "# Title\n\nShort opening.\n\n## Part\n\nOne two three four five. Six seven eight nine ten. "
        "Ten nine eight seven six. Five four three two one.\n",
        ending=".md",
    )
    assert [(passage.section_path, passage.context, passage.text) for passage in passages] == [
        ((), "Title", "Short opening."),
        (("Part",), "Title > Part", "One two three four five. Six seven eight nine ten."),
        (("Part",), "Title > Part", "Ten nine eight seven six. Five four three two one."),
    ]
    assert passages[1].sentences == ((0, 24), (25, 50))


def test_a_passage_overlaps_the_one_before_by_whole_sentences() -> None:
    """Within its section, within the allowed tokens, and within the model's window."""
    text = (
        "# Title\n\nOne two three four five. Six seven eight nine ten. "
        "Ten nine eight seven six. Five four three two one.\n\n## Part\n\nAnother section.\n"
    )
    assert [passage.text for passage in split(text, ending=".md", overlap=7)] == [
        "One two three four five. Six seven eight nine ten.",
        "Six seven eight nine ten. Ten nine eight seven six. Five four three two one.",
        "Another section.",
    ]
    assert [passage.text for passage in split(text, ending=".md", overlap=5)][1].startswith("Ten nine")
    assert [passage.text for passage in split(text, ending=".md", overlap=40)][1].startswith("One two")
    assert [passage.text for passage in split(text, ending=".md", overlap=7, window=20)][1].startswith("Ten nine")


def test_short_paragraphs_of_a_section_share_a_passage() -> None:
    """If together they fit."""
    assert len(split("One two.\n\nThree four.\n\nFive six.\n")) == 1


def test_the_title_of_a_file_without_one_is_not_embedded() -> None:
    """A file name is not context."""
    assert split("Words without a title, a full sentence.")[0].context == ""


def test_context_takes_at_most_a_quarter_of_the_window() -> None:
    """Outer headings are dropped first; a heading that is too long by itself is dropped too."""
    deep = "# One two three four\n\n## Five six seven eight nine ten\n\n### Eleven twelve\n\nBody here.\n"
    assert split(deep, ending=".md", window=32)[0].context == "Eleven twelve"
    assert split(f"# {'word ' * 40}\n\nBody here.\n", ending=".md")[0].context == ""


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "한" * 5_000, "字。" * 3_000, "a " * 20_000, "word\n" * 20_000, "e" + "\u0301" * 5_000]
)
def test_text_without_sentences_or_spaces_is_cut(text: str) -> None:
    """Passages stay within the limits of tokens and characters, for a line or a word of any length."""
    found = document(text)
    passages = split(text)
    assert_sound(found, passages, 64)
    assert max(len(passage.text) for passage in passages) <= 16 * 12


def test_sentence_offsets_are_mapped_into_the_embedded_text() -> None:
    """Hidden characters and the context before the text shift them."""
    passage = split("# Head\n\nO\u200bne two. Thr\u00adee four.\n", ending=".md")[0]
    embedded = embedding_text(passage.context, passage.text)
    assert [embedded[start:end] for start, end in embedded_sentences(passage)] == ["One two.", "Three four."]


def test_completeness_counts_what_is_missing() -> None:
    """A dropped passage lowers the count."""
    found = document("One two three.\n\n" + "Four five six seven. " * 8)
    passages = split(found.text)
    visible = len(re.sub(r"\s", "", found.text))
    expected = CoverageCount(visible, visible, visible - len(re.sub(r"\s", "", passages[0].text)))
    assert covered_characters(found, passages[1:]) == expected


def test_completeness_counts_the_overlap_once() -> None:
    """Overlap does not make up for a missing passage."""
    found = document("One two three. Four five six seven. " * 12)
    passages = split(found.text, overlap=8)
    count = covered_characters(found, passages)
    assert count.covered == count.content
    assert covered_characters(found, [passages[0], *passages[2:]]).covered < count.content


@pytest.mark.proof
def test_proof_any_text(record_property: Callable[[str, object], None]) -> None:
    """For ten thousand hostile texts."""
    seen = 0

    @seed(20261123)
    @settings(max_examples=10_000, database=None)
    @given(HOSTILE, st.sampled_from([".md", ".txt"]), st.sampled_from([16, 40]), st.sampled_from([0, 8, 40]))
    def check(text: str, ending: str, tokens: int, overlap: int) -> None:
        nonlocal seen
        found = document(text, ending)
        passages = Splitter(SplitterSettings(tokens, 64, overlap), COUNT).split(found)
        assert_sound(found, passages, 64, overlap=overlap)
        seen += len(passages)

    check()
    record_property("figure", f"10,000 texts, {seen} passages, all exact, complete, within the window")
