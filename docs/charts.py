"""Draws the charts of docs/benchmarks.md from its first table; docs/generate.py writes them."""

import functools
import io
import re
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

PAGE = Path(__file__).parent / "benchmarks.md"
OURS = "qa_service"
OTHERS_OF_OURS = re.compile("cache|reader off")
"""In the names of rows that no chart shows."""
COLUMNS = {
    "speed": ("32 clients, answers/s", "New questions of 32 clients: answers a second", "{:.0f}"),
    "hits": ("hit@1", "The first result overlaps the expected span (hit@1)", "{:.3f}"),
}
"""Charts by name: the column, the title, and the form of a number."""
SCHEMES = {
    "light": {"ink": "#1b1f24", "ours": "#0969da", "others": "#8c959f"},
    "dark": {"ink": "#e6edf3", "ours": "#58a6ff", "others": "#6e7681"},
}
"""The colours of the evaluation report, on the page's own background."""


def figures(column: str) -> dict[str, float]:
    """Return the numbers of a column by system, best first; of ours, those of new questions and default settings."""
    section = PAGE.read_text(encoding="utf-8").split("## Compared with alternatives", 1)[1]
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in _first_table(section)]
    place = rows[0].index(column)
    shown = [row for row in rows[2:] if not OTHERS_OF_OURS.search(row[0])]
    found = {re.sub(r", new questions| \(\d\)", "", row[0]): float(row[place]) for row in shown}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _first_table(text: str) -> list[str]:
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    if table is None:
        raise ValueError(f"{PAGE.name} has no table of alternatives")
    return table[0].splitlines()


def draw(name: str, scheme: str) -> str:
    """Return a chart of horizontal bars as SVG, the same for the same table."""
    column, title, form = COLUMNS[name]
    values, colours = figures(column), SCHEMES[scheme]
    style = {"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif", "text.color": colours["ink"]}
    with rc_context(style):
        figure = Figure((7.2, 3.2), layout="constrained")
        axes = figure.subplots()
        shades = [colours["ours" if system.startswith(OURS) else "others"] for system in values]
        bars = axes.barh(list(values), list(values.values()), color=shades)
        axes.bar_label(bars, [form.format(value).removeprefix("0") for value in values.values()], padding=4)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xticks([])
        axes.tick_params(left=False, labelcolor=colours["ink"])
        axes.spines[:].set_visible(False)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return file.getvalue()


CHARTS = {
    f"pictures/{name}-{scheme}.svg": functools.partial(draw, name, scheme) for name in COLUMNS for scheme in SCHEMES
}
