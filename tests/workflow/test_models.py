"""A model of the hub stays at the revision that was there when it was first used."""

import json
import sys

from transformers import AutoModelForSequenceClassification

from tests.workflow.runs import make, planned, read_config, write_config


def test_a_model_of_the_hub_stays_at_its_first_revision(small_grid, hub_model, tmp_path):
    folder, old, new = small_grid(tmp_path), "a" * 40, "b" * 40
    config = read_config(folder)
    config["backbones"]["tiny"]["model"] = "org/tiny"
    write_config(folder, config)
    hub_model("org/tiny", old)
    targets = ["out/models/tiny/CL/42"]
    assert planned(folder, *targets, python=sys.executable)["pin"] == 1
    make(folder, *targets, python=sys.executable)
    assert f"org/tiny@{old}" in (folder / "out/models/tiny/CL/42/README.md").read_text()
    weights = hub_model("org/tiny", new)
    model = AutoModelForSequenceClassification.from_pretrained(weights)
    model.classifier.reset_parameters()
    model.save_pretrained(weights)
    assert planned(folder, *targets, python=sys.executable) == {}

    pinned = "out/stores/models/org--tiny.json"
    make(folder, *targets, options=["--forcerun", pinned], python=sys.executable)
    assert json.loads((folder / pinned).read_text())["revision"] == new
    assert f"org/tiny@{new}" in (folder / "out/models/tiny/CL/42/README.md").read_text()
