"""Positions: every unit against Python's own encoders and line counting."""

import re

from hypothesis import given
from hypothesis import strategies as st

from qa_service.text.positions import PositionMap, grapheme_starts, line_starts

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\u0301\u200d😀🇰\ufeff"), min_size=1)


@given(TEXTS, st.data())
def test_offsets_in_every_unit_name_the_same_span(text: str, data: st.DataObject) -> None:
    """In code points, UTF-16 units and bytes."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    position = PositionMap(text).locate(start, end)
    cited = text[start:end]
    assert text[position.start_char : position.end_char] == cited
    assert text.encode("utf-16-le")[2 * position.start_utf16 : 2 * position.end_utf16].decode("utf-16-le") == cited
    assert text.encode()[position.start_byte : position.end_byte].decode() == cited


@given(TEXTS, st.data())
def test_line_numbers_are_those_of_an_editor(text: str, data: st.DataObject) -> None:
    """One more than the number of line ends before; CR LF is one line end."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    position = PositionMap(text).locate(start, end)
    ends = [match.end() for match in re.finditer("\r\n|\r|\n", text)]
    assert position.start_line == 1 + sum(line_end <= start for line_end in ends)
    assert position.end_line == 1 + sum(line_end <= end - 1 for line_end in ends)


def test_positions_are_exact_beyond_the_first_stride() -> None:
    """In a text of several strides."""
    text = "é😀x\n" * 5000
    position = PositionMap(text).locate(16_001, 16_003)
    assert position.start_byte == len(text[:16_001].encode())
    assert position.end_utf16 == len(text[:16_003].encode("utf-16-le")) // 2
    assert position.start_line == 4001


def test_an_empty_or_outside_span_is_an_error() -> None:
    """Only spans with text can be located."""
    for start, end in ((1, 1), (0, 5), (-1, 2), (3, 2)):
        try:
            PositionMap("abcd").locate(start, end)
        except ValueError as error:
            assert f"[{start}, {end})" in str(error)
        else:
            raise AssertionError((start, end))


def test_a_family_a_flag_and_an_accent_are_one_grapheme_each() -> None:
    """A text is cut between the characters that a reader sees."""
    text = "👨‍👩‍👧🇰🇷é"
    assert [text[a:b] for a, b in zip(grapheme_starts(text), grapheme_starts(text)[1:], strict=False)] == [
        "👨‍👩‍👧",
        "🇰🇷",
        "é",
    ]


def test_line_starts_of_mixed_line_ends() -> None:
    """CR LF, CR and LF end lines; U+2028 does not."""
    assert line_starts("a\r\nb\rc\nd\u2028e") == [0, 3, 5, 7]
