"""Invalid question files, the formats of other projects, and gold that all documents are searched for."""

import contextlib
import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from conftest import QUESTIONS, ROOT
from hypothesis import given
from hypothesis import strategies as st

from qa_service.errors import QuestionFileError
from qa_service.evaluation import LineProblem, Question, QuestionFile
from qa_service.evaluation.formats.jsonl import MAX_LINE_BYTES
from qa_service.evaluation.gold import GoldFinder, IndexCorpus, Span
from qa_service.pipeline import QuestionAnswerer

UNSEEN = ROOT / "tests/data/unseen"
CAT = "The cat sleeps on the warm mat."
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
        (b"", "has no questions"),
        (b"\n \n\r\n\n", "has no questions"),
        (b'[{"question": "x"}]', "is a JSON array"),
        ('{"question": "x"}\n'.encode("utf-16"), "not UTF-8: line 1, byte 0"),
        (b'{"question": "x"}\n{"question": "caf\xe9"}\n', "not UTF-8: line 2, byte 17"),
        (b"\x1f\x8b\x08...", "looks like gzip"),
        (b"PK\x03\x04....", "looks like a ZIP archive"),
        (b'{"id": "a", "question": "x"}\n{"id": "a", "question": "y"}', "lines 1 and 2 have the same id"),
    ],
)
def test_an_invalid_question_file_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    """It names the line and the byte, if any."""
    path = tmp_path / "questions.jsonl"
    path.write_bytes(content)
    with pytest.raises(QuestionFileError, match=message):
        list(QuestionFile(path))


def test_anything_but_a_regular_file_is_an_error_before_reading(tmp_path: Path) -> None:
    """A missing file, a folder, a pipe, an endless device."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(QuestionFileError, match=str(path)):
            QuestionFile(path).check()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"questoin": "Where?"}, "unknown field `questoin`; did you mean `question`?"),
        (GOOD | {"answer": "mat"}, "unknown field `answer`; did you mean `answers`?"),
        ({"question": "Where?", "reference": []}, "unknown field `reference`; did you mean `references`?"),
        (
            {"question": "Where?", "references": [{"documnet": "a.md", "content": "x"}]},
            "unknown field `documnet`; did you mean `document`?",
        ),
        (GOOD | {"answers": ["mat"], "answer": "mat", "note": "mine"}, None),
    ],
)
def test_a_misspelt_field_is_named(line: dict[str, object], message: str | None, tmp_path: Path) -> None:
    """Its gold would be ignored. A field that is like none, or like one that is there, is a note of the file's."""
    assert reasons(questions(tmp_path, line)).get(1) == message


def test_a_misspelt_column_is_named(tmp_path: Path) -> None:
    """In a table of our own."""
    path = tmp_path / "questions.csv"
    path.write_text("question,documents,content,note\nWhere?,a.md,x,mine\n", encoding="utf-8")
    with pytest.raises(QuestionFileError, match="unknown field `documents`; did you mean `document`"):
        list(QuestionFile(path))


@pytest.mark.parametrize("joined", [b"\n", b"\r\n", b"\r", b"\n\n", "\u2028".encode(), b"\n\xe2\x80\xa9\n"])
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_all_line_ends_are_read_alike(joined: bytes, end: bytes, start: bytes, tmp_path: Path) -> None:
    """So are files with a byte order mark or without a last line end."""
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
        (b'{"question": "a", "question": "b"}', "duplicate key"),
        (b'{"question": "a", "weight": NaN}', "NaN is not JSON"),
        (b"[" * 10_000, "not JSON|too deeply"),
        (b'{"question": "a", "n": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"question": "' + b"a" * MAX_LINE_BYTES + b'"}', "longer than 1048576 bytes"),
        ({"question": "a", "id": True}, "id must be text"),
        ({"question": "a", "answerable": "yes"}, "answerable: Input should be a valid boolean"),
        ({"question": "a", "references": [{"document": "d"}]}, "needs content, or start_index"),
        ({"question": "a", "references": [{"document": "d", "start_index": 1}]}, "given together"),
        ({"question": "a", "references": [{"document": "d", "start_index": 2, "end_index": 2}]}, "must be larger"),
        ({"question": "a", "references": "d"}, "references: Input should be a valid tuple"),
    ],
)
def test_an_invalid_line_is_reported_and_the_rest_is_read(line: object, reason: str, tmp_path: Path) -> None:
    """The report has the number of the line."""
    if (isinstance(line, bytes) and line.startswith(b"[")) or line == ["x"]:
        found = questions(tmp_path, GOOD, line, GOOD)
        assert set(reasons(found)) == {2}
    else:
        found = questions(tmp_path, line, GOOD)
        assert set(reasons(found)) == {1}
    assert __import__("re").search(reason, next(iter(reasons(found).values())))
    assert isinstance(found[-1], Question)


