"""Evaluation: question files of every kind of badness, and measures against hand-computed numbers."""

import contextlib
import io
import json
import os
from pathlib import Path

import pytest
from conftest import QUESTIONS, ROOT
from hypothesis import given
from hypothesis import strategies as st

from qa_service.errors import QuestionFileError
from qa_service.evaluation import Question, QuestionFile, evaluate
from qa_service.evaluation.questions import MAX_LINE_BYTES, LineProblem
from qa_service.pipeline import QuestionAnswerer

GOOD = {
    "question": "What does the cat do?",
    "references": [{"document": "zoo/animals.md", "content": "The cat sleeps"}],
}


def questions(tmp_path: Path, *lines: object, joined: bytes = b"\n") -> list[Question | LineProblem]:
    path = tmp_path / "questions.jsonl"
    encoded = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
    path.write_bytes(joined.join(encoded))
    return list(QuestionFile(path))


def reasons(found: list[Question | LineProblem]) -> dict[int, str]:
    return {item.line: item.reason for item in found if isinstance(item, LineProblem)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no questions"),
        (b"\n \n\r\n\n", "holds no questions"),
        (b'[{"question": "x"}]', "is a JSON array"),
        ('{"question": "x"}\n'.encode("utf-16"), "not UTF-8: line 1, byte 0"),
        (b'{"question": "x"}\n{"question": "caf\xe9"}\n', "not UTF-8: line 2, byte 17"),
        (b"\x1f\x8b\x08...", "looks like gzip"),
        (b"PK\x03\x04....", "looks like a ZIP archive"),
        (b'{"id": "a", "question": "x"}\n{"id": "a", "question": "y"}', "line 2 stands in line 1"),
    ],
)
def test_a_file_that_is_no_question_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    """As a whole, with line and byte where there is one."""
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    with pytest.raises(QuestionFileError, match=message):
        list(QuestionFile(path))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """Missing, a folder, a pipe, a device that never ends."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(QuestionFileError, match=str(path)):
            QuestionFile(path).check()


@pytest.mark.parametrize("joined", [b"\n", b"\r\n", b"\r", b"\n\n", "\u2028".encode(), b"\n\xe2\x80\xa9\n"])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_line_ends_do_not_matter(joined: bytes, end: bytes, start: bytes, tmp_path: Path) -> None:
    """Nor does a byte order mark, nor a missing last one."""
    path = tmp_path / "q.jsonl"
    path.write_bytes(start + joined.join([b'{"id": "a", "question": "x"}', b'{"id": "b", "question": "y"}']) + end)
    assert [(item.id, item.question) for item in QuestionFile(path) if isinstance(item, Question)] == [
        ("a", "x"),
        ("b", "y"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{bad", "not JSON"),
        (None, "not a JSON object"),
        (5, "not a JSON object"),
        (["x"], "not a JSON object"),
        ({}, "question: Field required"),
        ({"question": ""}, "the question is empty"),
        ({"question": " \u00a0"}, "the question is empty"),
        ({"question": None}, "question: Input should be a valid string"),
        ({"question": 5}, "question: Input should be a valid string"),
        ({"question": "x" * 2001}, "2001 characters"),
        (b'{"question": "\\ud800"}', "lone surrogate"),
        ({"question": "a\0b"}, "NUL"),
        (b'{"question": "a", "question": "b"}', "stands twice"),
        (b'{"question": "a", "weight": NaN}', "NaN is no JSON"),
        (b"[" * 10_000, "not JSON|too deeply"),
        (b'{"question": "a", "n": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"question": "' + b"a" * MAX_LINE_BYTES + b'"}', "longer than 1048576 bytes"),
        ({"question": "a", "id": True}, "id must be text"),
        ({"question": "a", "answerable": "yes"}, "answerable: Input should be a valid boolean"),
        ({"question": "a", "references": [{"document": "d"}]}, "needs content, or start_index"),
        ({"question": "a", "references": [{"document": "d", "start_index": 1}]}, "go together"),
        ({"question": "a", "references": [{"document": "d", "start_index": 2, "end_index": 2}]}, "must be larger"),
        ({"question": "a", "references": "d"}, "references: Input should be a valid tuple"),
    ],
)
def test_a_bad_line_is_reported_and_the_rest_read(line: object, reason: str, tmp_path: Path) -> None:
    """With its number; the good line after it counts."""
    if (isinstance(line, bytes) and line.startswith(b"[")) or line == ["x"]:
        found = questions(tmp_path, GOOD, line, GOOD)
        assert set(reasons(found)) == {2}
    else:
        found = questions(tmp_path, line, GOOD)
        assert set(reasons(found)) == {1}
    assert __import__("re").search(reason, next(iter(reasons(found).values())))
    assert isinstance(found[-1], Question)


def test_ids_are_text_and_default_to_the_line(tmp_path: Path) -> None:
    """1, "01" and a missing one in line 3 are three ids."""
    found = questions(tmp_path, {"question": "a", "id": 1}, {"question": "b", "id": "01"}, {"question": "c"})
    assert [item.id for item in found if isinstance(item, Question)] == ["1", "01", "3"]


def test_a_long_line_costs_no_memory(tmp_path: Path) -> None:
    """A hundred megabytes without a line end are one problem, and the next line is read."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(100_000_000)
        file.seek(0, 2)
        file.write(b'\n{"question": "x"}\n')
    import tracemalloc

    tracemalloc.start()
    found = list(QuestionFile(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(item) for item in found] == [LineProblem, Question]
    assert peak < 20_000_000


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """And nothing else happens."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    with contextlib.suppress(QuestionFileError):
        assert all(isinstance(item, Question | LineProblem) for item in QuestionFile(path))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of a dash."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"question": "x"}\n')))
    assert [item.question for item in QuestionFile(Path("-")) if isinstance(item, Question)] == ["x"]


def test_measures_are_those_computed_by_hand(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """Three questions whose right passages come first, second and never."""
    order = [result.scored.passage for result in answerer.ask("the whale", 4).results]
    texts = {passage.number: answerer.index.document(passage.document_id) for passage in order}

    def about(rank: int) -> dict[str, object]:
        passage, position = order[rank], order[rank].position
        document = texts[passage.number]
        assert document is not None
        return {"document": document.uri, "start_index": position.start_char, "end_index": position.start_char + 3}

    path = tmp_path / "q.jsonl"
    rows = [
        {"question": "the whale", "references": [about(0)]},
        {"question": "the whale", "references": [about(1)]},
        {"question": "the whale", "references": [{"document": "zoo/animals.md", "content": "# Animals"}]},
        {"question": "the whale", "answerable": True},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = evaluate(QuestionFile(path), answerer, 4)
    assert (report.questions, report.scored, report.problems) == (4, 3, [])
    assert report.measures["Success@1"] == pytest.approx(1 / 3)
    assert report.measures["Success@5"] == pytest.approx(2 / 3)
    assert report.measures["RR@10"] == pytest.approx((1 + 1 / 2) / 3)
    assert report.measures["nDCG@10"] == pytest.approx((1 + 1 / 1.584962500721156) / 3)
    assert report.measures["R@5"] == pytest.approx(2 / 3)


def test_gold_that_is_not_in_the_documents_is_an_error_of_its_line(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """Unknown document, wrong content, wrong offsets: none of them counts as a wrong answer."""
    path = tmp_path / "q.jsonl"
    references = [
        {"document": "none.md", "content": "x"},
        {"document": "sea.txt", "content": "no such words"},
        {"document": "sea.txt", "content": "The", "start_index": 1, "end_index": 4},
        {"document": "sea.txt", "start_index": 0, "end_index": 10**6},
    ]
    rows = [{"question": "x", "references": [reference]} for reference in references]
    path.write_text("\n".join(map(json.dumps, [*rows, GOOD])), encoding="utf-8")
    report = evaluate(QuestionFile(path), answerer, 5)
    assert [problem.line for problem in report.problems] == [1, 2, 3, 4]
    assert "'none.md' is not in the index" in report.problems[0].reason
    assert (report.questions, report.scored) == (1, 1)
    path.write_text(json.dumps(rows[0]), encoding="utf-8")
    with pytest.raises(QuestionFileError, match="not one question could be asked"):
        evaluate(QuestionFile(path), answerer, 5)


def test_the_shipped_question_file_is_what_it_should_be() -> None:
    """60 answerable or more with exact quotes, 20 unanswerable or more, half of those near misses."""
    found = list(QuestionFile(QUESTIONS))
    assert all(isinstance(item, Question) for item in found)
    good = [item for item in found if isinstance(item, Question)]
    briefing = (ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8")
    answerable = [item for item in good if item.answerable]
    refused = [item for item in good if not item.answerable]
    assert len(answerable) >= 60
    assert len(refused) >= 20
    assert abs(sum("near miss" in item.tags for item in refused) * 2 - len(refused)) <= 3
    for item in answerable:
        assert item.references
        for reference in item.references:
            assert reference.content is not None
            assert reference.content in briefing
            assert item.question.casefold() not in reference.content.casefold()
        assert all(
            any(answer.casefold() in str(ref.content).casefold() for ref in item.references) for answer in item.answers
        )
