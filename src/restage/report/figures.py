"""Figures: effectiveness, differences, per-query gains, training curves, reproduction, rates.

Each function takes tables and returns a matplotlib figure, which ``panels.write_figure`` saves.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restage.evaluate.reproduction import without_level
from restage.evaluate.tables import main_measures
from restage.evaluate.values import ALONE
from restage.report.panels import (
    COLOURS,
    GREY,
    LINES,
    VERDICTS,
    bars,
    make_panels,
    names,
    points,
    styles,
    with_legend,
)


def effectiveness(table: pd.DataFrame) -> Figure:
    """Each recipe's main measure with its 95 % interval, beside the first stage alone.

    Args:
        table: as ``tables.group_table`` returns it.
    """
    shown = table.merge(main_measures(table))
    models = shown[shown["backbone"] != ALONE]
    recipes, backbones = names(models["recipe"]), names(models["backbone"])
    figure, panels = make_panels(shown, width=1.3 + 0.25 * len(recipes), height=2.0)
    for axes, part in panels:
        alone = part[part["backbone"] == ALONE].iloc[0]
        axes.axhspan(alone["ci_low"], alone["ci_high"], color="#ededed", linewidth=0)
        axes.axhline(alone["value"], color=GREY, linewidth=1, label="first stage alone")
        for i, backbone in enumerate(backbones):
            rows = part[part["backbone"] == backbone].set_index("recipe")
            rows = rows.reindex([recipe for recipe in recipes if recipe in rows.index])
            shift = (i - (len(backbones) - 1) / 2) * 0.6 / max(len(backbones), 1)
            places = [recipes.index(recipe) + shift for recipe in rows.index]
            points(axes, places, rows, i, linewidth=1, label=backbone)
        axes.set_xticks(range(len(recipes)), recipes, rotation=90 if len(recipes) > 4 else 30)
        axes.grid(axis="x", visible=False)
    return with_legend(figure)


def differences(equivalence: pd.DataFrame, against: str, margin: float) -> Figure:
    """Each model's difference to the recipe ``against``, with intervals and the equivalence band.

    Args:
        equivalence: as ``comparisons.equivalence_table`` returns it.
    """
    shown = equivalence[equivalence["against"] == against].merge(main_measures(equivalence))
    shown = shown.assign(model=shown["backbone"] + " " + shown["recipe"])
    models = names(shown["model"])
    figure, panels = make_panels(shown, width=2.4, height=0.7 + 0.18 * len(models))
    for axes, part in panels:
        axes.axvspan(-margin, margin, color="#dcefe8", linewidth=0, label=f"within ±{margin:g}")
        axes.axvline(0, color=GREY, linewidth=1)
        for verdict, (colour, marker) in VERDICTS.items():
            rows = part[part["verdict"] == verdict]
            places = [models.index(model) for model in rows["model"]]
            style: Any = {"fmt": marker, "color": colour, "linewidth": 1, "label": verdict}
            axes.errorbar(rows["difference"], places, xerr=bars(rows, "difference"), **style)
        axes.set_yticks(range(len(models)), models)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
    return with_legend(figure, x=f"difference to {against}")


def gains_and_losses(values: pd.DataFrame, against: str) -> Figure:
    """Each model's differences to the recipe ``against``, query by query, from loss to gain.

    Args:
        values: as ``values.load`` returns them.
    """
    shown = values[values["backbone"] != ALONE].merge(main_measures(values))
    if against not in names(shown["recipe"]):
        return Figure(figsize=(1, 1))
    gains = _gains(shown, against)
    figure, panels = make_panels(gains, width=2.4, height=2.0)
    style = styles(names(gains["model"]))
    for axes, part in panels:
        axes.axhline(0, color=GREY, linewidth=1)
        for model, line in part.groupby("model", sort=False):
            share = (np.arange(len(line)) + 0.5) / len(line) * 100
            gain = np.sort(line["gain"])
            axes.plot(share, gain, **style[str(model)], linewidth=1.2, label=model)
        axes.set_xlim(0, 100)
    return with_legend(figure, x="queries, from loss to gain (%)", y=f"difference to {against}")


def _gains(values: pd.DataFrame, against: str) -> pd.DataFrame:
    """Each model's mean over seeds minus the recipe ``against``'s, per cell and query."""
    query = ["first_stage", "dataset", "measure", "backbone", "query_id"]
    means = values.groupby([*query, "recipe"], sort=False)["value"].mean()
    wide = means.unstack("recipe").reindex(columns=names(values["recipe"]))
    gains = wide.sub(wide[against], axis=0).drop(columns=against)
    long = gains.stack().rename("gain").dropna().reset_index()
    return long.assign(model=long["backbone"] + " " + long["recipe"])


def training_curves(curves: pd.DataFrame) -> Figure:
    """Validation loss of each loss's models, and the validation nDCG@10 of all, over the steps.

    Args:
        curves: training.csv of each model with its backbone, recipe, seed and last_loss.
    """
    losses, backbones = names(curves["last_loss"]), names(curves["backbone"])
    columns = [*losses, "nDCG@10"]
    figure = Figure(figsize=(2.4 * len(columns), 0.5 + 1.9 * len(backbones)), layout="constrained")
    grid = figure.subplots(len(backbones), len(columns), sharex="col", squeeze=False)
    style = styles(names(curves["recipe"]))
    for row, backbone in zip(grid, backbones, strict=True):
        mine = curves[curves["backbone"] == backbone]
        for axes, column in zip(row, columns, strict=True):
            last = column == "nDCG@10"
            part = mine if last else mine[mine["last_loss"] == column]
            for (recipe, seed), curve in part.groupby(["recipe", "seed"], sort=False):
                label = recipe if seed == curves["seed"].iloc[0] else None
                y = curve["valid_nDCG@10" if last else "valid_loss"]
                axes.plot(curve["step"], y, **style[recipe], label=label, linewidth=1.2)
            axes.set_title(f"{backbone}\n{column}")
    return with_legend(figure, x="optimiser steps of the last stage", y="on the validation lists")


def reproduction(table: pd.DataFrame) -> Figure:
    """Published values against ours with their 95 % intervals, one panel per measure.

    Args:
        table: as ``reproduction.reproduction_table`` returns it.
    """
    published = without_level(table["measure"])
    measures, first_stages = names(published), names(table["first_stage"])
    columns = max(min(3, len(measures)), 1)
    rows = max(-(-len(measures) // columns), 1)
    figure = Figure(figsize=(2.4 * columns, 0.4 + 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, measure in zip(panels, measures, strict=False):
        part = table[published == measure]
        low, high = part[["published", "ci_low"]], part[["published", "ci_high"]]
        ends = [low.min().min(), high.max().max()]
        axes.plot(ends, ends, color=GREY, linewidth=1)
        for i, first_stage in enumerate(first_stages):
            cells = part[part["first_stage"] == first_stage]
            points(axes, cells["published"], cells, i, elinewidth=0.5, label=first_stage)
        axes.set_title(measure)
    for axes in panels[len(measures) :]:
        axes.remove()
    return with_legend(figure, x="published", y="ours")


def learning_rates(table: pd.DataFrame) -> Figure:
    """What each rate of the last stage makes of the model it started from.

    Dashed lines are the models before that stage, bands the 95 % interval of the difference to
    them, markers the verdict on it.

    Args:
        table: as ``comparisons.learning_rate_table`` returns it.
    """
    shown = table.merge(main_measures(table))
    shown = shown.assign(order=shown["objective"] + " after " + shown["previous"])
    orders, backbones = names(shown["order"]), names(shown["backbone"])
    figure, panels = make_panels(shown, width=3.2, height=2.4)
    for axes, part in panels:
        axes.set_xscale("log")
        for (order, backbone), line in part.groupby(["order", "backbone"], sort=False):
            colour = COLOURS[orders.index(order) % len(COLOURS)]
            style = LINES[::2][backbones.index(backbone) % 2]
            name = f"{backbone} {order}" if len(backbones) > 1 else order
            _rates(axes, line, colour, style, name)
    for verdict, (_, marker) in VERDICTS.items():
        figure.axes[0].plot([], [], marker, color=GREY, label=verdict)
    return with_legend(figure, x="learning rate of the second stage")


def _rates(axes: Axes, line: pd.DataFrame, colour: str, style: str, name: str) -> None:
    """The rates of one order of objectives and one backbone."""
    before = (line["value"] - line["difference"]).iloc[0]
    low, high, rate = before + line["ci_low"], before + line["ci_high"], line["learning_rate"]
    axes.axhline(before, color=colour, linewidth=1, linestyle="--")
    axes.fill_between(rate, low, high, color=colour, alpha=0.12, lw=0)
    axes.plot(rate, line["value"], style, color=colour, linewidth=1.2, label=name)
    for verdict, (_, marker) in VERDICTS.items():
        rows = line[line["verdict"] == verdict]
        axes.plot(rows["learning_rate"], rows["value"], marker, color=colour)
