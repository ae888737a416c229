"""What runs again after a change: each row of docs/incremental.md, from dry runs of a made grid."""

import os
import re
import shutil
from collections import Counter

import pytest
import yaml

from tests.workflow.runs import ROOT, make

TABLE = (ROOT / "docs/incremental.md").read_text()
ROWS = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| [^|]+ \|$", TABLE, re.M)[2:])  # no head
CHANGES = {}


def change(row):
    """Register what makes the change of a row in a copy of the grid; it may return targets."""

    def register(function):
        CHANGES[row] = function
        return function

    return register


def setting(row, key, value):
    """A row whose change is another value of one key of the configuration, written with dots."""

    @change(row)
    def _(copy):
        *path, last = key.split(".")
        part = copy.config
        for name in path:
            part = part[name]
        part[last] = value


class Copy:
    """A copy of the finished small grid, with a copy of the workflow where that is changed."""

    def __init__(self, grid, folder):
        self.folder, self.workflow, self.configuration = folder, ROOT, "config.yaml"
        shutil.copytree(grid, folder, symlinks=True)
        self.config = yaml.safe_load((folder / "config.yaml").read_text())

    def path(self, name):
        return self.folder / name

    def own_workflow(self):
        self.workflow = self.folder / "workflow copy"
        for name in ("Snakefile", "rules", "workflow", "envs", "profiles", "src"):
            source, target = ROOT / name, self.workflow / name
            self.workflow.mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        return self.workflow

    def own_model(self):
        link = self.path("tiny")
        folder = link.resolve()
        link.unlink()
        return shutil.copytree(folder, link)

    def run(self, *targets, dry=False):
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False))
        own = {"PYTHONPATH": str(self.workflow / "src")}
        options = {"config": self.configuration, "snakefile": self.workflow / "Snakefile"}
        return make(self.folder, *targets, dry=dry, environment=own, **options)

    def edit(self, name, pattern, to):
        file = self.path(name)
        text = re.sub(pattern, to, file.read_text(), count=1, flags=re.M)
        assert text != file.read_text()
        file.write_text(text)


def counted(output):
    """How many jobs of each rule a dry run lists, without those that only gather."""
    stats = output.partition("Job stats:")[2].partition("total")[0]
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+) *$", stats, re.M)}
    return Counter({rule: n for rule, n in jobs.items() if rule not in ("all", "tables")})


def expected(text):
    return Counter({rule: int(n) for n, rule in re.findall(r"(\d+) (\w+)", text)})


def test_every_row_has_its_change():
    assert list(ROWS) == list(CHANGES)
    assert len(ROWS) >= 30


@pytest.mark.parametrize("row", CHANGES)
def test_what_runs_again(row, made_grid, tmp_path):
    copy = Copy(made_grid, tmp_path / "grid")
    targets = CHANGES[row](copy) or []
    output = copy.run(*targets, dry=True)
    assert counted(output) == expected(ROWS.get(row, ""))


# --- the configuration ---------------------------------------------------------------------------


@change("nothing")
def _(copy):
    pass


@change("`measures`: one is added to a dataset")
def _(copy):
    copy.config["datasets"]["test"]["measures"].append("R@10")


@change("`group` of all datasets is renamed")
def _(copy):
    for dataset in copy.config["datasets"].values():
        dataset["group"] = "renamed"


@change("a dataset is added")
def _(copy):
    copy.config["datasets"]["more"] = copy.config["datasets"]["test"] | {"split": "train"}


@change("a dataset is removed")
def _(copy):
    del copy.config["datasets"]["valid"]


setting("a first stage is added", "first_stages.other", {"engine": "pisa", "k1": 1.2, "depth": 10})


@change("a first stage is removed")
def _(copy):
    del copy.config["first_stages"]["qld"]


@change("a recipe is added whose stages there are")
def _(copy):
    copy.config["recipes"].append("KD")


@change("a recipe is removed")
def _(copy):
    copy.config["recipes"].remove("CL-KD")


@change("`recipes` are put in another order")
def _(copy):
    copy.config["recipes"].reverse()


setting("a backbone is added", "backbones.other", {"model": "./tiny", "num_layers": 1})
setting("a seed is added", "seeds", [42, 43])
setting("`rerank.depth` is lowered", "rerank.depth", 5)


@change("`rerank.depth` and `depth` of the first stages are raised")
def _(copy):
    copy.config["rerank"]["depth"] = 20
    for stage in copy.config["first_stages"].values():
        stage["depth"] = 20


setting("`rerank.max_length` is changed", "rerank.max_length", 40)
setting("`depth` of a first stage is raised", "first_stages.qld.depth", 20)
setting("`k1` of a first stage is changed", "first_stages.bm25.k1", 1.2)
setting("`learning_rate` of an objective is changed", "objectives.KD.learning_rate", 3e-5)
setting("`loss` of an objective is changed", "objectives.KD.loss", "lambda_loss")
setting("`validate_every` of an objective is changed", "objectives.mined.validate_every", 3)
setting("`patience` of an objective is changed", "objectives.mined.patience", 2)
setting("`split_seed` of ranked lists is changed", "ranked_lists.rankgpt.split_seed", 7)
setting("`expected` of ranked lists is written down", "ranked_lists.colbert.expected", {"lists": 5})


