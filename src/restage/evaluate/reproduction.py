"""What a study published beside what was measured here."""

import pandas as pd

from restage.evaluate.values import CELL

PUBLISHED = ["first_stage", "backbone", "recipe", "dataset"]  # what a row of published values is of


def without_level(measures: pd.Series) -> pd.Series:
    """Return the names of measures as they are published: AP for AP(rel=2)."""
    return measures.str.replace(r"\(rel=\d+\)", "", regex=True)


def reproduction_table(table: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return what was published beside what was measured, where both have the cell.

    Args:
        table: as ``tables.group_table`` returns it.
        published: one row per backbone, recipe, first stage and dataset, one column per measure,
            named as ``without_level`` names it: AP stands for AP and AP(rel=2).

    Returns:
        ``difference`` is value minus published; ``within_interval`` says whether the published
        value lies in the measured value's 95 % interval.
    """
    long = published.melt(PUBLISHED, var_name="base", value_name="published").dropna()
    both = table.assign(base=without_level(table["measure"])).merge(long, on=[*PUBLISHED, "base"])
    return both.assign(
        difference=both["value"] - both["published"],
        within_interval=both["published"].between(both["ci_low"], both["ci_high"]),
    )[[*CELL, "published", "value", "ci_low", "ci_high", "difference", "within_interval"]]
