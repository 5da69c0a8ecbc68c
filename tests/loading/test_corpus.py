"""A corpus of every format, well-formed and damaged: every file is read or skipped with a reason, and cited exactly."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import documents
import pytest
import table_files
from conftest import FakeEmbedder, write_files
from proof import SEED

from qa_service.datatypes import BuildReport, CitedPassage, Passage, ScoredPassage, Scores
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.pipeline import build
from qa_service.retrieval import cite
from qa_service.settings import Settings, load_settings

LINE_START = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
NO_SCORES = Scores(0.0, None, None)
Files = Mapping[str, bytes]

ONE_OF_A_KIND: Files = {
    "log.json": b'{"boats": [{"name": "Anna", "length": 12}, {"name": "Berta", "length": 9}]}',
    "log.xml": b"<log><title>Boats</title><boat><name>Anna</name><note>She leaves at five.</note></boat></log>",
    "log.mdx": b"# Boats\n\n<Note>They leave at **five**.</Note>\n",
    "log.adoc": b"= Boats\n\nThey leave at five.\n\n|===\n|Boat |Length\n\n|Anna |12 m\n|===\n",
    "log.org": b"* Boats\n\nThey leave at /five/.\n\n| Boat | Length |\n|------+--------|\n| Anna | 12 m |\n",
    "log.tex": b"\\documentclass{article}\\begin{document}\\section{Boats}They leave at \\emph{five}.\\end{document}",
    "log.srt": b"1\n00:00:01,000 --> 00:00:04,000\nThe boats leave at five.\n",
    "log.vtt": b"WEBVTT\n\n00:01.000 --> 00:04.000\nThe boats leave at five.\n",
    "log.py": b'"""Boats."""\n\n\ndef leave() -> int:\n    """They leave at five."""\n    return 5\n',
    "log.log": b"2024-01-02 05:00:00 INFO boats leave\n2024-01-02 05:01:00 ERROR no wind\n  at sea\n",
    "log.ipynb": b'{"cells": [{"cell_type": "markdown", "source": ["# Boats", "They leave at five."]}], "nbformat": 4}',
    "log.rtf": rb"{\rtf1\ansi {\b Boats}\par They leave at five, caf\'e9 in hand.\par}",
    "log.eml": b"From: a@harbour.example\nSubject: Boats\nContent-Type: text/plain\n\nThey leave at five.\n",
    "log.zip": documents.archive({"a/log.txt": b"Boats leave at five.", "b.csv": b"Boat,Length\nAnna,12 m\n"}),
    "log.odt": documents.archive(
        {
            "content.xml": b'<o:document-content xmlns:o="o" xmlns:text="t"><o:body><o:text><text:p>Boats leave at five'
            b".</text:p></o:text></o:body></o:document-content>"
        }
    ),
}
"""Files of formats that no generator writes."""


def well_formed() -> dict[str, bytes]:
    """Return seven kinds of text in all formats, twelve tables in four of twelve each, and files of other formats."""
    files = {name: data for name, data in documents.corpus().items() if not name.startswith("harm/")}
    for place, (form, (ending, make)) in enumerate(table_files.FORMATS.items()):
        some = table_files.tables()[place % 3 :: 3]
        files |= {f"tables/{form}/{table.name}{ending}": make(table) for table in some}
    return files | {f"other/{name}": data for name, data in ONE_OF_A_KIND.items()}


def damaged(files: Files, count: int, seed: int) -> dict[str, bytes]:
    """Return files that are cut, or have bytes changed, doubled or joined with those of another file."""
    chance = random.Random(seed)
    names = sorted(files)
    made: dict[str, bytes] = {}
    for number in range(count):
        name, other = chance.choice(names), chance.choice(names)
        data = bytearray(files[name])
        start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        match chance.randrange(4):
            case 0:
                del data[start:]
            case 1:
                for _ in range(1 + chance.randrange(8)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            case 2:
                data[start:start] = data[start:end]
            case _:
                data[start:end] = files[other][: end - start]
        made[f"damaged/{number:04}{Path(name).suffix}"] = bytes(data)
    return made


def passages_of(index: OpenIndex) -> Iterator[Passage]:
    return (index.passage(number) for number in range(len(index)))


def assert_cited_exactly(index: OpenIndex) -> int:
    """Check every passage, and a citation of every sentence, in all units; return the number of citations."""
    texts: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    cited = 0
    for passage in passages_of(index):
        found = index.document(passage.document_id)
        assert found is not None
        text = texts.setdefault(found.id, found.text)
        of_line = lines.setdefault(found.id, LINE_START.split(text))
        at = passage.position
        assert text[at.start_char : at.end_char] == passage.text
        assert text.encode()[at.start_byte : at.end_byte].decode() == passage.text
        assert text.encode("utf-16-le")[2 * at.start_utf16 : 2 * at.end_utf16].decode("utf-16-le") == passage.text
        assert passage.text in "".join(of_line[at.start_line - 1 : at.end_line])
        results = [ScoredPassage(1, passage, 0.0, None, NO_SCORES, place, None) for place in passage.sentences]
        for result in cite(index, results, ""):
            assert_quoted(result, text)
            assert (result.citation.page is None) == (not found.pages)
            cited += 1
    return cited


def assert_quoted(result: CitedPassage, text: str) -> None:
    citation = result.citation
    start = citation.position.start_char + citation.quote_start
    assert citation.quote.strip()
    assert text[start : start + len(citation.quote)] == citation.quote


def build_twice(files: Files, below: Path) -> tuple[BuildReport, OpenIndex]:
    """Build an index of files in two places; the report, passages and documents are the same."""
    built = []
    write_files(below / "source", files)
    for place in ("one", "two"):
        own: Settings = load_settings(
            source=below / "source", index=below / place, data=below / "data", passage_tokens=40, overlap_tokens=8
        ).model_copy(update={"max_expanded_mb": 4})
        report = build(own, FakeEmbedder())
        index = IndexFolder(own.index).open_current(None).index
        assert isinstance(index, OpenIndex)
        told = (report.skipped, report.warnings, report.completeness, report.documents)
        built.append((told, list(passages_of(index)), report, index))
    assert built[0][:2] == built[1][:2]
    return built[0][2:]


def assert_read_or_skipped(files: Files, report: BuildReport, index: OpenIndex) -> set[str]:
    """Check that every file gave a document or a reason; return the names of the files that gave a reason."""
    reasons = {item.uri: item.reason for item in report.skipped}
    assert all(reasons.values())
    skipped = {re.split("#|!/", uri)[0] for uri in reasons}
    read = {index.document(passage.document_id).source for passage in passages_of(index)}  # type: ignore[union-attr]
    assert set(files) - read - skipped == set()
    return skipped


def test_a_corpus_is_read_or_skipped_and_cited_exactly(tmp_path: Path) -> None:
    """Seventy of two hundred files are damaged: twice the same. At least 98 % of the text of the others is content."""
    sound = well_formed()
    harmed = {name: data for name, data in documents.corpus().items() if name.startswith("harm/")}
    files = sound | harmed | damaged(sound, 70, int(SEED))
    report, index = build_twice(files, tmp_path)
    assert report.files == len(files) > 200
    assert assert_read_or_skipped(files, report, index) & set(sound) == set()
    assert not [
        text for text in report.warnings if "of its text is content" in text and text.partition(":")[0] in sound
    ]
    assert report.completeness.covered_characters == report.completeness.content_characters
    assert report.completeness.tokens_lost == 0
    assert assert_cited_exactly(index) > 1_000


@pytest.mark.proof
@pytest.mark.parametrize("seed", [int(SEED), int(SEED) + 1])
def test_proof_damaged_files(tmp_path: Path, record_property: Callable[[str, object], None], seed: int) -> None:
    """Two thousand damaged files: none ends the build, every citation is exact."""
    files = damaged(well_formed(), 1_000, seed)
    report, index = build_twice(files, tmp_path)
    skipped = assert_read_or_skipped(files, report, index)
    cited = assert_cited_exactly(index)
    told = f"{len(files)} damaged files, {len(skipped)} with a reason, {cited} citations, all exact, twice the same"
    record_property("figure", told)
