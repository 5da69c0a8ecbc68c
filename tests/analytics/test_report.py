"""The report on recorded questions: counts, top questions, gaps, documents; as text, JSON and CSV."""

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder, Run

from qa_service.analytics import RECORD, gaps
from qa_service.analytics.figures import MissedQuestion
from qa_service.analytics.file import DAY_SECONDS, RecordedQuestion, RecordFile, wording_of
from qa_service.analytics.gaps import cluster
from qa_service.analytics.report import complete, summarize
from qa_service.analytics.table import csv_of
from qa_service.analytics.vectors import packed
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.owner import OwnerReport
from qa_service.settings import Settings

FORMULA = '=HYPERLINK("http://example.org","x")'
HOSTILE = [FORMULA, "+1", "-2+1", "@SUM(A1)", "\t=3", "＝4", "\0=5", "<script>alert(1)</script>", 'a"b,c\r\nd']
MODEL = FakeEmbedder().identity.weights_sha256


def question(
    text: str, verdict: str = "answered", *, days: float = 0, uris: str = "[]", **given: Any
) -> RecordedQuestion:
    """Return a row as the recorder makes it, asked so many days ago."""
    vector = packed(FakeEmbedder()._vector(text)) if verdict != "answered" else None
    row = RecordedQuestion(
        int(time.time() - days * DAY_SECONDS), "", verdict, 0.5, uris, 5.0, 1,
        question=text, wording=wording_of(text), model=MODEL if vector else None, vector=vector,
    )  # fmt: skip
    return replace(row, **given)


def write(folder: Path, rows: list[RecordedQuestion], useless: tuple[int, ...] = ()) -> Path:
    with RecordFile(folder / RECORD) as file:
        file.add(rows)
        for answer in useless:
            file.add_feedback(answer, useful=False)
    return folder / RECORD


@pytest.fixture
def reported(settings: Settings, answerer: QuestionAnswerer) -> Callable[..., OwnerReport]:
    """Return a function that records questions and reports on them."""

    def report(rows: list[RecordedQuestion], days: int = 30, **given: Any) -> OwnerReport:
        return complete(summarize(write(settings.data, rows, **given), "", days), answerer.index)

    return report


def test_periods_days_and_verdicts_are_counted(reported: Callable[..., OwnerReport]) -> None:
    """Today is the last day of a period; the period before has the same length."""
    rows = [question("a"), question("b", "uncertain"), question("c", "not_found", days=1), question("d", "unknown")]
    rows += [question("e", days=10), question("f", "not_found", days=11, milliseconds=99.6), question("g", days=99)]
    report = reported(rows, days=7)
    counts = report.period
    assert (counts.questions, counts.answered, counts.uncertain, counts.not_found) == (4, 1, 1, 1)
    assert report.before is not None
    assert (report.before.questions, report.before.median_ms, report.before.p95_ms) == (2, 5, 100)
    assert [day.questions for day in report.by_day] == [0, 0, 0, 0, 0, 1, 3]


def test_equal_questions_are_counted_together(reported: Callable[..., OwnerReport]) -> None:
    """The most frequent come first, as they were asked last, with their last verdict."""
    report = reported([question("Why?"), question("Who sleeps?"), question("who  SLEEPS", "not_found")])
    assert [(top.question, top.count, top.verdict) for top in report.top_questions] == [
        ("who  SLEEPS", 2, "not_found"),
        ("Why?", 1, "answered"),
    ]


def test_gaps_are_named_by_their_central_question(reported: Callable[..., OwnerReport]) -> None:
    """Near questions are one gap, with the nearest sections of the index; an answered question is none."""
    rows = [question("warm mat for the cat", "uncertain")] * 3 + [question("a warm mat for the old cat", "not_found")]
    rows += [question("warm mat cat", "not_found"), question("zebra zoology xylophone", "not_found")]
    rows += [question("Who barks?", "not_found"), question("Who barks?")]
    report = reported(rows)
    first, second = report.gaps
    assert (first.question, first.count) == ("warm mat for the cat", 5)
    assert set(first.questions) == {"warm mat for the cat", "a warm mat for the old cat", "warm mat cat"}
    assert first.nearest_headings[0].section_path == ["Cats"]
    assert first.nearest_headings[0].uri == "zoo/animals.md"
    assert (second.question, second.count, second.nearest_headings) == ("zebra zoology xylophone", 1, [])


def test_vectors_of_another_model_are_clustered_apart(reported: Callable[..., OwnerReport]) -> None:
    """And have no headings; a question without a vector is alone."""
    other = question("Who bakes bread?", "not_found", model="other", vector=packed(np.ones(7, np.float32)))
    rows = [
        question("Who bakes bread now?", "not_found"),
        other,
        question("[secret]", "not_found", model=None, vector=None),
    ]
    assert [(gap.question, gap.count, bool(gap.nearest_headings)) for gap in reported(rows).gaps] == [
        ("[secret]", 1, False),
        ("Who bakes bread?", 1, False),
        ("Who bakes bread now?", 1, False),
    ]


