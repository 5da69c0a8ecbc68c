"""Compares runs of the same questions, question by question.

Differences are tested by a paired randomisation test; p-values are adjusted by Holm's method for the number of tests
in a comparison.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qa_service.datatypes import Float64Array
from qa_service.errors import QuestionFileError, SettingsError
from qa_service.evaluation.measures import LOWER_IS_BETTER, in_order
from qa_service.evaluation.run import RunFolder, evaluated_settings
from qa_service.evaluation.statistics import LEVEL, Estimate, effect_size, estimate, holm, randomisation_p

_MAX_CHANGED_QUESTIONS = 20
_MIN_PAIRS = 10
"""Number of pairs below which a verdict warns that they are few."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one run from the first one in one measure, over the questions that both have it for."""

    run: str
    measure: str
    n: int
    before: float
    after: float
    difference: Estimate
    """Mean of the differences, with its 95 % bootstrap interval."""
    effect: float
    """Cohen's d of the paired differences."""
    better: bool
    """Whether the run's mean is better: higher, or lower in a measure of what went wrong."""
    wins: int
    """Number of questions for which this run is better."""
    losses: int
    ties: int
    p: float
    adjusted_p: float
    significant: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class ChangedQuestion:
    """A question whose main measure changed."""

    run: str
    id: str
    question: str
    before: float
    after: float


@dataclass(slots=True)
class Comparison:
    """The result of a comparison of runs with the first one."""

    runs: list[str]
    abouts: list[dict[str, Any]]
    measure: str
    """The main measure, by which the changed questions are ordered."""
    differences: list[Difference] = field(default_factory=list)
    moved: list[ChangedQuestion] = field(default_factory=list)
    settings: dict[str, list[Any]] = field(default_factory=dict)
    """The settings that differ, with the value of each run; ``None`` if it is not recorded."""
    unrecorded: dict[str, list[str]] = field(default_factory=dict)
    """Per run, the settings that only others recorded: earlier versions wrote fewer, a service over HTTP tells none."""
    unpaired: dict[str, int] = field(default_factory=dict)
    """Per run, the number of questions that only this run or only the first one has."""
    of_questions: dict[str, list[float]] = field(default_factory=dict)
    """Per run, the differences in the main measure; for the plot."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as it is written to a file."""
        fields = asdict(self)
        del fields["of_questions"]
        return fields


def setting_text(value: Any) -> str:
    """Return the value of a setting as it is shown."""
    if value is None:
        return "not recorded"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value) or "none"


def compare(paths: Sequence[Path], measures: Sequence[str] = ()) -> Comparison:
    """Compare runs with the first one.

    Raises :class:`QuestionFileError` if a folder holds no finished evaluation, or if runs share no question.
    """
    runs = [_ComparedRun.of(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    first, others = runs[0], runs[1:]
    if unknown := [name for name in measures if name not in first.measures]:
        raise SettingsError(f"{first.name} has no measure {unknown[0]!r}; choose from {', '.join(first.measures)}")
    wanted = [name for name in first.measures if name in measures] if measures else list(first.measures)
    if not wanted:
        raise QuestionFileError(f"{paths[0]} has no question with a measure; evaluate questions with gold")
    comparison = Comparison([run.name for run in runs], [run.about for run in runs], wanted[0])
    comparison.settings = differing([run.settings for run in runs])
    names = dict.fromkeys(name for run in runs for name in run.settings)
    missing = {run.name: [name for name in names if name not in run.settings] for run in runs}
    comparison.unrecorded = {name: absent for name, absent in missing.items() if absent}
    comparison.unpaired = {run.name: len(first.values.keys() ^ run.values.keys()) for run in others}
    found = [paired for run in others for paired in _paired(first, run, wanted)]
    p_values = [randomisation_p(paired.differences) for paired in found]
    for paired, p, adjusted_p in zip(found, p_values, holm(p_values), strict=True):
        comparison.differences.append(_difference(paired, p, adjusted_p))
        if paired.measure == comparison.measure:
            comparison.of_questions[paired.run.name] = paired.differences.tolist()
            comparison.moved += _most_changed(paired)
    return comparison


@dataclass(frozen=True, slots=True)
class _PairedValues:
    """One measure of two runs, over the questions that both have it for."""

    first: "_ComparedRun"
    run: "_ComparedRun"
    measure: str
    ids: list[str]
    differences: Float64Array


def _paired(first: "_ComparedRun", run: "_ComparedRun", measures: Sequence[str]) -> Iterator[_PairedValues]:
    """Yield each measure that both runs have; raise :class:`QuestionFileError` if they ask different questions."""
    common = [key for key in first.values if key in run.values]
    changed = [key for key in common if first.questions[key] != run.questions[key]]
    if changed or not common:
        reason = f"have different questions with the id {changed[0]!r}" if changed else "have no question in common"
        raise QuestionFileError(f"{first.name} and {run.name} {reason}; compare runs of one question file")
    for measure in measures:
        ids = [key for key in common if measure in first.values[key] and measure in run.values[key]]
        if ids:
            differences = np.array([run.values[key][measure] - first.values[key][measure] for key in ids])
            yield _PairedValues(first, run, measure, ids, differences)


def _most_changed(paired: _PairedValues) -> list[ChangedQuestion]:
    first, run, ids = paired.first, paired.run, paired.ids
    order = sorted(range(len(ids)), key=lambda place: (-abs(paired.differences[place]), ids[place]))
    return [
        ChangedQuestion(
            run.name,
            ids[place],
            first.questions[ids[place]],
            first.values[ids[place]][paired.measure],
            run.values[ids[place]][paired.measure],
        )
        for place in order[:_MAX_CHANGED_QUESTIONS]
        if paired.differences[place]
    ]


def _difference(paired: _PairedValues, p: float, adjusted_p: float) -> Difference:
    first, run, differences = paired.first, paired.run, paired.differences
    before = float(np.mean([first.values[key][paired.measure] for key in paired.ids]))
    found = estimate(differences)
    gains = -differences if paired.measure in LOWER_IS_BETTER else differences
    better = float(gains.mean()) > 0
    significant = adjusted_p < LEVEL
    return Difference(
        run=run.name,
        measure=paired.measure,
        n=len(paired.ids),
        before=before,
        after=before + found.mean,
        difference=found,
        effect=effect_size(differences),
        better=better,
        wins=int((gains > 0).sum()),
        losses=int((gains < 0).sum()),
        ties=int((differences == 0).sum()),
        p=p,
        adjusted_p=adjusted_p,
        significant=significant,
        verdict=_verdict(paired, found, adjusted_p, better=better, significant=significant),
    )


def _verdict(paired: _PairedValues, found: Estimate, p: float, *, better: bool, significant: bool) -> str:
    first, run, name = paired.first.name, paired.run.name, paired.measure
    figures = (
        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}], p {'<' if p < 0.001 else '='} {max(p, 0.001):.3f}"  # noqa: PLR2004 - decimals shown
    )
    if significant:
        return f"{run} is {'better' if better else 'worse'} than {first} in {name}: {figures}"
    if found.low == found.high == 0.0:
        return f"{run} and {first} are equal in {name}"
    few = f"; only {found.n} questions" if found.n < _MIN_PAIRS else ""
    return f"not significant: {run} and {first} do not differ significantly in {name}: {figures}{few}"


