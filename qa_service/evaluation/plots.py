"""Draws the plots of the reports as SVG in the colours of the surrounding page."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import escape

from qa_service.evaluation.statistics import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qa_service.evaluation.sweep import SweepRow
    from qa_service.evaluation.trend import TrendRow

_INK, _ACCENT, _SECOND, _GRID = "#010203", "#040506", "#070809", "#0a0b0c"
_COLOURS = {_INK: "var(--ink)", _ACCENT: "var(--accent)", _SECOND: "var(--second)", _GRID: "var(--grid)"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text, not paths
    "font.family": "sans-serif",
    "font.size": 14,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}
_SIZE = (5.2, 3.4)
_RANKS = {
    "best": ("best", "*", 220, _ACCENT),
    "even": ("can't be told from it", "o", 60, _ACCENT),
    "worse": ("significantly worse", "X", 60, _SECOND),
}
"""Label, marker, size and colour of the points of a sweep by their rank."""
_LINES: tuple[dict[str, Any], ...] = (
    {"color": _ACCENT, "marker": "o"},
    {"color": _ACCENT, "marker": "s", "linestyle": "--"},
    {"color": _SECOND, "marker": "o"},
    {"color": _SECOND, "marker": "s", "linestyle": "--"},
    {"color": _INK, "marker": "^", "linestyle": ":"},
)
_IDS = re.compile(r'(\bid="|url\(#|xlink:href="#)')


def ranks(counts: Mapping[str, int]) -> str:
    """Draw the number of questions by the rank of their first relevant result."""
    names = list(counts)

    def draw(axes: "Axes") -> None:
        colours = [_SECOND if name == "none" else _ACCENT for name in names]
        bars = axes.bar(range(len(names)), [counts[name] for name in names], color=colours)
        axes.bar_label(bars, padding=2)
        axes.set_xticks(range(len(names)), ["not found" if name == "none" else name for name in names])
        axes.set(xlabel="rank of the first relevant result", ylabel="questions")
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.12)

    return _svg("ranks", draw, "Questions by the rank of their first relevant result")


def calibration(bins: Sequence[Bin]) -> str:
    """Draw a reliability diagram: confidence against accuracy."""

    def draw(axes: "Axes") -> None:
        most = max(one.n for one in bins)
        axes.plot([0, 1], [0, 1], color=_GRID, linestyle="--")
        axes.plot([one.confidence for one in bins], [one.right for one in bins], color=_ACCENT, linewidth=1)
        sizes = [20 + 180 * one.n / most for one in bins]
        axes.scatter([one.confidence for one in bins], [one.right for one in bins], s=sizes, color=_ACCENT)
        axes.set(xlim=(0, 1), ylim=(-0.03, 1.03), xlabel="confidence", ylabel="accuracy")

    return _svg("calibration", draw, "Reliability: confidence against accuracy")


def risk(shares: Mapping[str, float]) -> str:
    """Draw the risk-coverage curve: the share of wrong answers among the most confident ones."""

    def draw(axes: "Axes") -> None:
        axes.plot([float(share) for share in shares], list(shares.values()), color=_ACCENT, marker="o", markersize=3)
        axes.set(xlim=(0, 1.02), xlabel="coverage: share of questions answered", ylabel="risk: share of wrong answers")
        axes.set_ylim(bottom=0)

    return _svg("risk", draw, "Risk against coverage")


def latency(milliseconds: Sequence[float]) -> str:
    """Draw the cumulative distribution of latency."""

    def draw(axes: "Axes") -> None:
        axes.ecdf(milliseconds, color=_ACCENT, linewidth=2)
        for percentile in (50, 95):
            value = float(np.percentile(milliseconds, percentile))
            axes.axvline(value, color=_SECOND, linestyle=":", linewidth=1.2)
            axes.annotate(f"p{percentile}", (value, 0.02), xytext=(3, 0), textcoords="offset points")
        axes.set(xlabel="milliseconds", ylabel="share of questions", ylim=(0, 1.02))

    return _svg("latency", draw, "Cumulative distribution of latency")


def values(name: str, figures: Sequence[float]) -> str:
    """Draw a measure of every question, sorted."""

    def draw(axes: "Axes") -> None:
        ordered = np.sort(figures)[::-1]
        axes.fill_between(np.arange(len(ordered)), ordered, step="mid", color=_ACCENT, linewidth=0)
        axes.set(xlabel="questions, best first", ylabel=name, ylim=(0, 1.02), xlim=(0, max(1, len(ordered) - 1)))

    return _svg("values", draw, f"{name} per question, best first")


def differences(name: str, figures: Sequence[float], key: str = "differences") -> str:
    """Draw the difference in a measure of every question, sorted."""

    def draw(axes: "Axes") -> None:
        ordered = np.sort(figures)[::-1]
        places = np.arange(len(ordered))
        axes.fill_between(places, np.maximum(ordered, 0), step="mid", color=_ACCENT, linewidth=0)
        axes.fill_between(places, np.minimum(ordered, 0), step="mid", color=_SECOND, linewidth=0)
        axes.axhline(0, color=_INK, linewidth=0.8)
        axes.set(
            xlabel="questions, largest gain first", ylabel=f"difference in {name}", xlim=(0, max(1, len(ordered) - 1))
        )

    return _svg(key, draw, f"Difference in {name} per question")


def pareto(rows: Sequence["SweepRow"], name: str) -> str:
    """Draw quality against milliseconds; each point has the number of its row."""
    places = [(number, row, row.milliseconds, row.measures[name]) for number, row in enumerate(rows, 1) if row.rank]

    def draw(axes: "Axes") -> None:
        front = sorted((ms, quality) for _, row, ms, quality in places if row.front)
        axes.plot(*zip(*front, strict=True), color=_GRID, drawstyle="steps-post", label="none better and faster")
        for rank, (label, marker, size, colour) in _RANKS.items():
            chosen = [(ms, quality) for _, row, ms, quality in places if row.rank == rank]
            times, qualities = [ms for ms, _ in chosen], [quality for _, quality in chosen]
            if chosen:
                axes.scatter(times, qualities, marker=marker, s=size, color=colour, label=label, zorder=3)
        for number, _, ms, quality in places:
            axes.annotate(str(number), (ms, quality), xytext=(7, 5), textcoords="offset points")
        axes.set(xlabel="latency (p50, ms)", ylabel=name)
        axes.margins(x=0.2, y=0.15)
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize=12)

    return _svg("pareto", draw, f"{name} against latency; the points have the numbers of the rows")


def trend(rows: Sequence["TrendRow"], names: Sequence[str]) -> str:
    """Draw measures by the number of the run; a new question file breaks the lines."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - an extra

    breaks = [number for number, row in enumerate(rows) if row.other_questions]

    def draw(axes: "Axes") -> None:
        for place, name in enumerate(names):
            style = _LINES[place % len(_LINES)]
            for start, end in pairwise([0, *breaks, len(rows)]):
                figures = [row.measures.get(name, np.nan) for row in rows[start:end]]
                axes.plot(range(start + 1, end + 1), figures, label=None if start else name, **style)
        axes.set(xlabel="run, oldest first", ylabel="mean", ylim=(-0.03, 1.03))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.figure.legend(loc="outside lower center", ncols=2, fontsize=12)

    return _svg("trend", draw, f"{', '.join(names)} by run, oldest first")


def _svg(key: str, draw: Callable[["Axes"], object], label: str) -> str:
    """Return a figure as an SVG element with ids of its own, the page's colours, and a label for screen readers."""
    from matplotlib import rc_context  # noqa: PLC0415 - a second of import, and an extra
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context({**_STYLE, "svg.hashsalt": key}):
        figure = Figure(_SIZE, layout="constrained")
        axes = figure.subplots()
        draw(axes)
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _IDS.sub(rf"\g<1>{key}-", svg)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (?:width|height)="[^"]*"', "", opening)  # the page sizes it
    return opening.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1) + ">" + rest
