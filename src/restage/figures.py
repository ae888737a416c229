"""Figures: effectiveness, differences, per-query gains, training curves, reproduction, rates.

Each function takes tables and returns a matplotlib figure; ``write_figure`` saves it as svg and
pdf, the same bytes for the same figure. Colours are Okabe and Ito's, which colour-blind readers
tell apart; each comes with a marker or a line style of its own, for print without colours.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import cycle, islice
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restage.files import complete
from restage.tables import ALONE, FIRST_STAGE, main_measures

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
LINES = ["-", "--", ":", "-."]
VERDICTS = {
    "better": ("#0072b2", "^"),
    "worse": ("#d55e00", "v"),
    "equivalent": ("#009e73", "o"),
    "undecided": ("#777777", "x"),
}
STYLE = {
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


def write_figure(draw: Callable[..., Figure], svg: str, pdf: str, *given, **settings) -> None:
    """Draw a figure and save it twice; neither file knows when it was made."""
    with matplotlib.rc_context(STYLE):
        figure = draw(*given, **settings)
        for path, date in ((svg, "Date"), (pdf, "CreationDate")):
            with complete(path) as part:
                kind = Path(path).suffix[1:]
                figure.savefig(part, format=kind, metadata={date: None}, bbox_inches="tight")


def effectiveness(table: pd.DataFrame) -> Figure:
    """Each recipe's main measure with its 95 % interval, beside the first stage alone.

    Args:
        table: as ``tables.group_table`` returns it.
    """
    shown = table.merge(main_measures(table))
    models = shown[shown["backbone"] != ALONE]
    recipes, backbones = _names(models["recipe"]), _names(models["backbone"])
    figure, panels = _panels(shown, width=1.3 + 0.25 * len(recipes), height=2.0)
    for axes, part in panels:
        alone = part[part["backbone"] == ALONE].iloc[0]
        axes.axhspan(alone["ci_low"], alone["ci_high"], color="#ededed", linewidth=0)
        axes.axhline(alone["value"], color="#777777", linewidth=1, label="first stage alone")
        for i, backbone in enumerate(backbones):
            points = part[part["backbone"] == backbone].set_index("recipe")
            points = points.reindex([r for r in recipes if r in points.index])
            shift = (i - (len(backbones) - 1) / 2) * 0.6 / max(len(backbones), 1)
            places = [recipes.index(recipe) + shift for recipe in points.index]
            _values(axes, places, points, i, linewidth=1, label=backbone)
        axes.set_xticks(range(len(recipes)), recipes, rotation=90 if len(recipes) > 4 else 30)
        axes.grid(axis="x", visible=False)
    return _with_legend(figure)


def differences(equivalence: pd.DataFrame, against: str, margin: float) -> Figure:
    """Each model's difference to the recipe ``against``, with intervals and the equivalence band.

    Args:
        equivalence: as ``tables.equivalence_table`` returns it.
    """
    shown = equivalence[equivalence["against"] == against].merge(main_measures(equivalence))
    shown = shown.assign(model=shown["backbone"] + " " + shown["recipe"])
    models = _names(shown["model"])
    figure, panels = _panels(shown, width=2.4, height=0.7 + 0.18 * len(models))
    for axes, part in panels:
        axes.axvspan(-margin, margin, color="#dcefe8", linewidth=0, label=f"within ±{margin:g}")
        axes.axvline(0, color="#777777", linewidth=1)
        for verdict, (colour, marker) in VERDICTS.items():
            points = part[part["verdict"] == verdict]
            axes.errorbar(
                points["difference"],
                [models.index(model) for model in points["model"]],
                xerr=_bars(points, points["difference"]),
                fmt=marker,
                color=colour,
                linewidth=1,
                label=verdict,
            )
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    return _with_legend(figure, x=f"difference to {against}")


def gains_and_losses(values: pd.DataFrame, against: str) -> Figure:
    """Each model's differences to the recipe ``against``, query by query, from loss to gain.

    Args:
        values: as ``tables.load`` returns them.
    """
    shown = values[values["backbone"] != ALONE].merge(main_measures(values))
    cell = ["first_stage", "dataset", "measure", "backbone"]
    means = shown.groupby([*cell, "query_id", "recipe"], sort=False)["value"].mean()
    wide = means.unstack("recipe").reindex(columns=_names(shown["recipe"]))
    if against not in wide:
        return Figure(figsize=(1, 1))
    gains = wide.sub(wide[against], axis=0).drop(columns=against)
    long = gains.stack().rename("gain").dropna().reset_index()
    long["model"] = long["backbone"] + " " + long["recipe"]
    figure, panels = _panels(long, width=2.4, height=2.0)
    styles = _styles(_names(long["model"]))
    for axes, part in panels:
        axes.axhline(0, color="#777777", linewidth=1)
        for model, line in part.groupby("model", sort=False):
            share = (np.arange(len(line)) + 0.5) / len(line) * 100
            gain = np.sort(line["gain"])
            axes.plot(share, gain, **styles[model], linewidth=1.2, label=model)
        axes.set_xlim(0, 100)
    return _with_legend(figure, x="queries, from loss to gain (%)", y=f"difference to {against}")


def training_curves(curves: pd.DataFrame) -> Figure:
    """Validation loss of each loss's models, and the validation nDCG@10 of all, over the steps.

    Args:
        curves: training.csv of each model with its backbone, recipe, seed and last loss.
    """
    losses, backbones = _names(curves["last_loss"]), _names(curves["backbone"])
    columns = [*losses, "nDCG@10"]
    figure = Figure(figsize=(2.4 * len(columns), 0.5 + 1.9 * len(backbones)), layout="constrained")
    grid = figure.subplots(len(backbones), len(columns), sharex="col", squeeze=False)
    styles = _styles(_names(curves["recipe"]))
    for row, backbone in zip(grid, backbones, strict=True):
        mine = curves[curves["backbone"] == backbone]
        for axes, column in zip(row, columns, strict=True):
            last = column == "nDCG@10"
            part = mine if last else mine[mine["last_loss"] == column]
            for (recipe, seed), curve in part.groupby(["recipe", "seed"], sort=False):
                label = recipe if seed == curves["seed"].iloc[0] else None
                y = curve["valid_nDCG@10" if last else "valid_loss"]
                axes.plot(curve["step"], y, **styles[recipe], label=label, linewidth=1.2)
            axes.set_title(f"{backbone}\n{'nDCG@10' if last else column}")
    return _with_legend(figure, x="optimiser steps of the last stage", y="on the validation lists")


def reproduction(table: pd.DataFrame) -> Figure:
    """Published values against ours with their 95 % intervals, one panel per measure.

    Args:
        table: as ``tables.reproduction_table`` returns it.
    """
    names = table["measure"].str.replace(r"\(rel=\d+\)", "", regex=True)
    measures, first_stages = _names(names), _names(table["first_stage"])
    columns = max(min(3, len(measures)), 1)
    rows = max(-(-len(measures) // columns), 1)
    figure = Figure(figsize=(2.4 * columns, 0.4 + 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, measure in zip(panels, measures, strict=False):
        part = table[names == measure]
        ends = [
            part[["published", "ci_low"]].min().min(),
            part[["published", "ci_high"]].max().max(),
        ]
        axes.plot(ends, ends, color="#777777", linewidth=1)
        for i, first_stage in enumerate(first_stages):
            points = part[part["first_stage"] == first_stage]
            _values(axes, points["published"], points, i, elinewidth=0.5, label=first_stage)
        axes.set_title(measure)
    for axes in panels[len(measures) :]:
        axes.remove()
    return _with_legend(figure, x="published", y="ours")


def learning_rates(table: pd.DataFrame) -> Figure:
    """What each rate of the last stage makes of the model it started from.

    Dashed lines are the models before that stage, bands the 95 % interval of the difference to
    them, markers the verdict on it.

    Args:
        table: as ``tables.learning_rate_table`` returns it.
    """
    shown = table.merge(main_measures(table))
    shown = shown.assign(order=shown["objective"] + " after " + shown["previous"])
    orders, backbones = _names(shown["order"]), _names(shown["backbone"])
    figure, panels = _panels(shown, width=3.2, height=2.4)
    for axes, part in panels:
        axes.set_xscale("log")
        for (order, backbone), line in part.groupby(["order", "backbone"], sort=False):
            colour = COLOURS[orders.index(order) % len(COLOURS)]
            before = (line["value"] - line["difference"]).iloc[0]
            name = f"{backbone} {order}" if len(backbones) > 1 else order
            style = LINES[::2][backbones.index(backbone) % 2]
            rate = line["learning_rate"]
            axes.axhline(before, color=colour, linewidth=1, linestyle="--")
            axes.fill_between(
                rate,
                before + line["ci_low"],
                before + line["ci_high"],
                color=colour,
                alpha=0.12,
                lw=0,
            )
            axes.plot(rate, line["value"], style, color=colour, linewidth=1.2, label=name)
            for verdict, (_, marker) in VERDICTS.items():
                points = line[line["verdict"] == verdict]
                axes.plot(points["learning_rate"], points["value"], marker, color=colour)
    for verdict, (_, marker) in VERDICTS.items():
        figure.axes[0].plot([], [], marker, color="#777777", label=verdict)
    return _with_legend(figure, x="learning rate of the second stage")


# --- what they share ------------------------------------------------------------------------------


def _names(column: pd.Series) -> list[str]:
    return list(column.unique())


def _styles(names: list[str]) -> Mapping[str, dict]:
    """A colour for each name, then the same colours with another line style."""
    lines = (line for line in cycle(LINES) for _ in COLOURS)
    styles = islice(zip(cycle(COLOURS), lines), len(names))
    return {
        name: {"color": colour, "linestyle": line}
        for name, (colour, line) in zip(names, styles, strict=True)
    }


def _values(axes: Axes, x: Iterable[float], points: pd.DataFrame, i: int, **style) -> None:
    """Values with their intervals, in the marker and colour of the i-th series."""
    marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
    bars = _bars(points, points["value"])
    axes.errorbar(x, points["value"], bars, fmt=marker, color=colour, **style)


def _bars(points: pd.DataFrame, middle: pd.Series) -> np.ndarray:
    """Lengths of error bars below and above; rounded ends may lie on the wrong side."""
    return np.stack([middle - points["ci_low"], points["ci_high"] - middle]).clip(0)


def _panels(
    table: pd.DataFrame, width: float, height: float
) -> tuple[Figure, Iterable[tuple[Axes, pd.DataFrame]]]:
    """A panel per first stage (rows) and dataset (columns), with the rows of the table for it.

    First stages of one dataset alone stand beside each other.
    """
    first_stages, datasets = _names(table[FIRST_STAGE]), _names(table["dataset"])
    cells = [(first_stage, dataset) for first_stage in first_stages for dataset in datasets]
    columns = len(datasets) if len(datasets) > 1 else max(len(cells), 1)
    rows = max(-(-len(cells) // columns), 1)
    figure = Figure(figsize=(width * columns, 0.5 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey="col" if rows > 1 else True, squeeze=False)
    panels = []
    for axes, (first_stage, dataset) in zip(grid.ravel(), cells, strict=False):
        part = table[(table[FIRST_STAGE] == first_stage) & (table["dataset"] == dataset)]
        axes.set_title(f"{dataset}, {first_stage}\n{part['measure'].iloc[0]}")
        panels.append((axes, part))
    return figure, panels


def _with_legend(figure: Figure, x: str = "", y: str = "") -> Figure:
    """One legend for all panels, to their right, and the names of the axes."""
    named = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + 0.7 + 0.065 * max(map(len, named), default=0), height)
    figure.legend(named.values(), named.keys(), loc="outside right upper")
    figure.supxlabel(x, fontsize=8)
    figure.supylabel(y, fontsize=8)
    return figure
