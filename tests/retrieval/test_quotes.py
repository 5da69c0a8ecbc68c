"""Quotes: which sentences can be one, and how far a quote reaches."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passages import passage

from qa_service.retrieval.quotes import MAX_QUOTE_CHARACTERS, grown, is_row, quotable, trimmed, widened

TABLE = ("Boats in port:", "| Name | Crew |", "|:---|---:|", "| Anna | 3 |", "| Bert | 2 |", "They left.")
SENTENCES = st.lists(st.text("ab |-#\n.", min_size=1, max_size=200), min_size=1, max_size=8)


def quoted(*sentences: str, between: str = "\n") -> list[str]:
    found = passage(*sentences, between=between)
    return [found.text[slice(*found.sentences[place])] for place in quotable(found)]


STRUCTURE = ["---", "***", "- - -", "| --- | :-: |", "=====", "~~~~", "+----+----+", "•", "—", "1.", "(12)", "3)"]
STRUCTURE += ["# Boats", "###### Boats of 1953", "NOTES AND REMARKS", "NORTH-SOUTH TALKS: A/B", "KIM’S SON"]
SHORT = ["NATO", "DMZ.", "1953", "1953.", "In 1953.", "#1 in sales", "| Anna | 3 |", "- an item", "12 knots", "→"]
SHORT += ["U.S. troops", "한국", "A boat.", "C# is a language.", "A-1", "x = 1", "Yes.", "👍"]


@pytest.mark.parametrize("structure", STRUCTURE)
def test_structure_is_no_answer(structure: str) -> None:
    """Rules, headings, numbers of list items, lines of capitals."""
    assert quoted(structure, "The boat sails.") == quoted("The boat sails.", structure) == ["The boat sails."]


@pytest.mark.parametrize("sentence", SHORT)
def test_short_sentences_can_be_quoted(sentence: str) -> None:
    assert quoted(sentence, "The boat sails.") == [sentence, "The boat sails."]


def test_a_header_row_is_no_answer() -> None:
    """If a rule follows, as a sentence or between them; rows are answers, also above a row of empty cells."""
    assert quoted(*TABLE) == [TABLE[0], *TABLE[3:]]
    assert quoted("| Name | Crew |", "They left.", between="\n|---|---|\n") == ["They left."]
    assert quoted("| Anna | 3 |", "|   |   |") == ["| Anna | 3 |"]
    assert quoted("| Anna | 3 |", "| Bert | 2 |") == ["| Anna | 3 |", "| Bert | 2 |"]


def test_if_all_is_structure_all_can_be_quoted() -> None:
    assert quoted("NOTES AND REMARKS", "---") == ["NOTES AND REMARKS", "---"]


def test_rows_are_told_from_sentences() -> None:
    """Formats without pipes at the ends have them between cells."""
    rows = ["| Anna | 3 |", "  | Anna |", "Anna | 3", "Anna | 3 | 4"]
    others = ["Anna has 3.", "|x| is the absolute value", "a\nb | c", "a|b", "| Anna", ""]
    assert [is_row(text) for text in rows + others] == [True] * 4 + [False] * 6


def test_neighbours_are_quoted_with_a_sentence() -> None:
    """Those before and after, and of the two the one after if only one fits."""
    found = passage("One.", "Two.", "Three.", "Four.")
    assert found.text[slice(*widened(found, 1, quotable(found)))] == "One. Two. Three."
    assert found.text[slice(*widened(found, 0, quotable(found)))] == "One. Two."
    assert found.text[slice(*widened(found, 3, quotable(found)))] == "Three. Four."
    half = "x" * (MAX_QUOTE_CHARACTERS // 2 - 10) + "."
    found = passage(half, half, half)
    assert widened(found, 1, quotable(found)) == (found.sentences[1][0], found.sentences[2][1])


def test_a_long_sentence_is_quoted_alone() -> None:
    """At the limit by one character more or less, and far above it."""
    for length, expected in ((MAX_QUOTE_CHARACTERS - 4, True), (MAX_QUOTE_CHARACTERS - 3, False), (5000, False)):
        found = passage("x" * length, "Two")
        assert (widened(found, 0, quotable(found)) == (0, len(found.text))) == expected
        assert widened(found, 0, quotable(found))[0] == 0


def test_rows_and_structure_are_not_quoted_with_a_neighbour() -> None:
    found = passage(*TABLE, between="\n")
    for place in (0, 3, 4, 5):
        assert widened(found, place, quotable(found)) == found.sentences[place]
    found = passage("One.", "NOTES AND REMARKS", "Two.", "---", "Three.")
    assert widened(found, 2, quotable(found)) == found.sentences[2]


@given(SENTENCES, st.data())
def test_a_quote_has_its_sentence_and_whole_neighbours(sentences: list[str], data: st.DataObject) -> None:
    """For any text: it begins and ends with sentences, at most one on each side, and is short or one sentence."""
    found = passage(*sentences)
    chosen = data.draw(st.sampled_from(quotable(found)))
    start, end = widened(found, chosen, quotable(found))
    places = [place for place, (low, high) in enumerate(found.sentences) if start <= low and high <= end]
    assert chosen in places
    assert set(places) <= {chosen - 1, chosen, chosen + 1} & set(quotable(found))
    assert (start, end) == (found.sentences[places[0]][0], found.sentences[places[-1]][1])
    assert len(places) == 1 or end - start <= MAX_QUOTE_CHARACTERS


@given(SENTENCES, st.integers(0, 400), st.data())
def test_a_window_grows_as_far_as_it_fits(sentences: list[str], limit: int, data: st.DataObject) -> None:
    """No sentence before or after it fits any more; a sentence above the limit is a window alone."""
    found = passage(*sentences)
    chosen = data.draw(st.integers(0, len(sentences) - 1))
    start, end = grown(found, chosen, limit)
    places = [place for place, (low, high) in enumerate(found.sentences) if start <= low and high <= end]
    assert chosen in places
    assert all(after == before + 1 for before, after in pairwise(places))
    assert len(places) == 1 or end - start <= limit
    if places[0] > 0:
        assert end - found.sentences[places[0] - 1][0] > limit
    if places[-1] + 1 < len(sentences):
        assert found.sentences[places[-1] + 1][1] - start > limit


def test_a_window_grows_on_both_sides() -> None:
    """First behind the sentence, then before it, in turn."""
    found = passage(*("abcde" for _ in range(9)))
    windows = [found.text[slice(*grown(found, 4, limit))] for limit in (5, 11, 17, 23, 29)]
    assert [window.count("abcde") for window in windows] == [1, 2, 3, 4, 5]
    assert [grown(found, 4, limit)[0] // 6 for limit in (5, 11, 17, 23, 29)] == [4, 4, 3, 3, 2]


@given(st.text('a1 .,\n|"?', max_size=30), st.data())
def test_a_trimmed_span_begins_and_ends_with_words(text: str, data: st.DataObject) -> None:
    """A span of punctuation alone stays; nothing but punctuation and white space is lost."""
    start = data.draw(st.integers(0, len(text)))
    span = (start, data.draw(st.integers(start, len(text))))
    left, right = trimmed(text, span)
    inside = text[slice(*span)]
    if inside.strip(' .,\n|"?'):
        assert text[left:right] == inside.strip(' .,\n|"?')
    else:
        assert (left, right) == span
