"""Questions on cells of tables: the reader reads a row with the names of its columns, and the answer is the cell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import table_files

from qa_service.datatypes import Document, Passage
from qa_service.embedding.runtime import ExportedEmbedder
from qa_service.loading.markdown import parse_markdown
from qa_service.pipeline import build, open_answerer
from qa_service.retrieval.quotes import quotable
from qa_service.retrieval.table_rows import row_sentence
from qa_service.settings import Settings, load_settings
from qa_service.splitting import Splitter, SplitterSettings
from qa_service.text.tables import has_header

Write = Callable[[dict[str, str | bytes]], Path]
TABLE = """

All boats are at the pier.

| Boat | Length | Built in | Berth |
|------|-------:|----------|-------|
| Anna | 12 m |  | Pier A |
| Berta \\| Ben | 9 m | 1950 | Pier B |

| 1950 | no header |
"""


def passages_of(text: str, tokens: int) -> list[Passage]:
    outline = parse_markdown(text)
    document = Document(
        "id", "a.md", outline.title or "", title_is_heading=True, text=text, sha256="", blocks=outline.blocks
    )
    return Splitter(SplitterSettings(tokens, 100, 0), lambda texts: [len(one.split()) + 2 for one in texts]).split(
        document
    )


@pytest.mark.parametrize("tokens", [14, 60])
def test_a_row_is_read_with_the_names_of_its_columns(tokens: int) -> None:
    """Wherever its header is: in its own passage, or in the context of that; empty cells say nothing."""
    found = [
        (passage.text[slice(*place)], sentence.text)
        for passage in passages_of(TABLE, tokens)
        for place in passage.sentences
        if (sentence := row_sentence(passage, place)) is not None
    ]
    assert found[-2:] == [
        ("| Anna | 12 m |  | Pier A |", "Boat: Anna; Length: 12 m; Berth: Pier A"),
        (
            "| Berta \\| Ben | 9 m | 1950 | Pier B |",
            "Boat: Berta \\| Ben; Length: 9 m; Built in: 1950; Berth: Pier B",
        ),
    ]


@pytest.mark.parametrize(
    ("said", "question", "expected"),
    [
        ("9 m", "", "9 m"),
        ("Length: 9 m", "", "9 m"),
        ("Length", "", "9 m"),
        ("50; Ber", "", "1950"),
        ("9 m; Built in: 1950", "", "9 m | 1950"),
        ("9 m; Built in: 1950", "When was Berta built in?", "1950"),
        ("Pier B", "When was Berta built in?", "1950"),
        ("9 m", "What was built in 1950, and how long is it?", "9 m"),
        ("9 m; Built in: 1950", "When was it built?", "1950"),
        ("Ben; Length: 9 m; Built in: 1950; Berth: Pier", "", "Ben | 9 m | 1950 | Pier"),
        ("; ", "", "Berta \\| Ben"),
    ],
)
def test_spans_of_the_sentence_are_mapped_back_to_cells(said: str, question: str, expected: str) -> None:
    """A name stands for its cell, a part of a short cell for all of it; a column that the question names is meant."""
    (passage,) = passages_of(TABLE, 60)
    place = next(span for span in passage.sentences if "Berta" in passage.text[slice(*span)])
    sentence = row_sentence(passage, place)
    assert sentence is not None
    start = sentence.text.index(said)
    assert passage.text[slice(*sentence.origin((start, start + len(said)), question))] == expected


def row_read(text: str, said: str) -> str | None:
    """Return the sentence of the row with some words."""
    (passage,) = passages_of(text, 90)
    place = next(span for span in passage.sentences if said in passage.text[slice(*span)])
    sentence = row_sentence(passage, place)
    return None if sentence is None else sentence.text


def test_a_header_without_a_rule_is_told_by_the_columns_below_it() -> None:
    """It is never quoted; a row whose first cell is empty has a bar less."""
    table = "All boats.\n\n{}\n06:40 | North | Pier A\n| 9:15 | South | Pier C\n08:20 | West | Pier B"
    named = (
        table.format("Day | Time | Coast | Berth").replace("06:40", "Monday | 06:40").replace("08:20", "Friday | 08:20")
    )
    assert row_read(named, "South") == "Time: 9:15; Coast: South; Berth: Pier C"
    assert row_read(named, "West") == "Day: Friday; Time: 08:20; Coast: West; Berth: Pier B"
    (passage,) = passages_of(named, 90)
    quoted = [passage.text[slice(*passage.sentences[number])] for number in quotable(passage)]
    assert [row.partition(" | ")[0] for row in quoted] == ["All boats.", "Monday", "| 9:15", "Friday"]
    assert row_read(table.format("06:10 | East | Pier D"), "West") is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["Boat | Length", "Anna | 12 m", "Berta | 9 m"], True),
        (["Landing | Boat 1 | Boat 3", "Oak | 06:40 | 09:15", "Gull | 07:20 | –", "Sand | 07:45 | 10:20"], True),
        (["Port | 2019 | 2020", "Aldmouth | 4,210 | 3,870", "Dunsea | 2,315 | 2,280"], True),
        (["Code | Meaning", "E01 | Door is open", "E02 | No water"], True),
        (["Anna | 2019 | 2020", "Berta | 2018 | 2021", "Clara | 2017 | 2020"], False),
        (["Anna | red", "Berta | blue", "Clara | green"], False),
        (["12 | Anna", "14 | Berta", "15 | Clara"], False),
        (["Boat | Length", "Anna | 12 m"], False),
    ],
)
def test_names_stand_above_numbers(rows: list[str], expected: bool) -> None:
    """Years and numbered names too; without numbers nothing tells, nor does a single row."""
    assert has_header(rows) == expected


def test_a_row_with_a_line_for_each_cell_is_read_as_one() -> None:
    """As CSV and JSON Lines are written."""
    passage = passages_of("Boat: Anna\n\nBoat: Berta", 90)[0]
    text = "Boat: Anna\nLength: 12 m\nBerth: Pier: A"
    record = replace(passage, text=text, sentences=((0, len(text)),))
    sentence = row_sentence(record, (0, len(text)))
    assert sentence is not None
    assert sentence.text == "Boat: Anna; Length: 12 m; Berth: Pier: A"
    assert text[slice(*sentence.origin((0, 4), "How long is Anna, what length?"))] == "12 m"


def test_every_span_is_mapped_into_the_row() -> None:
    """None is empty."""
    (passage,) = passages_of(TABLE, 60)
    for place in passage.sentences:
        if (sentence := row_sentence(passage, place)) is None:
            continue
        for start in range(len(sentence.text)):
            for end in range(start + 1, len(sentence.text) + 1):
                low, high = sentence.origin((start, end), "")
                assert place[0] <= low < high <= place[1]


def test_the_cell_of_the_right_row_is_the_answer(folder: Write, settings: Settings, onnx: ExportedEmbedder) -> None:
    """Most of forty rows that differ by two digits are found, and the quote is the row of the document."""
    rows = [f"| Boat{n:02} | {n + 3} m | Pier {n % 9} |" for n in range(40)]
    folder({"boats.md": "# Boats\n\n| Name | Length | Berth |\n|---|---|---|\n" + "\n".join(rows) + "\n"})
    varied = settings.model_copy(update={"reader": "quick", "passage_tokens": 128})
    build(varied, onnx)
    answerer, _ = open_answerer(varied, onnx)
    asked = [answerer.ask(f"What is the length of Boat{number:02}?").results[0] for number in range(40)]
    right = [number for number, first in enumerate(asked) if first.citation.quote == rows[number]]
    assert len(right) >= 28
    for number in right:
        first = asked[number]
        assert [first.scored.passage.text[slice(*span)] for span in first.scored.spans] == [f"{number + 3} m"]


def test_the_right_row_answers_questions_on_cells(tmp_path: Path, onnx: ExportedEmbedder) -> None:
    """Sixty questions on twelve tables, each in another format; measured: 60 rows and 56 cells."""
    tables = table_files.tables()
    assert {table.form for table in tables} == set(table_files.FORMATS)
    table_files.write(tmp_path / "source", tables)
    own = load_settings(source=tmp_path / "source", index=tmp_path / "index", data=tmp_path / "data")
    build(own, onnx)
    asked = list(table_files.ask(open_answerer(own, onnx)[0], tables))
    wrong_rows = [(one.question, one.quote) for one in asked if not one.row]
    wrong_cells = [(one.question, one.words) for one in asked if not one.cell]
    assert len(asked) == 60
    assert len(wrong_rows) <= 2, wrong_rows
    assert len(wrong_cells) <= 6, wrong_cells
