"""Evaluates the same questions under many settings: ``qa-service sweep``. Finished work is reused."""

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.errors import QAServiceError, QuestionFileError, SettingsError
from qa_service.evaluation.compare import compare
from qa_service.evaluation.evaluate import EvaluationOptions, Target, evaluate
from qa_service.evaluation.gold import IndexCorpus
from qa_service.evaluation.question_file import QuestionFile
from qa_service.evaluation.run import SUMMARY, Fingerprint, RunFolder
from qa_service.evaluation.statistics import Estimate
from qa_service.evaluation.targets import InProcessAsker, about_index, cost_of
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings, load_settings, settings_that_change

_MAX_POINTS = 200
_INDEXES_FOLDER = "indexes"
_DIGEST_DIGITS = 12
_NOT_VARIED = {"source", "index", "host", "port", "workers", "data", "access", "collections"}


@dataclass(slots=True)
class SweepRow:
    """One point of a sweep: the settings with their measures, or the problem that prevented them."""

    settings: dict[str, Any]
    run: str
    measures: dict[str, float] = field(default_factory=dict)
    milliseconds: float = 0.0
    passages: int = 0
    front: bool = False
    problem: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    """As in ``summary.json``."""
    rank: Literal["best", "even", "worse", ""] = ""
    """Whether it has the highest mean, can't be told from the row that has, or is significantly worse."""
    difference: Estimate | None = None
    """The difference from the best row in the main measure, with its 95 % interval."""
    adjusted_p: float | None = None


@dataclass(slots=True)
class Sweep:
    """All points of a sweep, and the measure of the Pareto front."""

    questions: str
    varied: list[str]
    measure: str = ""
    measures: list[str] = field(default_factory=list)
    rows: list[SweepRow] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the sweep as it is written to a file."""
        return asdict(self)


def grid(varied: Sequence[str]) -> list[dict[str, str]]:
    """Return every combination of settings like ``passage_tokens=100,200``. Raises :class:`SettingsError`."""
    axes: dict[str, list[str]] = {}
    for text in varied:
        name, sign, values = text.partition("=")
        name = name.strip().casefold().removeprefix("qa_").replace("-", "_")
        listed = [value.strip() for value in values.split(",") if value.strip()]
        if not sign or not listed:
            raise SettingsError(f"invalid axis {text!r}; write it as passage_tokens=100,200")
        if name not in Settings.model_fields or name in _NOT_VARIED:
            raise SettingsError(f"{name!r} is not a setting that can be varied; docs/settings.md lists all settings")
        axes[name] = list(dict.fromkeys(listed))
    points = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if len(points) > _MAX_POINTS:
        raise SettingsError(
            f"{len(points)} combinations exceed the limit of {_MAX_POINTS}; vary fewer settings or values"
        )
    return points


def sweep(
    questions: QuestionFile,
    settings: Settings,
    points: Sequence[dict[str, str]],
    output: Path,
    options: EvaluationOptions,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Sweep:
    """Build and evaluate every point below ``output``; reuse finished ones and resume an interrupted one.

    A point that can't be built or asked is a row with its problem.
    """
    chosen = [load_settings(**{**_given(settings), **point}) for point in points]  # reports a bad value before any work
    found = Sweep(str(questions.path), list(points[0]))
    for number, (point, one) in enumerate(zip(points, chosen, strict=True)):
        progress("evaluating settings", number, len(points))
        name = ",".join(f"{key}={_plain(value)}" for key, value in point.items())
        row = SweepRow(dict(point), f"runs/{name[:150]}")
        try:
            _fill(row, one, questions, output, options)
        except (SettingsError, QuestionFileError):
            raise
        except QAServiceError as error:
            row.problem = str(error)
        found.rows.append(row)
    progress("evaluating settings", len(points), len(points))
    good = [row for row in found.rows if not row.problem]
    if not good:
        raise QAServiceError(f"no combination could be evaluated: {found.rows[0].problem}")
    found.measures = list(dict.fromkeys(name for row in good for name in row.measures))
    if not found.measures:
        raise QuestionFileError(f"{questions.path} has no question with gold, which a sweep needs")
    found.measure = found.measures[0]
    for row in good:
        row.front = not any(_beats(other, row, found.measure) for other in good)
    rank_rows([row for row in good if found.measure in row.measures], found.measure, output)
    return found


def rank_rows(rows: Sequence[SweepRow], measure: str, output: Path) -> None:
    """Compare the rows with the best one, question by question; p-values are adjusted for their number."""
    best = max(rows, key=lambda row: (row.measures[measure], -row.milliseconds))
    best.rank = "best"
    others = [row for row in rows if row is not best]
    if not others:
        return
    differences = compare([output / row.run for row in (best, *others)], [measure]).differences
    for row, found in zip(others, differences, strict=True):
        row.rank = "worse" if found.significant and not found.better else "even"
        row.difference, row.adjusted_p = found.difference, found.adjusted_p


def index_folder(output: Path, settings: Settings) -> Path:
    """Return the folder of the index of some settings; points with equal index settings share it."""
    values = {name: getattr(settings, name) for name in settings_that_change("index")}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
    return output / _INDEXES_FOLDER / digest[:_DIGEST_DIGITS]


def _fill(row: SweepRow, settings: Settings, questions: QuestionFile, output: Path, options: EvaluationOptions) -> None:
    """Evaluate one point unless it is finished; fill its row."""
    run = RunFolder(output / row.run)
    index = index_folder(output, settings)
    settings = settings.model_copy(update={"index": index, "store": "faiss"})
    build(settings, embedder_to_build(settings))
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    try:
        row.passages = len(answerer.index)
        asker = InProcessAsker(answerer)
        about = {"questions": str(questions.path), **about_index(answerer.index), "settings": row.settings}
        corpus, cost = IndexCorpus(answerer.index), cost_of(answerer.index)
        target = Target(asker, corpus, asker, settings=settings, about=about, cost=cost)
        if not _is_done(run, target.fingerprint(questions.sha256(), options)):
            answerer.self_test()
            evaluate(questions, target, run.path, options)
    finally:
        answerer.index.close()
    summary = json.loads((run.path / SUMMARY).read_text(encoding="utf-8"))
    row.measures = {name: found["mean"] for name, found in summary["measures"].items()}
    row.milliseconds = summary["latency_ms"]["p50"]
    row.cost = summary.get("cost", {})


def _is_done(run: RunFolder, fingerprint: Fingerprint) -> bool:
    try:
        about = run.about()
    except QuestionFileError:
        return False
    return bool(about.get("finished")) and about["fingerprint"] == fingerprint.to_json()


def _given(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.model_fields_set}


def _beats(one: SweepRow, other: SweepRow, measure: str) -> bool:
    """Tell whether a row dominates another: no worse in quality and latency, and better in one of them."""
    quality, milliseconds = one.measures.get(measure, 0.0), one.milliseconds
    at_least = quality >= other.measures.get(measure, 0.0) and milliseconds <= other.milliseconds
    return at_least and (quality > other.measures.get(measure, 0.0) or milliseconds < other.milliseconds)


def _plain(value: str) -> str:
    """Return a value that is safe in a file name."""
    return "".join(character if character.isalnum() or character in "._-" else "_" for character in value)
