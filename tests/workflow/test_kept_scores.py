"""A finished grid that grows: what has a score is not scored again."""

import re
import shutil

import pandas as pd

from tests.workflow.runs import make, read_config, write_config

SCORES = "out/scores/tiny/CL/42/test.parquet"


def counts(output):
    """How many pairs had a score, and of how many, in the job of SCORES."""
    [found] = re.findall(r"score tiny/CL/42/test: ([\d,]+) of ([\d,]+) pairs have a score", output)
    return tuple(int(count.replace(",", "")) for count in found)


def test_a_further_first_stage_has_its_new_pairs_scored_alone(made_grid, tmp_path):
    folder = shutil.copytree(made_grid, tmp_path / "grid", symlinks=True)
    before = pd.read_parquet(folder / SCORES)
    config = read_config(folder)
    config["first_stages"]["other"] = {"engine": "pisa", "k1": 4, "b": 1, "depth": 10}
    write_config(folder, config)
    told = counts(make(folder, SCORES))
    grown = (folder / SCORES).read_bytes()
    after = pd.read_parquet(folder / SCORES)
    assert told == (len(before), len(after))
    assert len(before) < len(after)
    assert (
        before["score"].tolist()
        == after.merge(before, "right", ["query_id", "doc_id"])["score_x"].tolist()
    )

    (folder / SCORES).unlink()
    shutil.rmtree(folder / "out/stores/scores")
    assert counts(make(folder, SCORES)) == (0, len(after))
    assert (folder / SCORES).read_bytes() == grown
