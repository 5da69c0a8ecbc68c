"""The trend over a folder of runs, made from files as evaluations write them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from qa_service.errors import QuestionFileError, SettingsError
from qa_service.evaluation.report import trend_page
from qa_service.evaluation.run import FORMAT_VERSION, RESULTS, RUN, SUMMARY
from qa_service.evaluation.trend import MAX_RUNS, trend


def write_run(folder: Path, served: int, started: str = "", question: str = "Who", **settings: Any) -> None:
    """Write a run of 40 questions, of which some are served."""
    folder.mkdir(parents=True)
    fingerprint = {"questions_sha256": question * 20, "index_version": "v", "target": "", "top_k": 10}
    about = {"version": "1", "started": started}
    run = {"format": FORMAT_VERSION, "fingerprint": {**fingerprint, "settings": settings}, "about": about}
    (folder / RUN).write_text(json.dumps({**run, "finished": True}))
    lines = [
        {
            "id": str(number),
            "question": f"{question} {number}?",
            "measures": {"AP": 0.5, "served": int(number < served)},
        }
        for number in range(40)
    ]
    (folder / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    means = {"AP": {"mean": 0.5}, "served": {"mean": served / 40}}
    (folder / SUMMARY).write_text(json.dumps({"measures": means, "questions": 40, "latency_ms": {}}))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Make runs by time: one, a better one, one of other questions; and two that can't be read."""
    write_run(tmp_path / "runs/z", 10, "2026-01-01", lexical_weight=0.4, reader="off")
    write_run(tmp_path / "runs/y", 30, "2026-02-01", lexical_weight=0.4, reader="<b>quick</b>", new=1)
    write_run(tmp_path / "runs/a", 31, "2026-03-01", question="Which", lexical_weight=0.4, reader="<b>quick</b>", new=1)
    write_run(tmp_path / "runs/older", 5)
    write_run(tmp_path / "runs/cut", 5)
    for name, key, value in (("older", "format", 1), ("cut", "finished", False)):
        path = tmp_path / "runs" / name / RUN
        path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    (tmp_path / "runs/notes").mkdir()
    return tmp_path / "runs"


def test_a_trend_is_ordered_by_time_and_names_changes(runs: Path) -> None:
    """Other questions are not compared; unreadable folders are skipped, and the reason says what to do."""
    found = trend(runs)
    assert [row.run for row in found.rows] == ["z", "y", "a"]
    assert found.measures == ["served"]
    first, second, third = found.rows
    assert (first.changed, first.significant) == ({}, {})
    assert second.changed == {"reader": ["off", "<b>quick</b>"]}  # a new setting may have been the same before
    assert second.significant == {"served": "better"}
    assert (third.other_questions, third.significant) == (True, {})
    assert "evaluate again, with --overwrite" in found.skipped["older"]
    assert "run it again to resume it" in found.skipped["cut"]
    page = trend_page(found)
    assert "reader off → &lt;b&gt;quick&lt;/b&gt;" in page
    assert '<span class="good">better</span>' in page
    assert "other questions" in page
    assert page.index(">z</th>") < page.index(">y</th>") < page.index(">a</th>")
    assert trend(runs, ["AP"]).rows[1].significant == {}


def test_a_folder_without_runs_or_a_damaged_summary_is_an_error(runs: Path, tmp_path: Path) -> None:
    """And a measure that no run has."""
    with pytest.raises(SettingsError, match="'nDCG@3'; choose from AP, served"):
        trend(runs, ["nDCG@3"])
    (runs / "a" / SUMMARY).write_text('{"measures": []}')
    assert "is damaged; evaluate again with --overwrite" in trend(runs).skipped["a"]
    with pytest.raises(QuestionFileError, match="has no folder with a finished evaluation"):
        trend(tmp_path / "none")


def test_the_latest_runs_are_shown(tmp_path: Path) -> None:
    """Equal ones have no significant changes."""
    for number in range(MAX_RUNS + 2):
        write_run(tmp_path / f"{number:03}", 20, f"2026-{number:03}")
    found = trend(tmp_path)
    assert [row.run for row in found.rows] == [f"{number:03}" for number in range(2, MAX_RUNS + 2)]
    assert not any(row.significant or row.changed or row.other_questions for row in found.rows)


def test_compare_prints_a_trend_of_one_folder(run: Run, runs: Path, tmp_path: Path) -> None:
    """A single run is an error that says what to name."""
    code, out, err = run("compare", runs, "--html", tmp_path / "trend.html")
    assert code == 0
    assert "0.750 +" in out
    assert err.count("skipped: ") == 2
    assert (tmp_path / "trend.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(json.loads(run("compare", runs, "--json")[1])["rows"]) == 3
    code, _, err = run("compare", runs / "z")
    assert (code, "two outputs of evaluate, or one folder of them" in err) == (2, True)
