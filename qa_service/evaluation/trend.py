"""The trend over a folder of runs: their measures by time, each run compared with the one before it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from qa_service.errors import QuestionFileError, SettingsError
from qa_service.evaluation.compare import compare, differing
from qa_service.evaluation.measures import SERVICE, in_order
from qa_service.evaluation.run import RUN, SUMMARY, RunFolder, evaluated_settings

MAX_RUNS = 100
"""Maximum number of runs in a trend; of more, the latest."""
_FIRST_RESULT = "Success@1"


@dataclass(slots=True)
class TrendRow:
    """A run, and what changed since the run before."""

    run: str
    started: str
    questions: int
    measures: dict[str, float]
    milliseconds: float | None
    changed: dict[str, list[Any]] = field(default_factory=dict)
    """The settings that differ from the run before, with both values."""
    significant: dict[str, str] = field(default_factory=dict)
    """The measures that are significantly ``better`` or ``worse`` than in the run before."""
    other_questions: bool = False
    """Whether the run before asked other questions, so that the two can't be compared."""


@dataclass(slots=True)
class Trend:
    """The runs of a folder, oldest first, and the folders that were skipped, with the reason."""

    folder: str
    measures: list[str] = field(default_factory=list)
    rows: list[TrendRow] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the trend as it is written to a file."""
        return asdict(self)


def trend(folder: Path, measures: Sequence[str] = ()) -> Trend:
    """Return the trend over the runs in a folder, by ``measures``, or by the first result and what a person got.

    Raises :class:`QuestionFileError` if there is no finished run, :class:`SettingsError` if none has a measure.
    """
    found, read = Trend(str(folder)), []
    for path in sorted(path.parent for path in folder.glob(f"*/{RUN}")):
        try:
            read.append((path, *_read(path)))
        except QuestionFileError as error:
            found.skipped[path.name] = str(error)
    if not read:
        reasons = "".join(f"; {reason}" for reason in found.skipped.values())
        raise QuestionFileError(f"{folder} has no folder with a finished evaluation{reasons}")
    read = sorted(read, key=lambda one: (one[1].started, one[1].run))[-MAX_RUNS:]
    names = in_order(name for _, row, _ in read for name in row.measures)
    if unknown := [name for name in measures if name not in names]:
        raise SettingsError(f"no run in {folder} has the measure {unknown[0]!r}; choose from {', '.join(names)}")
    usual = [name for name in names if name == _FIRST_RESULT or name in SERVICE]
    found.measures = list(measures) or usual or names[:1]
    found.rows = [row for _, row, _ in read]
    for (before, _, old), (path, row, new) in pairwise(read):
        row.changed = differing([old, new])
        _test(row, before, path, found.measures)
    return found


def _read(path: Path) -> tuple[TrendRow, dict[str, Any]]:
    """Return the row of a finished run, and its settings."""
    about = RunFolder(path).about()
    if not about.get("finished"):
        raise QuestionFileError(f"the evaluation in {path} is not finished; run it again to resume it")
    try:
        summary = json.loads((path / SUMMARY).read_bytes())
        means = {name: float(measured["mean"]) for name, measured in summary["measures"].items()}
        started = str(about["about"].get("started", ""))
        row = TrendRow(path.name, started, int(summary["questions"]), means, summary["latency_ms"].get("p50"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QuestionFileError(f"{path / SUMMARY} is damaged; evaluate again with --overwrite") from error
    return row, evaluated_settings(about)


def _test(row: TrendRow, before: Path, path: Path, measures: Sequence[str]) -> None:
    """Note the measures that differ significantly from those of the run before."""
    try:
        differences = compare([before, path]).differences
    except QuestionFileError:
        row.other_questions = True
        return
    row.significant = {
        one.measure: "better" if one.better else "worse"
        for one in differences
        if one.significant and one.measure in measures
    }
