"""Values per query that the tests of tables and of the report make up, and how they pick some."""

import numpy as np
import pandas as pd

from restage.evaluate.values import cells
from restage.grid.settings import Statistics, TableOrder

STATISTICS = Statistics(
    correction="bonferroni", alpha=0.01, equivalence_margin=0.02, baseline_recipe="CL"
)
ORDER = TableOrder(
    first_stages=("qld", "bm_25"),
    models=(("electra", "CL"), ("electra", "KD"), ("bert", "CL"), ("bert", "KD")),
    measures={"dl19": ("nDCG@10", "AP(rel=2)"), "dl&20": ("AP(rel=2)",)},
)
ONE_CELL = {"first_stage": "bm_25", "dataset": "dl&20", "measure": "AP(rel=2)"}


def make(order=ORDER, queries=20, seeds=(1, 2), spread=1.0, gain=0.3):
    """Values of every cell; models stand ``gain`` above their first stage."""
    rng, rows = np.random.default_rng(0), []
    for first_stage, *model, dataset, measure in cells(order):
        alone = model[0] == "-"
        for seed in (-1,) if alone else seeds:
            for query in range(queries):
                value = 0.3 + (0 if alone else gain) + spread * rng.uniform(-0.3, 0.3)
                rows.append((first_stage, *model, seed, dataset, str(query), measure, value))
    names = ["first_stage", "backbone", "recipe", "seed", "dataset", "query_id", "measure", "value"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=0)


def pick(frame, **keys):
    return frame[np.logical_and.reduce([frame[k] == v for k, v in keys.items()])]


def per_query(values, **keys):
    return pick(values, **keys).groupby("query_id")["value"].mean().sort_index()
