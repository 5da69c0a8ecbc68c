"""The questions as CSV, the links to their sources, settings and cost in the report."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import pytest

from qa_service.evaluation import EvaluationOptions, QuestionFile, Target, evaluate
from qa_service.evaluation.gold import IndexCorpus
from qa_service.evaluation.links import links_of
from qa_service.evaluation.report import write_reports
from qa_service.evaluation.run import RunFolder
from qa_service.evaluation.targets import InProcessAsker, about_index, cost_of
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

GOLD = {"document": "zoo/animals.md", "content": "The cat sleeps"}


def evaluated(answerer: QuestionAnswerer, settings: Settings, questions: list[str], output: Path) -> Path:
    file = output.parent / "q.jsonl"
    rows = [
        {"id": f"={number}", "question": text, "references": [GOLD], "answers": ["-1+1", "cat"], "tags": ["@tag"]}
        for number, text in enumerate(questions)
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    asker, index = InProcessAsker(answerer), answerer.index
    about = {"questions": file.name, "version": "1", **about_index(index)}
    target = Target(asker, IndexCorpus(index), asker, settings=settings, about=about, cost=cost_of(index))
    summary = evaluate(QuestionFile(file), target, output, EvaluationOptions())
    assert summary.cost["cpu_ms"] > 0
    write_reports(RunFolder(output), summary, target.corpus, None, links_of(answerer, settings, output))
    return output


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1"])
def test_no_cell_is_a_formula(start: str, answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> None:
    """Questions, ids, answers and tags begin with an apostrophe then; quotes and newlines stay in their cells."""
    hostile = f'{start} "cat"\nand, cat?'
    run = evaluated(answerer, settings, [hostile, "What does the cat do?"], tmp_path / "run")
    text = (run / "questions.csv").read_bytes().decode("utf-8-sig")
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["question"] == "'" + hostile
    assert (first["id"], first["expected"], first["tags"]) == ("'=0", "'-1+1|cat", "'@tag")
    assert second["question"] == "What does the cat do?"
    assert (second["state"], second["first relevant result"], second["nDCG@10"]) == ("served", "1", "1.0")
    assert second["document"] == "zoo/animals.md"
    page = (run / "report.html").read_text(encoding="utf-8")
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)" download="questions.csv"', page)
    assert found is not None
    assert base64.b64decode(found[1]) == (run / "questions.csv").read_bytes()


def test_a_report_links_sources_and_shows_settings_and_cost(
    answerer: QuestionAnswerer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file beside the report, unless the report is sent over HTTP; the address where it is published."""
    for name in ("animals.md", "a b.md"):
        file = settings.source / "zoo" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("The cat.", encoding="utf-8")
    run = evaluated(answerer, settings, ["What does the cat do?"], tmp_path / "run")
    page = (run / "report.html").read_text(encoding="utf-8")
    link = links_of(answerer, settings, run)
    assert '<a href="../source/zoo/animals.md">zoo/animals.md</a>, characters' in page
    for name in ("passage_tokens", "min_confidence", "CPU milliseconds a question", "index, megabytes"):
        assert f">{name}<" in page
    assert link("zoo/a b.md#row=1", (0, 3)) == "../source/zoo/a%20b.md"
    assert link("none.md", (0, 3)) is None
    assert links_of(answerer, settings, settings.data / "evaluations/1/run")("zoo/a b.md", (0, 3)) is None
    monkeypatch.setattr(answerer, "_settings", settings.model_copy(update={"published": "https://example.org/docs"}))
    assert str(link("sea.txt", (0, 3))).startswith("https://example.org/docs/sea.txt")