def test_ids_are_text_and_default_to_the_line(tmp_path: Path) -> None:
    """1, "01" and a missing id in line 3 are three ids."""
    found = questions(tmp_path, {"question": "a", "id": 1}, {"question": "b", "id": "01"}, {"question": "c"})
    assert [item.id for item in found if isinstance(item, Question)] == ["1", "01", "3"]


def test_a_long_line_takes_little_memory(tmp_path: Path) -> None:
    """Forty megabytes without a line end are one problem; the next line is read."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(40_000_000)
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
def test_any_bytes_are_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """No other error is raised."""
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    with contextlib.suppress(QuestionFileError):
        assert all(isinstance(item, Question | LineProblem) for item in QuestionFile(path))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is a dash."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"question": "x"}\n')))
    assert [item.question for item in QuestionFile(Path("-")) if isinstance(item, Question)] == ["x"]


def test_the_shipped_question_file_has_exact_gold_and_near_misses() -> None:
    """At least 60 answerable questions with exact quotes, at least 20 unanswerable ones, half of them near misses."""
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


def test_the_unseen_questions_have_exact_gold_and_are_of_every_kind() -> None:
    """60 answerable questions and 30 near misses over three documents, which nothing is tuned on."""
    found = read(UNSEEN / "questions.jsonl")
    documents = {path.name: path.read_text(encoding="utf-8") for path in (UNSEEN / "documents").iterdir()}
    answerable = [item for item in found if item.answerable]
    refused = [item for item in found if not item.answerable]
    assert len({item.id for item in found}) == len({item.question.casefold() for item in found}) == 90
    assert len(answerable) == 60
    assert all((item.tags, item.references, item.answers) == (("near-miss",), (), ()) for item in refused)
    assert Counter(item.references[0].document for item in answerable) == dict.fromkeys(documents, 20)
    kinds = Counter(tag for item in answerable for tag in item.tags)
    assert all(
        kinds[kind] >= 6
        for kind in ("plain", "keywords", "yes-no", "why", "how-many", "comparison", "polite", "two-part")
    )
    for item in answerable:
        contents = [str(reference.content) for reference in item.references]
        assert item.answers, item.id
        assert all(str(one.content) in documents[str(one.document)] for one in item.references), item.id
        assert all(any(answer in content for content in contents) for answer in item.answers), item.id
        assert "two-part" not in item.tags or len(contents) == 2, item.id
        assert all(item.question.casefold() not in content.casefold() for content in contents), item.id


def read(path: Path, **arguments: object) -> list[Question]:
    found = list(QuestionFile(path, **arguments))
    assert all(isinstance(item, Question) for item in found), found
    return [item for item in found if isinstance(item, Question)]


def problems(path: Path, **arguments: object) -> dict[int, str]:
    return {item.line: item.reason for item in QuestionFile(path, **arguments) if isinstance(item, LineProblem)}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read(delimiter: str, tmp_path: Path) -> None:
    """The header decides the delimiter, columns have any order, and rows of one id are one question."""
    rows = [
        ["Tags", "Question", "ID", "document", "content", "answers", "answerable", "start_index", "end_index"],
        ["a|b", "What, who;\tand why?", "q1", "sea.txt", "The whale", "x|y", "", "0", "9"],
        ["", "", "q1", "zoo/animals.md", CAT, "", "", "", ""],
        ["", "Who bakes?", "", "", "", "", "No", "", ""],
    ]
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows(rows)
    path = tmp_path / ("q.tsv" if delimiter == "\t" else "q.csv")
    path.write_text(written.getvalue(), encoding="utf-8-sig")
    first, second = read(path)
    assert (first.id, first.question, first.answers, first.tags, first.answerable) == (
        *("q1", "What, who;\tand why?", ("x", "y"), ("a", "b")),
        True,
    )
    assert [(one.document, one.start_index, one.content) for one in first.references] == [
        ("sea.txt", 0, "The whale"),
        ("zoo/animals.md", None, CAT),
    ]
    assert (second.id, second.line, second.answerable, second.references) == ("4", 4, False, ())


def test_invalid_rows_of_a_table_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    """A missing cell, a word in place of a number, a value that is not a boolean, an unclosed quote."""
    path = tmp_path / "q.csv"
    path.write_text(
        "question,answerable,document,content,start_index,end_index\nfine,true,,,,\na,b\nx,maybe,,,,\nx,,d,t,one,2\n"
        ' ,,,,,\n\n"a ""b"" c",,,,,\n"open,,,,,\n',
        encoding="utf-8",
    )
    found = list(QuestionFile(path))
    assert [item.question for item in found if isinstance(item, Question)] == ["fine", 'a "b" c']
    reasons = {item.line: item.reason for item in found if isinstance(item, LineProblem)}
    assert reasons[3] == "has 2 cells, but the header has 6"
    assert reasons[4] == "answerable is 'maybe'; it must be true or false"
    assert "invalid literal for int" in reasons[5]
    assert any("not CSV" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no questions"),
        (b"question\n", "has no questions"),
        (b"what,who\n1,2\n", "has the columns what, who; needed once each: id, question"),
        (b"question,question\n1,2\n", "needed once each"),
        (b"question\ncaf\xe9\n", "not UTF-8"),
    ],
)
def test_an_invalid_table_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    """It names the columns."""
    path = tmp_path / "q.csv"
    path.write_bytes(content)
    with pytest.raises(QuestionFileError, match=message):
        list(QuestionFile(path))


def squad(context: str, *entries: dict[str, object]) -> str:
    return json.dumps(
        {"version": "v2.0", "data": [{"title": "Zoo", "paragraphs": [{"context": context, "qas": entries}]}]}
    )


def test_squad_is_read_and_its_answers_are_found_in_the_documents(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """At their offset in the paragraph, in any document; plausible answers are ignored."""
    context = f"{CAT} It wakes at noon."
    path = tmp_path / "dev.json"
    path.write_text(
        squad(
            context,
            {"id": "a", "question": " What sleeps?", "answers": [{"text": "cat", "answer_start": 4}] * 2},
            {
                "id": "b",
                "question": "What barks?",
                "is_impossible": True,
                "answers": [],
                "plausible_answers": [{"text": "cat", "answer_start": 4}],
            },
            {"id": "c", "question": "Wrong?", "answers": [{"text": "cat", "answer_start": 5}]},
        ),
        encoding="utf-8",
    )
    items: list[LineProblem] = []
    found = list(GoldFinder(IndexCorpus(answerer.index)).with_gold(QuestionFile(path), items))
    (first, gold), (second, none) = found
    document = answerer.index.document_by_uri("zoo/animals.md")
    assert document is not None
    ((span,),) = gold.spans
    assert (span.uri, document.text[span.start : span.end]) == ("zoo/animals.md", "cat")
    assert span.start == document.text.index(context) + 4
    assert (first.question, first.answers, first.tags) == ("What sleeps?", ("cat",), ("Zoo",))
    assert (second.answerable, none.relevant) == (False, {})
    assert [item.reason for item in items] == ["the answer is not at its offset in the paragraph"]
    path.write_text(
        squad("Words of no document.", {"id": "a", "question": "x", "answers": [{"text": "Words", "answer_start": 0}]})
    )
    items.clear()
    assert not list(GoldFinder(IndexCorpus(answerer.index)).with_gold(QuestionFile(path), items))
    assert "is not in any document" in items[0].reason
    path.write_text('{"data": [{"paragraphs": [{}]}]}')
    with pytest.raises(QuestionFileError, match="is not SQuAD's JSON: KeyError"):
        list(QuestionFile(path))


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_ragas_is_read(ending: str, answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """All documents are searched for its contexts, ignoring white space and hop marks."""
    sample = {
        "user_input": "Where does the cat sleep?",
        "reference": "On the mat.",
        "reference_contexts": ["<1-hop>\n\nThe cat sleeps  on the\nwarm mat."],
        "synthesizer_name": "single_hop",
    }
    path = tmp_path / f"testset{ending}"
    if ending == ".jsonl":
        path.write_text(json.dumps(sample) + "\n", encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(sample)
            writer.writerow([str(value) for value in sample.values()])
    ((question, gold),) = GoldFinder(IndexCorpus(answerer.index)).with_gold(QuestionFile(path), [])
    assert (question.answers, question.tags) == (("On the mat.",), ("single_hop",))
    ((span,),) = gold.spans
    document = answerer.index.document_by_uri(span.uri)
    assert document is not None
    assert document.text[span.start : span.end] == CAT


def beir(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "What sings?"}\n{"_id": "q2", "text": "unjudged"}\n{"_id": "q3", "text": "Nothing?"}\n'
    )
    (folder / "qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\tsea\t2\nq1\tzoo/animals.md\t1\nq3\tsea\t0\n"
    )
    return folder


def test_a_beir_folder_is_read(answerer: QuestionAnswerer, tmp_path: Path) -> None:
    """Its gold is graded whole documents; questions without judgements are left out."""
    items: list[LineProblem] = []
    found = list(GoldFinder(IndexCorpus(answerer.index)).with_gold(QuestionFile(beir(tmp_path / "beir")), items))
    assert not items
    (first, gold), (third, none) = found
    assert (first.id, gold.whole, gold.relevant) == ("q1", True, {"sea.txt": 2, "zoo/animals.md": 1})
    assert (third.answerable, none.relevant) == (False, {})
    with pytest.raises(QuestionFileError, match=r"no qrels/dev.tsv; choose another split with --split: test"):
        QuestionFile(tmp_path / "beir", split="dev").check()
    with pytest.raises(QuestionFileError, match="is not a BEIR folder"):
        QuestionFile(tmp_path).check()
    (tmp_path / "beir/qrels/test.tsv").write_text("q1\tsea\tmuch\n")
    with pytest.raises(QuestionFileError, match=r"test.tsv, line 1 is not a judgement"):
        list(QuestionFile(tmp_path / "beir"))


@pytest.mark.parametrize(
    "topics",
    [
        "<top>\n<num> Number: 301\n<title> What &amp; who\nsings?\n<desc> x\n</top>\n<top><num>302<title>Other</top>",
        "301\tWhat & who sings?\n302\tOther\n",
    ],
)
def test_trec_topics_are_read(topics: str, tmp_path: Path) -> None:
    """In tags or in two columns, with qrels in the format of trec_eval."""
    (tmp_path / "topics.txt").write_text(topics)
    (tmp_path / "qrels.txt").write_text("301 0 sea.txt 1\n302 0 none 0\n")
    first, second = read(tmp_path / "topics.txt", qrels=tmp_path / "qrels.txt")
    assert (first.id, first.question) == ("301", "What & who sings?")
    assert [(one.document, one.whole, one.relevance) for one in first.references] == [("sea.txt", True, 1)]
    assert not second.answerable
    if topics.startswith("<"):
        with pytest.raises(QuestionFileError, match="name their file of judgements with --qrels"):
            list(QuestionFile(tmp_path / "topics.txt"))


def test_gold_does_not_depend_on_the_splitter(answerer: QuestionAnswerer) -> None:
    """The passages that share a character with it are relevant."""
    finder = GoldFinder(IndexCorpus(answerer.index))
    document = answerer.index.document_by_uri("sea.txt")
    assert document is not None
    question = Question(
        *(),
        line=1,
        id="1",
        question="x",
        answerable=True,
        references=({"document": "sea.txt", "content": "deep ocean. It"},),
    )
    relevant = finder.gold_of(question.references).relevant
    start = document.text.index("deep ocean. It")
    spans = [
        (passage.position.start_char, passage.position.end_char)
        for number in answerer.index.overlapping(document.id, start, start + 14)
        for passage in [answerer.index.passage(number)]
    ]
    assert spans
    assert set(relevant) == {Span("sea.txt", *span).name for span in spans}


def test_a_large_file_streams(tmp_path: Path) -> None:
    """Twenty thousand lines take the memory of a few."""
    import tracemalloc

    path = tmp_path / "large.jsonl"
    with path.open("w") as file:
        for number in range(20_000):
            file.write(f'{{"id": {number}, "question": "What is {number}?", "tags": ["{"x" * 2000}"]}}\n')
    tracemalloc.start()
    count = sum(1 for _ in QuestionFile(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 6_000_000  # the ids alone; the file has 40 MB
