"""Quotes are found in texts verbatim, or with other white space, markup and quotation marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.text.finding import most_similar, places_of

TEXT = """# Accounts

To get a new one, open **Settings**, choose
[Security](security.md "all of it"), and press *Forgotten*.

> The user’s “secret” — never   shared.

- A `code` item
- Another item

| Plan | Price |
|------|-------|
| annual | 120 |
"""


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("open **Settings**", "open **Settings**"),
        ("open Settings, choose Security, and press Forgotten.", None),
        ('The user\'s "secret" - never shared.', "The user’s “secret” — never   shared."),
        ("A code item Another item", "A `code` item\n- Another item"),
        ("annual 120", "annual | 120"),
        ("Accounts To get", "Accounts\n\nTo get"),
    ],
)
def test_a_quote_is_found_whatever_the_markup(quote: str, found: str | None) -> None:
    """The place is that of the words in the text."""
    ((start, end),) = places_of(quote, TEXT)
    expected = TEXT[TEXT.index("open") : TEXT.index(".\n\n>") + 1] if found is None else found
    assert TEXT[start:end] == expected


@pytest.mark.parametrize("quote", ["open settings", "choose Secrets", "annual 12 0", "**", "> "])
def test_other_words_and_no_words_are_not_found(quote: str) -> None:
    """Case and words must be those of the text, and there must be some."""
    assert places_of(quote, "To open Settings, choose Security. annual 120\n") == []


def test_every_place_is_found() -> None:
    """In order, without overlap."""
    assert places_of("aa", "aaaa b aa") == [(0, 2), (2, 4), (7, 9)]
    assert places_of("a b", "a  b, *a* b") == [(0, 4), (7, 11)]


@given(st.text(alphabet="ab *_[]()<>|\n#-!\\`~’", max_size=60), st.data())
def test_each_span_of_any_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    """Verbatim; places are spans of the text."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    quote = text[start:end]
    places = places_of(quote, text) if quote else []
    assert all(0 <= low < high <= len(text) for low, high in places)
    assert not quote or quote in {text[slice(*place)] for place in places}


@pytest.mark.parametrize("piece", ["](", "][", "<a", "![", "> ", "[](", "*", " \n", "<" * 5])
def test_hostile_markup_takes_linear_time(piece: str) -> None:
    """Half a megabyte of openings without ends; with quadratic time the test would never end."""
    assert places_of("not in it", piece * (500_000 // len(piece))) == []


def test_the_most_similar_words_are_whole_words() -> None:
    """Nothing if no words are alike."""
    assert (
        most_similar("choose Secrets, and press", "Then choose Security, and press Enter.")
        == "choose Security, and press"
    )
    assert most_similar("zzzzzz", "aaa bbb") == ""