@dataclass(frozen=True, slots=True)
class _ComparedRun:
    """The part of a run that is compared: the text and the measures of each question."""

    name: str
    about: dict[str, Any]
    settings: dict[str, Any]
    values: dict[str, dict[str, float]]
    questions: dict[str, str]
    measures: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, name: str) -> "_ComparedRun":
        folder = RunFolder(path)
        about = folder.about()
        if not about.get("finished"):
            raise QuestionFileError(f"the evaluation in {path} is not finished; run it again to resume it")
        values: dict[str, dict[str, float]] = {}
        questions: dict[str, str] = {}
        measures: dict[str, None] = {}
        for result in folder.results():
            values[result["id"]] = result["measures"]
            questions[result["id"]] = result["question"]
            measures |= dict.fromkeys(result["measures"])
        return cls(name, about["about"], evaluated_settings(about), values, questions, tuple(in_order(measures)))


def differing(settings: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that differ among the runs that recorded them, with all values."""
    values = {name: [one.get(name) for one in settings] for one in settings for name in one}
    recorded = {name: [value for value in found if value is not None] for name, found in values.items()}
    return {name: values[name] for name, found in recorded.items() if any(value != found[0] for value in found[1:])}


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each folder: its own, or its full path if others have the same name."""
    own = [path.resolve().name for path in paths]
    return [name if own.count(name) == 1 else str(path) for name, path in zip(own, paths, strict=True)]


@dataclass(frozen=True, slots=True)
class Limit:
    """A measure and the limit of its mean: an evaluation with a lower mean fails, or with a higher one if ``most``."""

    measure: str
    value: float
    most: bool = False

    @classmethod
    def parse(cls, text: str, *, most: bool = False) -> "Limit":
        """Parse a limit such as ``nDCG@10=0.80``. Raises :class:`SettingsError`."""
        name, sign, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            sign = ""
        if not sign or not name.strip() or not -1 <= value <= 1:
            raise SettingsError(
                f"invalid threshold {text!r}; write it as {'wrongly-answered' if most else 'nDCG@10'}=0.80"
            )
        return cls(name.strip(), value, most)

    def failure(self, mean: float) -> str | None:
        """Return why a mean fails, or ``None``."""
        if (mean > self.value) if self.most else (mean < self.value):
            return f"{self.measure} is {mean:.4f}, {'above' if self.most else 'below'} {self.value:g}"
        return None


def failures(means: dict[str, float], limits: Sequence[Limit], comparison: Comparison | None) -> list[str]:
    """Return the reasons why an evaluation fails: means beyond their limits, measures worse than the baseline's.

    Raises :class:`SettingsError` for a limit of a measure that was not computed.
    """
    reasons = []
    for limit in limits:
        if limit.measure not in means:
            raise SettingsError(
                f"the measure {limit.measure!r} was not computed; computed: {', '.join(means) or 'none'}"
            )
        if failure := limit.failure(means[limit.measure]):
            reasons.append(failure)
    if comparison is not None:
        reasons += [one.verdict for one in comparison.differences if one.significant and not one.better]
    return reasons
