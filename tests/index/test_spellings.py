"""The words of an index as they are spelled, and the search for those that are spelled like another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from qa_service.index.words import BM25Builder, BM25Index, Spelling, Spellings

LETTERS = st.text("abcé한", min_size=1, max_size=9)


def spellings_of(counts: dict[str, int], **options: int) -> Spellings:
    words = sorted(counts, key=lambda word: (len(word), word))
    return Spellings("\n".join(words), [counts[word] for word in words], **options)


@given(st.sets(LETTERS), LETTERS, st.sampled_from([1, 2]))
def test_all_words_within_the_distance_are_found(words: set[str], wanted: str, distance: int) -> None:
    """As by computing the distance of every word."""
    found = spellings_of(dict.fromkeys(words, 1)).near(wanted, distance)
    near = {word: OSA.distance(wanted, word) for word in words if len(word) >= 3}
    assert {one.word: one.distance for one in found} == {
        word: edits for word, edits in near.items() if edits <= distance
    }
    assert len({one.word for one in found}) == len(found)


@given(st.dictionaries(LETTERS, st.integers(1, 9)), LETTERS)
def test_counts_are_those_of_the_words_and_survive_a_dump(counts: dict[str, int], other: str) -> None:
    spellings = Spellings.parse(spellings_of(counts).dump())
    for word in {*counts, other}:
        assert spellings.count(word) == (counts.get(word, 0) if len(word) >= 3 else 0)
    assert len(spellings) == sum(len(word) >= 3 for word in counts)


def test_short_and_long_words_and_those_with_digits_are_left_out() -> None:
    """No question is corrected to them."""
    spellings = spellings_of({"of": 9, "f35": 2, "x" * 41: 1, "x" * 40: 1, "thaad": 3})
    assert len(spellings) == 2
    assert spellings.near("thad", 1) == [Spelling("thaad", 1, 3)]
    assert spellings.near("f36", 1) == []
    assert spellings.count("f35") == 0


def test_the_most_frequent_words_are_kept() -> None:
    """Memory is bounded."""
    spellings = spellings_of({"rare": 1, "frequent": 9, "common": 5, "seldom": 2}, most=2)
    assert len(spellings) == 2
    assert [spellings.count(word) for word in ("rare", "frequent", "common", "seldom")] == [0, 9, 5, 0]


@pytest.mark.parametrize("word", ["", "a", "x" * 39, "x" * 400])
def test_any_word_can_be_looked_for(word: str) -> None:
    """However long it is."""
    for spellings in (spellings_of({}), spellings_of({"word": 1})):
        assert spellings.near(word, 2) == []
        assert spellings.count(word) == 0


def test_an_index_counts_the_words_of_headings_and_sentences(tmp_path: Path) -> None:
    """Folded, but not stemmed."""
    builder = BM25Builder("english")
    builder.add("Treaties", ["The treaty was signed.", "Treaties of 1953, F-35s and 한국은."])
    builder.add("", ["TREATIES"])
    builder.finish().save(tmp_path)
    index = BM25Index.load(tmp_path, "english")
    assert {word: index.spellings.count(word) for word in ("treaties", "treaty", "signed", "sign")} == {
        "treaties": 3,
        "treaty": 1,
        "signed": 1,
        "sign": 0,
    }
    assert len(index.spellings) == 6
    assert set(index.words()) >= {"35s", "1953", "한국", "treaties"}


def test_reused_words_are_counted_like_new_ones() -> None:
    """Also after words were removed."""
    old = [("Old", ["zebras graze"]), ("Both", ["dogs run", "apples fall"])]
    before, again, new = BM25Builder("english"), BM25Builder("english"), BM25Builder("english")
    for passage in old:
        before.add(*passage)
    again.add("New", ["a dog appears"])
    again.reuse(["Both"], [2], again.map_vocabulary(before.finish()), 1)
    new.add("New", ["a dog appears"])
    new.add(*old[1])
    found, expected = again.finish(), new.finish()
    assert found.words() == expected.words()
    assert found.spellings.dump() == expected.spellings.dump()
    assert found.spellings.count("zebras") == 0
