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
from qa_service.evaluation.measures import in_order
from qa_service.evaluation.run import RunFolder
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
    wins: int
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
    unpaired: dict[str, int] = field(default_factory=dict)
    """Per run, the number of questions that only this run or only the first one has."""
    of_questions: dict[str, list[float]] = field(default_factory=dict)
    """Per run, the differences in the main measure; for the plot."""

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as it is written to a file."""
        fields = asdict(self)
        del fields["of_questions"]
        return fields


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
    significant = adjusted_p < LEVEL
    return Difference(
        run=run.name,
        measure=paired.measure,
        n=len(paired.ids),
        before=before,
        after=before + found.mean,
        difference=found,
        effect=effect_size(differences),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        ties=int((differences == 0).sum()),
        p=p,
        adjusted_p=adjusted_p,
        significant=significant,
        verdict=_verdict(first.name, run.name, paired.measure, found, adjusted_p, significant=significant),
    )


def _verdict(first: str, run: str, name: str, found: Estimate, p: float, *, significant: bool) -> str:
    figures = (
        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}], p {'<' if p < 0.001 else '='} {max(p, 0.001):.3f}"  # noqa: PLR2004 - decimals shown
    )
    if significant:
        return f"{run} is {'better' if found.mean > 0 else 'worse'} than {first} in {name}: {figures}"
    if found.low == found.high == 0.0:
        return f"{run} and {first} are equal in {name}"
    few = f"; only {found.n} questions" if found.n < _MIN_PAIRS else ""
    return f"not significant: {run} and {first} do not differ significantly in {name}: {figures}{few}"


@dataclass(frozen=True, slots=True)
class _ComparedRun:
    """The part of a run that is compared: the text and the measures of each question."""

    name: str
    about: dict[str, Any]
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
        return cls(name, about["about"], values, questions, tuple(in_order(measures)))


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each folder: its own, or its full path if others have the same name."""
    own = [path.resolve().name for path in paths]
    return [name if own.count(name) == 1 else str(path) for name, path in zip(own, paths, strict=True)]


@dataclass(frozen=True, slots=True)
class Floor:
    """A measure and its threshold: an evaluation with a lower mean fails."""

    measure: str
    least: float

    @classmethod
    def parse(cls, text: str) -> "Floor":
        """Parse a threshold such as ``nDCG@10=0.80``. Raises :class:`SettingsError`."""
        name, sign, value = text.rpartition("=")
        try:
            least = float(value)
        except ValueError:
            sign = ""
        if not sign or not name.strip() or not -1 <= least <= 1:
            raise SettingsError(f"invalid threshold {text!r}; write it as nDCG@10=0.80")
        return cls(name.strip(), least)


def failures(means: dict[str, float], floors: Sequence[Floor], comparison: Comparison | None) -> list[str]:
    """Return the reasons why an evaluation fails: means below their thresholds, measures worse than the baseline's.

    Raises :class:`SettingsError` for a threshold of a measure that was not computed.
    """
    reasons = []
    for floor in floors:
        if floor.measure not in means:
            raise SettingsError(
                f"the measure {floor.measure!r} was not computed; computed: {', '.join(means) or 'none'}"
            )
        if means[floor.measure] < floor.least:
            reasons.append(f"{floor.measure} is {means[floor.measure]:.4f}, below {floor.least:g}")
    if comparison is not None:
        reasons += [one.verdict for one in comparison.differences if one.significant and one.difference.mean < 0]
    return reasons