def test_many_missed_questions_make_bounded_gaps() -> None:
    """Every gap is disjoint from the others, and the largest come first."""
    random = np.random.default_rng(3)
    topics = random.normal(size=(80, 64)).astype(np.float32)
    missed = [
        MissedQuestion(f"{number}", 1 + number % 3, "m", packed(topics[number % 80] + 0.05 * random.normal(size=64)))
        for number in range(800)
    ]
    found = cluster(missed)
    assert len(found) == gaps.MAX_GAPS
    assert all(len({int(text) % 80 for text in one.questions}) == 1 for one in found)
    assert len({int(one.question) % 80 for one in found}) == gaps.MAX_GAPS
    assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)
    assert cluster([]) == []


def test_documents_are_told_by_citations_and_feedback(reported: Callable[..., OwnerReport]) -> None:
    """Those with useless answers, those never cited; several documents of one answer count for each."""
    rows = [question("a", uris='["sea.txt", "old.md"]', answer=7), question("b", uris='["sea.txt"]')]
    report = reported(rows, useless=(7,))
    assert [(one.uri, one.questions, one.useless) for one in report.disliked_documents] == [
        ("old.md", 1, 1),
        ("sea.txt", 2, 1),
    ]
    assert report.never_cited is not None
    assert (report.never_cited.count, report.never_cited.files, report.never_cited.uris) == (1, 2, ["zoo/animals.md"])


def test_counts_alone_make_a_report(reported: Callable[..., OwnerReport]) -> None:
    """Without texts there are neither questions nor gaps."""
    report = reported([question("x", "not_found", question=None, wording=None, model=None, vector=None)])
    assert (report.texts, report.period.not_found, report.top_questions, report.gaps) == (False, 1, [], [])


def test_collections_are_reported_apart(settings: Settings) -> None:
    """A report names those that have questions."""
    record = write(settings.data, [question("a"), question("b", collection="/collections/hr")])
    assert summarize(record, "", 30).report.collections == ["", "hr"]
    report = summarize(record, "hr", 30).report
    assert (report.collection, report.period.questions) == ("hr", 1)


def test_no_cell_of_the_csv_is_a_formula(reported: Callable[..., OwnerReport]) -> None:
    """Hostile questions and paths stay one cell each, and none begins as a formula does."""
    rows = [question(text, "not_found", uris=json.dumps([text])) for text in HOSTILE]
    rows.append(question("x", uris=json.dumps([FORMULA]), answer=7))
    written = csv_of(reported(rows, useless=(7,)))
    cells = list(csv.reader(io.StringIO(written, newline="")))
    assert len({len(row) for row in cells}) == 1
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "\0"))]
    shown = [row[1] for row in cells if row[0] in {"gap", "of the gap"}]
    assert sorted(shown) == sorted(f"'{text}" if text[0] in "=+-@\t＝\0" else text for text in HOSTILE)
    assert ["disliked document", f"'{FORMULA}"] in [row[:2] for row in cells]


def test_the_command_prints_text_json_and_csv(run: Run, settings: Settings, answerer: QuestionAnswerer) -> None:
    """Control characters of questions reach no terminal."""
    flags = ["--index", settings.index, "--data", settings.data]
    code, _, err = run("report", *flags)
    assert code
    assert "QA_ANALYTICS" in err
    hostile = question("Who \x1b[31m bakes?", "not_found")
    write(settings.data, [hostile, question("Why?", uris='["sea.txt"]'), question("c", collection="/collections/hr")])
    code, out, _ = run("report", *flags)
    assert code == 0
    assert "2 questions to the default collection" in out
    assert "other collections with questions: hr" in out
    assert "\\x1b[31m" in out
    assert "\x1b" not in out
    assert "never cited: 1 of 2 files: zoo/animals.md" in out
    code, out, _ = run("report", *flags, "--json", "--days", 7)
    assert json.loads(out)["gaps"][0]["question"] == "Who \x1b[31m bakes?"
    code, out, _ = run("report", *flags, "--csv")
    assert out.startswith("list,item,questions,")
    assert run("report", *flags, "--csv", "--json")[0] == 2


def test_a_missing_index_leaves_the_counts(run: Run, settings: Settings) -> None:
    """With a warning."""
    write(settings.data, [question("Why?", "not_found")])
    code, out, err = run("report", "--data", settings.data, "--index", settings.index, "--json")
    report = json.loads(out)
    assert (code, report["period"]["questions"], report["never_cited"]) == (0, 1, None)
    assert "warning: no headings and no documents" in err
