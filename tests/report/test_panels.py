"""What figures share: series are told apart, panels stand in the table's order."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from restage.report.panels import COLOURS, VERDICTS, make_panels, styles


def test_models_are_told_apart_without_colours():
    several = styles([str(i) for i in range(20)])
    assert len({tuple(style.items()) for style in several.values()}) == 20
    lightness = [sum(matplotlib.colors.to_rgb(colour)) for colour in COLOURS]
    assert len(set(np.round(lightness, 2))) == len(COLOURS)
    assert all(re.fullmatch("#[0-9a-f]{6}", to_hex(c)) for c in COLOURS)
    assert len({marker for _, marker in VERDICTS.values()}) == len(VERDICTS)


@pytest.mark.parametrize("datasets, shape", [(["a"], (1, 3)), (["a", "b"], (3, 2))])
def test_panels_are_rows_of_first_stages_or_one_row(datasets, shape):
    rows = [(first_stage, dataset, "AP") for first_stage in "xyz" for dataset in datasets]
    table = pd.DataFrame(rows, columns=["first_stage", "dataset", "measure"])
    figure, panels = make_panels(table, width=1, height=1)
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    assert [axes.get_title() for axes, _ in panels] == [f"{d}, {f}\nAP" for f, d, _ in rows]
    assert [part.to_numpy().tolist() for _, part in panels] == [[list(row)] for row in rows]
