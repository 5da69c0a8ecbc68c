"""CSV and JSON Lines as programs write them: rows are repaired, and each repair is a warning with its line."""

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.loading import FORMATS, Limits
from qa_service.loading.outline import ParsedDocument, SkippedPart, UnreadableError

Values = dict[str, str]


def rows(text: str, suffix: str = ".csv", **limits: object) -> list[ParsedDocument]:
    found = list(FORMATS[suffix].read(text.encode(), Limits(**limits)))
    assert not any(isinstance(part, SkippedPart) for part in found), found
    return found


def values(text: str, suffix: str = ".csv") -> list[Values]:
    """Return the values of each row that are not empty; title lines have none."""
    return [{name: value for name, value in row.outline.metadata.items() if value} for row in rows(text, suffix)]


def warnings(text: str, suffix: str = ".csv") -> list[str]:
    return [warning for row in rows(text, suffix) for warning in row.warnings]


ANNA = {"Boat": "Anna", "Length": "12,5"}


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ('Boat,Length\nAnna,"12,5"\n', ".csv"),
        ("Boat;Length\nAnna;12,5\n", ".csv"),
        ('"Boat";"Length"\r\n"Anna";"12,5"\r\n', ".csv"),
        ("Boat\tLength\nAnna\t12,5\n", ".csv"),
        ("Boat|Length\rAnna|12,5\r", ".csv"),
        ("sep=;\nBoat;Length\nAnna;12,5\n", ".csv"),
        ("sep=#\r\nBoat#Length\r\nAnna#12,5\r\n", ".csv"),
        ("\ufeffBoat;Length\nAnna;12,5\n", ".csv"),
        ("Boat\tLength\nAnna\t12,5\n", ".tsv"),
        ("Boat;Length\nAnna;12,5\n", ".tsv"),
        ('"Boat", "Length"\n"Anna", "12,5"\n', ".csv"),
        ('Boat,Length,,\nAnna,"12,5",,\n', ".csv"),
        ("\n\nBoat;Length\n\nAnna;12,5\n", ".csv"),
    ],
)
def test_the_delimiter_is_that_of_the_header(text: str, suffix: str) -> None:
    """Named by a first line "sep=", or counted; nothing is warned of."""
    assert values(text, suffix) == [ANNA]
    assert warnings(text, suffix) == []


def test_a_table_of_one_column_is_not_cut() -> None:
    """Commas in it are text."""
    assert values("Note\nAnna sails\nShe is long; very long\nOn Monday, at five\n") == [
        {"Note": "Anna sails"},
        {"Note": "She is long; very long"},
        {"Note": "On Monday, at five"},
    ]


def test_lines_above_the_header_are_documents_of_their_own() -> None:
    """The header is the first row with two names."""
    text = "Boats of 2024,,\n\nAll lengths in metres\nBoat,Length,Berth\nAnna,12,Pier\n"
    found = rows(text)
    assert [(row.part, row.text) for row in found] == [
        ("row=1", "Boats of 2024"),
        ("row=3", "All lengths in metres"),
        ("row=5", "Boat: Anna\nLength: 12\nBerth: Pier"),
    ]
    assert warnings(text) == [
        "line 1: stands above the header; it is a document of its own",
        "line 3: stands above the header; it is a document of its own",
    ]


def test_blank_and_doubled_names_of_columns_are_replaced() -> None:
    """A column without a name and values is ignored."""
    text = "Boat,,Boat,Boat 2,\nAnna,x,Berta,Clara,\n,,Dora,,\n"
    assert values(text) == [
        {"Boat": "Anna", "column 2": "x", "Boat 3": "Berta", "Boat 2": "Clara"},
        {"Boat 3": "Dora"},
    ]
    assert warnings(text) == ["line 1: a second column is named 'Boat'; it is called 'Boat 3'"]
    assert rows(text)[1].text == "Boat 3: Dora"


def test_short_rows_are_filled_and_surplus_cells_are_part_of_the_last() -> None:
    """Blank surplus cells go without a warning."""
    text = "Boat,Length,Note\nAnna,12\nBerta,13,long, and old\nClara,14,,,\n"
    assert values(text) == [
        {"Boat": "Anna", "Length": "12"},
        {"Boat": "Berta", "Length": "13", "Note": "long, and old"},
        {"Boat": "Clara", "Length": "14"},
    ]
    assert warnings(text) == [
        "line 2: has 2 cells, the header has 3; the others are empty",
        "line 3: has 4 cells, the header has 3; the last ones are one",
    ]


def test_quotes_that_are_not_those_of_csv_are_text() -> None:
    """Also one without an end, which does not swallow the rows below."""
    text = 'Boat,Mast\nAnna,"6" high\nBerta,"7\nClara,"high,\nand ""old"""\n"D"ora,8"\n'
    found = values(text)
    assert found[0] == {"Boat": "Anna", "Mast": '"6" high'}
    assert {"Boat": "Berta", "Mast": '"7'} in found
    assert {"Boat": '"D"ora', "Mast": '8"'} in found
    assert warnings(text)[0].startswith("line 2: has quotes that are not those of CSV")
    assert values('Boat,Mast\nAnna,"high,\nand ""old"""\n') == [{"Boat": "Anna", "Mast": 'high,\nand "old"'}]


def test_the_number_of_warnings_is_limited() -> None:
    """The last one says that there are others."""
    found = warnings("a,b,c\n" + "1,2\n" * 100)
    assert len(found) == 21
    assert found[-1] == "line 22 and others were repaired too; fix the file"


def test_the_columns_of_the_settings_must_exist_after_repairs_too() -> None:
    """The message names those that the file has."""
    with pytest.raises(UnreadableError, match=r"has no column 'body' .*it has Boat, column 2, Length"):
        rows("Boat,,Length\n1,2,3\n", row_text=("body",))


@pytest.mark.parametrize(
    ("line", "repairs"),
    [
        ('{"a": "one\u2028two\u2029three\x85four"}', 0),
        ('{"a": "one, }", "b": [1, 2,],},', 1),
        ('{"a": "one\\\\", },', 1),
    ],
)
def test_json_lines_end_at_line_feeds_and_may_have_commas_too_many(line: str, repairs: int) -> None:
    """Other separators of lines are part of a text; brackets around all lines are ignored."""
    found = rows(f"[\n{line}\r\n{line}\n]\n", ".jsonl")
    assert [row.part for row in found] == ["line=2", "line=3"]
    assert all(row.outline.metadata["a"].startswith("one") for row in found)
    assert len(warnings(line, ".jsonl")) == repairs


CELL = st.text(st.sampled_from("ab \"\n\r,;\t|\u2028'"), max_size=5)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from(",;\t|"))
def test_a_table_written_by_a_program_is_read_back(table: list[list[str]], delimiter: str) -> None:
    """Whatever its cells hold, if every cell is quoted."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["x", "y", "z"], *table])
    found = list(FORMATS[".csv"].read(file.getvalue().encode(), Limits()))
    expected = [dict(zip("xyz", row, strict=True)) for row in table]
    assert [dict(part.outline.metadata) for part in found if isinstance(part, ParsedDocument)] == [
        row for row in expected if any(value.strip() for value in row.values())
    ]


@given(
    st.text(st.sampled_from('ab1 "\n\r,;\t|\u2028[]{}:\\'), max_size=80), st.sampled_from([".csv", ".tsv", ".jsonl"])
)
def test_any_text_is_read_or_refused(text: str, suffix: str) -> None:
    """Nothing but :class:`UnreadableError` is raised."""
    with suppress(UnreadableError):
        list(FORMATS[suffix].read(text.encode(), Limits()))
