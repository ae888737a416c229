"""What figures share: colours and styles, panels per first stage and dataset, the legend, files.

Colours are Okabe and Ito's, which colour-blind readers tell apart; each comes with a marker or a
line style of its own, for print without colours.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restage.files import complete

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINES = ["-", "--", ":", "-."]
GREY = "#777777"  # what the models are compared with
VERDICTS = {
    "better": ("#0072b2", "^"),
    "worse": ("#d55e00", "v"),
    "equivalent": ("#009e73", "o"),
    "undecided": (GREY, "x"),
}
STYLE: Any = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.dpi": 100,
    "font.size": 8,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "restage",
}


def write_figure(
    draw: Callable[..., Figure], svg: str | Path, pdf: str | Path, *arguments: Any
) -> None:
    """Draw a figure from its arguments and save it as SVG and PDF.

    Neither file knows when it was made: the same figure gives the same bytes.
    """
    with matplotlib.rc_context(STYLE):
        figure = draw(*arguments)
        for path, date in ((svg, "Date"), (pdf, "CreationDate")):
            with complete(path) as part:
                kind = Path(path).suffix[1:]
                figure.savefig(part, format=kind, metadata={date: None}, bbox_inches="tight")


def names(column: pd.Series) -> list[str]:
    """Return the distinct names of a column in their order."""
    return list(column.unique())


def styles(series: list[str]) -> dict[str, dict[str, Any]]:
    """Return a colour for each name, then the same colours with another line style."""
    lines = (line for line in cycle(LINES) for _ in COLOURS)
    pairs = islice(zip(cycle(COLOURS), lines), len(series))
    return {
        name: {"color": colour, "linestyle": line}
        for name, (colour, line) in zip(series, pairs, strict=True)
    }


def points(axes: Axes, x: Sequence[float], rows: pd.DataFrame, i: int, **style: Any) -> None:
    """Draw values with their intervals, in the marker and colour of the i-th series."""
    marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
    axes.errorbar(x, rows["value"], bars(rows, "value"), fmt=marker, color=colour, **style)


def bars(rows: pd.DataFrame, middle: str) -> np.ndarray:
    """Return lengths of error bars below and above, shape (2, rows).

    Rounded ends may lie on the wrong side.
    """
    value = rows[middle]
    return np.stack([value - rows["ci_low"], rows["ci_high"] - value]).clip(0)


def make_panels(
    table: pd.DataFrame, width: float, height: float
) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Return a figure with a panel per first stage (rows) and dataset (columns), and these panels
    with the rows of the table for each.

    First stages of one dataset alone stand beside each other.

    Args:
        width, height: of a panel, in inches.
    """
    first_stages, datasets = names(table["first_stage"]), names(table["dataset"])
    cells = [(first_stage, dataset) for first_stage in first_stages for dataset in datasets]
    columns = len(datasets) if len(datasets) > 1 else max(len(cells), 1)
    rows = max(-(-len(cells) // columns), 1)
    figure = Figure(figsize=(width * columns, 0.5 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey="col" if rows > 1 else True, squeeze=False)
    parts = []
    for axes, (first_stage, dataset) in zip(grid.ravel(), cells, strict=False):
        part = table[(table["first_stage"] == first_stage) & (table["dataset"] == dataset)]
        axes.set_title(f"{dataset}, {first_stage}\n{part['measure'].iloc[0]}")
        parts.append((axes, part))
    return figure, parts


def with_legend(figure: Figure, x: str = "", y: str = "") -> Figure:
    """Return the figure with one legend for all panels, to their right, and names of the axes."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + 0.7 + 0.065 * max(map(len, named), default=0), height)
    figure.legend(named.values(), named.keys(), loc="outside right upper")
    figure.supxlabel(x, fontsize=8)
    figure.supylabel(y, fontsize=8)
    return figure
