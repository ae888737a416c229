"""The small grid: every kind of part, tiny, from data to tables."""

import shutil

import pytest
from filelock import FileLock

from restage.demo.gazetteer import write_gazetteer
from tests.workflow.runs import RECIPES, make, write_config


@pytest.fixture(scope="session")
def small_grid(tiny):
    """Write the small grid into a folder: data, and a configuration with every kind of part."""

    def write(folder):
        write_gazetteer(folder / "data", places=18)
        (folder / "tiny").symlink_to(tiny("bert"))
        train = {"path": "data/collection", "split": "train"}
        lists = {"collection": "gazetteer", "queries": train, "qrels": train, "valid_fraction": 0.1}
        taught = {"depth": 6, "max_length": 48}
        loss = {"max_steps": 3, "queries_per_batch": 2, "validate_every": 2, "max_length": 32}
        config = {
            "results": "out",
            "collections": {"gazetteer": {"path": "data/collection"}},
            "datasets": {
                name: {
                    "path": "data/collection",
                    "split": name,
                    "collection": "gazetteer",
                    "group": "small",
                    "measures": ["nDCG@10", "RR@10"],
                }
                for name in ("valid", "test")
            },
            "first_stages": {
                "bm25": {"engine": "pisa", "depth": 10},
                "qld": {"engine": "pisa", "model": "qld", "depth": 10},
            },
            "ranked_lists": {
                "colbert": {"format": "trec_run", "source": {"path": "data/colbert.run"}, **lists},
                "rankgpt": {
                    "format": "rankgpt",
                    "permutations": {"path": "data/rankgpt-permutations.json"},
                    "candidates": {"path": "data/rankgpt-candidates.jsonl.zip"},
                    **lists,
                },
                "bm25": {"format": "first_stage", "first_stage": "bm25", "depth": 20, **lists},
                "given": {"format": "model", "ranked_lists": "bm25", "model": "./tiny", **taught},
                "taught": {
                    "format": "model",
                    "ranked_lists": "given",
                    "checkpoint": {"backbone": "tiny", "recipe": "CL"},
                    **taught,
                },
            },
            "objectives": {
                "CL": {
                    "loss": "localized_contrastive",
                    "ranked_lists": "colbert",
                    "list_size": 4,
                    "sample_depth": 20,
                    **loss,
                },
                "KD": {
                    "loss": "ranknet",
                    "ranked_lists": "rankgpt",
                    "labels": "ranks",
                    "list_size": 5,
                    **loss,
                },
                "mined": {"extends": "CL", "ranked_lists": "bm25"},
                "distil": {"extends": "KD", "ranked_lists": "taught"},
            },
            "backbones": {"tiny": {"model": "./tiny"}},
            "recipes": RECIPES,
            "rerank": {"depth": 10, "max_length": 48},
            "compute": {"threads": 1, "gpus_per_training": 0, "gpus_per_scoring": 0},
        }
        write_config(folder, config)
        return folder

    return write


@pytest.fixture(scope="session")
def made_grid(small_grid, tmp_path_factory, worker_id):
    """The small grid, made from end to end, by one process for all; nobody changes it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "made grid"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            (unfinished := folder.with_name("unfinished grid")).mkdir()
            assert "100%" in make(small_grid(unfinished))
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def grid(made_grid, tmp_path_factory):
    """The small grid, made from end to end, which each test leaves as it was."""
    folder = tmp_path_factory.mktemp("copy") / "grid"
    return shutil.copytree(made_grid, folder, symlinks=True)
