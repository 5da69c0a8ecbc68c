"""Questions on cells of tables: the reader reads a row with the names of its columns, and the answer is the cell."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qa_service.datatypes import Document, Passage
from qa_service.embedding import SentenceTransformerEmbedder
from qa_service.loading.markdown import parse_markdown
from qa_service.pipeline import build, open_answerer
from qa_service.retrieval.table_rows import row_sentence
from qa_service.settings import Settings
from qa_service.splitting import Splitter, SplitterSettings

Write = Callable[[dict[str, str | bytes]], Path]
TABLE = """# Boats

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
        ("50; Ber", "", "50"),
        ("9 m; Built in: 1950", "", "9 m | 1950"),
        ("9 m; Built in: 1950", "When was Berta built in?", "1950"),
        ("Ben; Length: 9 m; Built in: 1950; Berth: Pier", "", "Ben | 9 m | 1950 | Pier"),
        ("; ", "", "Berta \\| Ben"),
    ],
)
def test_spans_of_the_sentence_are_mapped_back_to_cells(said: str, question: str, expected: str) -> None:
    """A name stands for its cell; of several cells it is the one that the question names."""
    (passage,) = passages_of(TABLE, 60)
    place = next(span for span in passage.sentences if "Berta" in passage.text[slice(*span)])
    sentence = row_sentence(passage, place)
    assert sentence is not None
    start = sentence.text.index(said)
    assert passage.text[slice(*sentence.origin((start, start + len(said)), question))] == expected


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


def test_the_cell_of_the_right_row_is_the_answer(
    folder: Write, settings: Settings, real: SentenceTransformerEmbedder
) -> None:
    """Among forty rows that differ by a name; the quote is the row as it stands in the document."""
    rows = [f"| Boat{n:02} | {n + 3} m | Pier {n % 9} |" for n in range(40)]
    folder({"boats.md": "# Boats\n\n| Name | Length | Berth |\n|---|---|---|\n" + "\n".join(rows) + "\n"})
    varied = settings.model_copy(update={"reader": "quick", "passage_tokens": 128})
    build(varied, real)
    answerer, _ = open_answerer(varied, real)
    for number in (2, 17, 33):
        first = answerer.ask(f"What is the length of Boat{number:02}?").results[0]
        assert first.citation.quote == rows[number]
        assert [first.scored.passage.text[slice(*span)] for span in first.scored.spans] == [f"{number + 3} m"]
