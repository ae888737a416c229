"""Figures: drawn from the tables they show, readable, the same bytes each time."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from restage.evaluate.comparisons import equivalence_table, learning_rate_table
from restage.evaluate.reproduction import reproduction_table
from restage.evaluate.tables import group_table
from restage.report import figures
from restage.report.panels import write_figure
from tests.evaluate.made_up import ORDER, STATISTICS, make

RECIPES = ["CL", "KD", "CL-KD", "CL-KD8"]
GRID = ORDER._replace(models=tuple((b, r) for b in ("electra", "bert") for r in RECIPES))
SWEEP = pd.DataFrame(
    [("CL", "KD", 1e-5, "CL-KD"), ("CL", "KD", 1e-8, "CL-KD8")],
    columns=["previous", "objective", "learning_rate", "recipe"],
)
PUBLISHED = pd.DataFrame(
    [("electra", "CL", "qld", "dl19", 0.4, 0.3), ("-", "-", "bm_25", "dl19", 0.3, 0.2)],
    columns=["backbone", "recipe", "first_stage", "dataset", "nDCG@10", "AP"],
)
CURVES = ["step", "valid_loss", "valid_nDCG@10", "backbone", "recipe", "seed", "last_loss"]


@pytest.fixture(scope="module")
def made():
    values = make(GRID, gain=0.1)
    group = group_table(values, GRID, STATISTICS, seed=1)
    equivalence = equivalence_table(values, GRID, STATISTICS, seed=1)
    return {
        "values": values,
        "group": group,
        "equivalence": equivalence,
        "rates": learning_rate_table(group, equivalence, SWEEP),
        "curves": pd.DataFrame(
            [
                (step, 2 / step, step / 9, backbone, recipe, 42, recipe[-2:])
                for backbone in ("electra", "bert")
                for recipe in ("CL", "CL-KD")
                for step in (2, 4, 6)
            ],
            columns=CURVES,
        ),
        "reproduction": reproduction_table(group, PUBLISHED),
    }


def draw(made, name):
    return {
        "effectiveness": lambda: figures.effectiveness(made["group"]),
        "differences": lambda: figures.differences(made["equivalence"], "CL", 0.02),
        "queries": lambda: figures.gains_and_losses(made["values"], "CL"),
        "training": lambda: figures.training_curves(made["curves"]),
        "rates": lambda: figures.learning_rates(made["rates"]),
        "reproduction": lambda: figures.reproduction(made["reproduction"]),
    }[name]()


NAMES = ["effectiveness", "differences", "queries", "training", "rates", "reproduction"]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_the_same_bytes_twice(made, tmp_path, name):
    paths = [tmp_path / file for file in ("1.svg", "1.pdf", "2.svg", "2.pdf")]
    for svg, pdf in (paths[:2], paths[2:]):
        write_figure(draw, str(svg), str(pdf), made, name)
    svg, pdf, *again = [path.read_bytes() for path in paths]
    assert [svg, pdf] == again
    assert svg.startswith(b"<?xml") and pdf.startswith(b"%PDF") and len(svg) > 5000
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_effectiveness_shows_each_value_and_its_interval(made):
    figure = draw(made, "effectiveness")
    assert len(figure.axes) == 2 * 2  # first stages x datasets, one measure of each
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["dl19, qld\nnDCG@10", "dl&20, qld\nAP(rel=2)"]
    shown = made["group"]
    cell = (shown["first_stage"] == "bm_25") & (shown["dataset"] == "dl&20")
    mine = shown[cell & (shown["backbone"] == "bert")]
    [bars] = [c for c in figure.axes[3].containers if c.get_label() == "bert"]
    assert bars.lines[0].get_ydata() == pytest.approx(mine["value"].to_numpy())
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
    assert ends == pytest.approx(mine[["ci_low", "ci_high"]].to_numpy())


def test_differences_show_the_band_and_the_verdicts(made):
    axes = draw(made, "differences").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"{backbone} {recipe}" for backbone in ("electra", "bert") for recipe in RECIPES[1:]
    ]
    shown = made["equivalence"]
    here = shown[(shown["first_stage"] == "qld") & (shown["measure"] == "nDCG@10")]
    for bars in axes.containers:
        expected = here[here["verdict"] == bars.get_label()]["difference"]
        assert bars.lines[0].get_xdata() == pytest.approx(expected.to_numpy())


def test_gains_are_sorted_and_as_many_as_queries(made):
    figure = draw(made, "queries")
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    assert len(lines) == 2 * 3
    for line in lines:
        gains = line.get_ydata()
        assert len(gains) == 20 and (np.diff(gains) >= 0).all()


def test_rates_are_on_a_logarithmic_axis_beside_the_stage_before(made):
    axes = draw(made, "rates").axes[0]
    assert axes.get_xscale() == "log"
    before = made["group"].query("recipe == 'CL' and first_stage == 'qld' and measure == 'nDCG@10'")
    flat = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert sorted(flat)[:2] == pytest.approx(sorted(before["value"]))


def test_reproduction_has_a_panel_per_measure_and_a_point_per_cell(made):
    figure = draw(made, "reproduction")
    assert [axes.get_title() for axes in figure.axes] == ["nDCG@10", "AP"]
    points = [c.lines[0].get_xdata() for axes in figure.axes for c in axes.containers]
    assert sorted(x for part in points for x in part) == [0.2, 0.3, 0.3, 0.4]


def test_training_curves_keep_losses_apart(made):
    titles = [axes.get_title() for axes in draw(made, "training").axes]
    assert titles[:3] == ["electra\nCL", "electra\nKD", "electra\nnDCG@10"]


def test_nothing_to_show_is_still_a_figure(made, tmp_path):
    empty, none = made["equivalence"].iloc[:0], made["reproduction"].iloc[:0]
    drawings = [
        (figures.differences, empty, "CL", 0.02),
        (figures.reproduction, none),
        (figures.gains_and_losses, made["values"], "no such recipe"),
    ]
    for draw, *arguments in drawings:
        svg, pdf = tmp_path / f"{draw.__name__}.svg", tmp_path / f"{draw.__name__}.pdf"
        write_figure(draw, svg, pdf, *arguments)
        assert svg.read_bytes().startswith(b"<?xml") and pdf.read_bytes().startswith(b"%PDF")
        assert not any(axes.lines or axes.containers for axes in draw(*arguments).axes)


def test_figures_are_made_where_jupyter_names_a_backend_of_its_own():
    """Whose package need not be here; in a process of its own, for matplotlib is imported once."""
    environment = os.environ | {"MPLBACKEND": "module://no_such.backend_inline"}
    command = [sys.executable, "-c", "import restage.report.figures, matplotlib.pyplot"]
    subprocess.run(command, env=environment, check=True)
