"""The commands for question files, as users call them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run
from processes import children_of, eventually, runs

from qa_service.server.feedback import FeedbackAnswer, FeedbackFile, Quote

GOLD = {"document": "sea.txt", "content": "A crab walks sideways"}


@pytest.fixture
def built(run: Run, here: list[str]) -> list[str]:
    run("index", *here)
    return here


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Write twelve questions; the gold of two is a passage that is not ranked first."""
    path = tmp_path / "q.jsonl"
    rows = [
        {"id": number, "question": f"How does a crab walk, {number}?", "references": [GOLD]} for number in range(10)
    ]
    rows += [{"id": number, "question": "Where does the cat sleep?", "references": [GOLD]} for number in (10, 11)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_an_evaluation_is_stored_compared_and_checked_against_thresholds(
    run: Run, built: list[str], questions: Path, tmp_path: Path
) -> None:
    """Exit code 1 names the measures below a threshold or worse than the baseline."""
    output = tmp_path / "out/one"
    code, out, err = run("evaluate", questions, *built, "--output", output, "--fail-under", "Success@1=0.8")
    assert (code, err) == (0, "")
    assert f"report: {output / 'report.html'}" in out
    assert {path.name for path in output.iterdir()} == {
        *("run.json", "results.jsonl", "times.jsonl", "run.trec", "qrels.trec"),
        *("summary.json", "report.html", "report.md", "questions.csv"),
    }
    code, _, err = run("evaluate", questions, *built, "--output", output)
    assert (code, "pass --overwrite" in err) == (4, True)
    limits = ["--fail-under", "Success@1=0.9", "--fail-under", "R@10=0.2", "--fail-over", "RR@10=0.5"]
    code, _, err = run("evaluate", questions, *built, "--output", output, "--overwrite", *limits)
    assert (code, err) == (1, "error: Success@1 is 0.8333, below 0.9\nerror: RR@10 is 0.9167, above 0.5\n")
    worse = [{"id": number, "question": "Where does the cat sleep?", "references": [GOLD]} for number in range(12)]
    lines = [json.loads(line) for line in questions.read_text().splitlines()]
    for line, other in zip(lines, worse, strict=True):
        line["references"] = (
            [{"document": "zoo/animals.md", "content": "It wakes at noon"}] if other["id"] < 10 else [GOLD]
        )
    changed = tmp_path / "changed.jsonl"
    changed.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, out, err = run(
        "evaluate", changed, *built, "--baseline", output, "--output", tmp_path / "out/two", "--measure", "Success@1"
    )
    assert code == 1
    assert "two is worse than one in Success@1: -0.8333" in err
    page = tmp_path / "c/compared.html"
    code, out, _ = run("compare", output, tmp_path / "out/two", "--html", page)
    assert code == 0
    assert "two is worse than one in Success@1" in out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    found = json.loads(run("compare", output, output, "--json")[1])
    assert all(one["ties"] == one["n"] for one in found["differences"])


def test_invalid_arguments_of_an_evaluation_are_errors_before_any_question(
    run: Run, built: list[str], questions: Path, tmp_path: Path
) -> None:
    """Exit code 2 for options, 4 for input."""
    for code, words, arguments in (
        (2, "invalid threshold", ["--fail-under", "high"]),
        (2, "write it as wrongly-answered", ["--fail-over", "wrongly-answered"]),
        (2, "unknown measure", ["--measure", "quality@"]),
        (2, "is not an address", ["--url", "localhost:8000"]),
        (2, "is the question file", ["--output", str(questions)]),
        (4, "holds no evaluation", ["--baseline", str(tmp_path)]),
        (4, "name their file of judgements", ["--format", "trec"]),
    ):
        found, _, err = run("evaluate", questions, *built, *arguments)
        assert words in err or (code == 2 and found == 2), (arguments, err)
        assert found == code, (arguments, err)
    code, _, err = run("compare", tmp_path)
    assert (code, "has no folder with a finished evaluation" in err) == (4, True)
    code, _, err = run("sweep", questions, *built[:2], "--vary", "colour=red", "--output", tmp_path / "s")
    assert (code, "'colour' is not a setting" in err) == (2, True)


def test_a_beir_folder_is_indexed_and_evaluated(run: Run, tmp_path: Path, here: list[str]) -> None:
    """Rows of the corpus are documents, judgements refer to their ids, queries are not indexed."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = {
        "d/1": "The cat sleeps on the warm mat.",
        "d 2": "The whale sings in the deep ocean.",
        "d3": "A dog barks.",
    }
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": key, "title": "", "text": text}) + "\n" for key, text in texts.items())
    )
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "Who sings?"}\n{"_id": "q2", "text": "Who barks?"}\n')
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td 2\t1\nq2\td3\t1\n")
    flags = here[2:]
    code, out, _ = run("index", "--beir", folder, *flags)
    assert (code, "1 file: 3 documents" in out) == (0, True)
    summary = json.loads(run("evaluate", folder, *flags, "--json")[1])
    assert (summary["scored"], summary["measures"]["nDCG@10"]["mean"], summary["problems"]) == (2, 1.0, [])
    code, _, err = run("index", "--beir", tmp_path / "source", *flags)
    assert (code, "no corpus.jsonl" in err) == (2, True)


def test_a_sweep_prints_a_table(
    run: Run, built: list[str], questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row per combination; the values are checked before any build."""
    monkeypatch.setenv("QA_INDEX", built[3])  # its exported model is reused
    output = tmp_path / "sweep"
    arguments = ("sweep", questions, *built[:2], "--output", output)
    code, _, err = run(*arguments, "--vary", "lexical_weight=0.3,7")
    assert (code, "QA_LEXICAL_WEIGHT" in err) == (2, True)
    code, out, _ = run(*arguments, "--vary", "lexical_weight=0.1,0.3")
    assert code == 0
    assert "lexical_weight" in out
    assert len(json.loads((output / "sweep.json").read_text())["rows"]) == 2
    assert (output / "sweep.html").exists()
    assert len(list((output / "indexes").iterdir())) == 1


def test_feedback_is_exported_as_questions(
    run: Run, built: list[str], tmp_path: Path, folder: Callable[[dict[str, str | bytes]], Path]
) -> None:
    """`evaluate` reads them."""
    text = (tmp_path / "source/sea.txt").read_text()
    start = text.index("A crab walks")
    quote = Quote("sea.txt", start, start + 12, "A crab walks")
    with FeedbackFile(tmp_path / "data") as file:
        file.add(FeedbackAnswer("a1", "", "v", "How does a crab walk?", True, quote), useful=True, right=None, note="")
        file.add(FeedbackAnswer("a2", "", "v", "Useless?", True, quote), useful=False, right=None, note="no")
    code, out, err = run("feedback", "export", "--data", tmp_path / "data")
    assert code == 0
    said = f"exported 1 question from the feedback in {tmp_path / 'data'}; 1 useless answer without a right passage"
    assert err == f"{said} left out\n"
    assert run("feedback", "export", "--data", "nowhere")[::2] == (
        4,
        "error: nowhere has no feedback; name its folder with --data\n",
    )
    (tmp_path / "feedback.jsonl").write_text(out)
    summary = json.loads(run("evaluate", tmp_path / "feedback.jsonl", *built, "--json")[1])
    assert (summary["scored"], summary["measures"]["Success@1"]["mean"]) == (1, 1.0)


def test_the_processes_of_a_killed_evaluation_end(built: list[str], tmp_path: Path) -> None:
    """So do its child processes, even if they are idle."""
    lines = [json.dumps({"id": n, "question": f"crab {n}", "answerable": False, "references": []}) for n in range(9000)]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    command = ["evaluate", str(tmp_path / "many.jsonl"), *built, "--jobs", "2", "--output", str(tmp_path / "out")]
    with subprocess.Popen([sys.executable, "-m", "qa_service", *command]) as evaluating:
        results = tmp_path / "out/results.jsonl"
        eventually(lambda: results.exists() and results.stat().st_size)
        started = children_of(evaluating.pid)
        assert len(started) >= 2
        evaluating.kill()
    eventually(lambda: not any(map(runs, started)))
