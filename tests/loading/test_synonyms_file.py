"""``synonyms.txt``: Solr's format, wrong lines named, any content read without harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import SynonymRule
from qa_service.loading import NO_SYNONYMS, read_synonyms, scan_source
from qa_service.loading.synonyms import MAX_LINES, parse_synonyms

Write = Callable[[dict[str, str | bytes]], Path]
MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("a, b , c d", SynonymRule(("a", "b", "c d"))),
        ("a => b", SynonymRule(("a",), ("b",))),
        ("a,b=>c, d", SynonymRule(("a", "b"), ("c", "d"))),
        (r"Plan\, Do, PDSA", SynonymRule(("Plan, Do", "PDSA"))),
        (r"a \=> b, c", SynonymRule(("a => b", "c"))),
        (r"a\\, b", SynonymRule(("a\\", "b"))),
        ("  Sea  of Japan=>East Sea\t", SynonymRule(("Sea of Japan",), ("East Sea",))),
        ("a = b, c", SynonymRule(("a = b", "c"))),
        ("동해, East Sea", SynonymRule(("동해", "East Sea"))),
    ],
)
def test_a_line_is_a_rule(line: str, rule: SynonymRule) -> None:
    """Phrases that mean the same, or that are asked for from one side only."""
    assert parse_synonyms(f"# comment\n\n{line}\r\n") == ([rule], [])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("alone", "one phrase only"),
        ("a => b => c", "more than one arrow"),
        ("a,, b", "no letter"),
        ("a =>", "no letter"),
        ("=> b", "no letter"),
        ("?!, b", "no letter"),
        ("x" * 101 + ", b", "101 characters"),
        ("a b c d e f g h i j k, b", "11 words"),
        (",".join(["a"] * 51), "51 phrases"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(line: str, problem: str) -> None:
    """And not used; the others are."""
    rules, (warning,) = parse_synonyms(f"a, b\n{line}\nc, d\n")
    assert [rule.phrases for rule in rules] == [("a", "b"), ("c", "d")]
    assert warning.startswith("synonyms.txt, line 2: ")
    assert problem in warning


def test_long_files_and_many_wrong_lines_are_bounded() -> None:
    """100,000 lines are read, the rest is not; twenty warnings name lines."""
    rules, warnings = parse_synonyms("a, b\n" * (MAX_LINES + 5))
    assert len(rules) == MAX_LINES
    assert warnings == ["synonyms.txt: lines after 100000 are not used"]
    rules, warnings = parse_synonyms("wrong\n" * 1000)
    assert not rules
    assert len(warnings) == 21
    assert warnings[-1] == "synonyms.txt: 980 more warnings"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Into rules of phrases that have words."""
    rules, _ = parse_synonyms(text)
    for rule in rules:
        assert all(any(map(str.isalnum, phrase)) for phrase in (*rule.phrases, *rule.others))


def test_the_file_is_not_a_document(folder: Write) -> None:
    """In the root of the source folder only; a change of it is a change of its hash."""
    source = folder({"synonyms.txt": "a, b", "a.txt": "A.", "below/synonyms.txt": "Synonyms are words."})
    found = scan_source(source, [".txt"], max_file_bytes=MEGABYTE)
    assert [file.uri for file in found.files] == ["a.txt", "below/synonyms.txt"]
    before = read_synonyms(source, MEGABYTE)
    assert before.rules == (SynonymRule(("a", "b")),)
    folder({"synonyms.txt": "a, b\n"})
    after = read_synonyms(source, MEGABYTE)
    assert after.rules == before.rules
    assert after.sha256 != before.sha256


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\x89PNG\r\n\x1a\n\0\0", "PNG"), (b"\xff\xfe\0", "not UTF-16"), (b"a, b\n" * 300_000, "over the limit")],
)
def test_a_file_that_cannot_be_read_gives_a_warning(folder: Write, content: bytes, problem: str) -> None:
    """The build goes on without it."""
    found = read_synonyms(folder({"synonyms.txt": content}), MEGABYTE)
    assert not found.rules
    assert len(found.warnings) == 1
    assert problem in found.warnings[0]


def test_other_encodings_are_read_with_a_warning(folder: Write) -> None:
    """By the decoder of all documents."""
    lines = "Übergröße, Maßanzug\nStraßenbahn, Tram\nKöln, Colonia\n" * 5
    found = read_synonyms(folder({"synonyms.txt": lines.encode("cp1252")}), MEGABYTE)
    assert found.rules[1] == SynonymRule(("Straßenbahn", "Tram"))
    assert "encoding guessed" in found.warnings[0]


def test_links_lead_nowhere_else(folder: Write, tmp_path: Path) -> None:
    """As for documents."""
    (tmp_path / "outside.txt").write_text("a, b\n", encoding="utf-8")
    source = folder({"a.txt": "A."})
    assert read_synonyms(source, MEGABYTE) == NO_SYNONYMS
    (source / "synonyms.txt").symlink_to(tmp_path / "outside.txt")
    found = read_synonyms(source, MEGABYTE)
    assert not found.rules
    assert "link" in found.warnings[0]