@change("an entry of `ranked_lists` that nothing uses is removed")
def _(copy):
    copy.config["recipes"] = ["KD"]
    copy.config["ranked_lists"] = {"rankgpt": copy.config["ranked_lists"]["rankgpt"]}
    copy.config["objectives"] = {"KD": copy.config["objectives"]["KD"]}


setting(
    "`statistics`: margin, alpha, correction or baseline is changed",
    "statistics",
    {"equivalence_margin": 0.05, "baseline_recipe": "CL-KD"},
)


@change("`compute`: threads, batches, saving or GPUs are changed")
def _(copy):
    copy.config["compute"] |= {"save_every_minutes": 1, "tokens_per_batch": 512, "threads": 2}


setting("`compute.precision` is changed", "compute.precision", "fp32")
setting("`plan` is changed", "plan", {"device": "H100"})


@change("a study in the same results folder has some of the recipes")
def _(copy):
    study = {"base": "config.yaml", "study": "mine", "recipes": ["CL", "CL-KD"]}
    copy.path("study.yaml").write_text(yaml.safe_dump(study))
    copy.path("config.yaml").write_text(yaml.safe_dump(copy.config))
    copy.configuration = "study.yaml"


# --- the code ------------------------------------------------------------------------------------


@change("a script is touched or reformatted, a comment is added")
def _(copy):
    script = copy.own_workflow() / "workflow/scripts/finetune.py"
    script.write_text("# Said anew.\n\n" + script.read_text())


@change("a script is edited")
def _(copy):
    script = copy.own_workflow() / "workflow/scripts/score.py"
    script.write_text(script.read_text() + "print()\n")
    assert "8 outputs were made by other code (score 8) and stand" in copy.run(dry=True)


@change("a loss is edited in the library")
def _(copy):
    copy.own_workflow()
    copy.edit("workflow copy/src/restage/finetune/losses.py", r"clamp\(min=1\)", "clamp(min=2)")
    assert "6 outputs were made by other code (finetune 6) and stand" in copy.run(dry=True)


@change("... and `snakemake accept`")
def _(copy):
    CHANGES["a loss is edited in the library"](copy)
    copy.run("accept")
    assert "other code" not in copy.run(dry=True)


@change("... or `snakemake reject`")
def _(copy):
    CHANGES["a loss is edited in the library"](copy)
    copy.run("reject")


@change("`git pull` that edits rules and gives all files new times")
def _(copy):
    for file in (copy.own_workflow() / "rules").glob("*.smk"):
        file.write_text(file.read_text().replace("mem_mb=growing(2000)", "mem_mb=growing(3000)"))


@change("other package versions")
def _(copy):
    for file in (copy.own_workflow() / "envs").glob("*.yaml"):
        file.write_text(re.sub(r"==\S+", "==0.0.1", file.read_text()))


# --- files ---------------------------------------------------------------------------------------


def without_times(copy):
    """As a plain copy leaves it: everything has the time of copying, in some order."""
    files = sorted(file for file in copy.path("out").rglob("*") if file.is_file())
    for number, file in enumerate(files):
        os.utime(file, (1e9 + number, 1e9 + number))


@change("results are copied to another clone or machine, with or without their times")
def _(copy):
    shutil.rmtree(copy.path(".snakemake"))
    without_times(copy)
    copy.own_workflow()


@change("`results` is renamed, and the folder with it")
def _(copy):
    copy.path("out").rename(copy.path("results"))
    copy.config["results"] = "results"


@change("`.snakemake` is lost")
def _(copy):
    shutil.rmtree(copy.path(".snakemake"))


@change("`.snakemake` is lost and `learning_rate` was changed meanwhile")
def _(copy):
    shutil.rmtree(copy.path(".snakemake"))
    copy.config["objectives"]["KD"]["learning_rate"] = 3e-5


@change("an input file is written again with the same bytes")
def _(copy):
    file = copy.path("data/collection/corpus.jsonl")
    file.write_bytes(file.read_bytes())


@change("an input file is replaced by an older one")
def _(copy):
    copy.edit("data/colbert.run", r"^(\S+)(.*)$", r"\1\2 ")
    os.utime(copy.path("data/colbert.run"), (1e9, 1e9))


@change("weights in the folder of a model are replaced")
def _(copy):
    weights = copy.own_model() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")


@change("the tokenizer in the folder of a model is replaced")
def _(copy):
    copy.own_model()
    copy.edit("tiny/tokenizer.json", r'"bread"', '"breads"')


@change("a run is deleted")
def _(copy):
    copy.path("out/runs/tiny/CL/42/bm25/test.run.gz").unlink()


@change("a checkpoint is deleted")
def _(copy):
    shutil.rmtree(copy.path("out/models/tiny/CL-KD/42"))


@change("a store is deleted that nothing needs any more")
def _(copy):
    shutil.rmtree(copy.path("out/stores/texts/collections/gazetteer"))


@change("an output is edited or damaged")
def _(copy):
    weights = copy.path("out/models/tiny/CL-KD/42/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])


@change("a killed job left its state and a part of its output")
def _(copy):
    for name in ("states/models/tiny/CL/42", "models/tiny/CL/.42.77.part"):
        copy.path(f"out/{name}").parent.mkdir(parents=True, exist_ok=True)
        copy.path(f"out/{name}").write_text("half")
