"""The model sees every character that a reader sees, and no hidden ones."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.text.cleaning import embeddable, is_blank, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("pass\u202eword\u202c", "password"),
        ("soft\u00adhyphen", "softhyphen"),
        ("a\u200bb\ufeffc", "abc"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("nul\0and\x1b[2J", "nul and [2J"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x\u200d\u200d\u200dy", "xy"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_invisible_characters_are_removed_and_single_joiners_kept(text: str, seen: str) -> None:
    """Each class of invisible character has its rule."""
    assert embeddable(text) == visible(text) == seen


@pytest.mark.parametrize("text", ["한국의 중학교", "café", "Ångström", "ガ"])
def test_split_letters_are_composed(text: str) -> None:
    """As some systems write Hangul, accents and kana."""
    split = unicodedata.normalize("NFD", text)
    assert embeddable(split) == text
    assert visible(split) == split


@pytest.mark.parametrize("text", ["", " \t\n", "\u00a0", "\u200b", "\u3164", "\u202e\u2066", "\u2800", "\0", "\u200d"])
def test_invisible_text_is_blank(text: str) -> None:
    """White space, fillers and controls alone are blank."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["?", "😀", "a", "한", "ก", "\u0301"])
def test_visible_text_is_not_blank(text: str) -> None:
    """Neither are punctuation and emoji."""
    assert not is_blank(text)


@given(st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_visible_text_is_unchanged(text: str) -> None:
    """Letters, digits and punctuation."""
    assert visible(text) == text
    assert unicodedata.is_normalized("NFC", embeddable(text))
