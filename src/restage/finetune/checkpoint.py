"""Checkpoints: what a training starts from, and what it leaves behind."""

import os
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import yaml
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from restage import __version__
from restage.collections.tokens import leave_out_segment_ids
from restage.finetune.record import COLUMNS, Row, write_table
from restage.grid.recipes import Recipe
from restage.grid.settings import Backbone, Objective
from restage.model.heads import finish_first_token_only, keep_layers, load_model

TABLE = "training.csv"
CARD = """---
{header}---

# {name}

A point-wise cross-encoder for passage re-ranking: stage {stage} of recipe **{recipe}** on
`{model}`, trained by Restage {restage}.

## How it was made

- objective: `{loss}` on the ranked lists `{ranked_lists}`, labels from {labels}
- starts from: {start}
- lists: {train_lists:,} to train on ({left_out:,} without a usable positive left out),
  {valid_lists:,} to validate on
- steps: {steps:,}; these weights are from step {best_step:,}, the lowest validation loss
- last validation: {last}
- seed {seed}; torch {torch}, transformers {transformers}

```yaml
{settings}```

## How to load it

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
inputs = tokenizer(query, passage, truncation=True, return_tensors="pt")
score = model(**inputs).logits.item()
```

`sentence_transformers.CrossEncoder(folder).predict([(query, passage)])` gives the same score.
"""


@dataclass(frozen=True)
class History:
    """How a checkpoint was made: as it was asked for, and as it went.

    Args:
        start: the checkpoint of the stage before; None: the backbone.
        left_out: lists without a usable positive.
        best_step: after which the weights were as they are kept.
        rows: of training.csv.
    """

    name: str
    recipe: str
    start: str | None
    backbone: Backbone
    objective: Objective
    seed: int
    train_lists: int
    left_out: int
    valid_lists: int
    best_step: int
    rows: list[Row]


def start_model(start: str | os.PathLike | None, backbone: Backbone, seed: int) -> PreTrainedModel:
    """Load the checkpoint, or the backbone with a new head drawn from ``seed``."""
    torch.manual_seed(seed)
    model = load_model(start or backbone.model)
    if not start and backbone.num_layers:
        keep_layers(model, backbone.num_layers)
    finish_first_token_only(model)
    for name, weights in model.named_parameters():
        # As in the study. Relative positions (DeBERTa's rel_embeddings) are not positions' own.
        weights.requires_grad = "position_embeddings" not in name
    return model


def write_checkpoint(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, history: History
) -> None:
    """Write a Hugging Face checkpoint with its training.csv and model card."""
    # What other programs need to get the same scores: no sigmoid on top in sentence-transformers,
    # the same truncation, and no segment ids where training had none.
    identity = "torch.nn.modules.linear.Identity"
    model.config.sentence_transformers = {"activation_fn": identity}
    model.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):  # which safetensors lets nobody else read
        shutil.copymode(folder / "config.json", weights)
    tokenizer.model_max_length = history.objective.max_length
    if not history.backbone.segment_ids:
        leave_out_segment_ids(tokenizer)
    tokenizer.save_pretrained(folder)
    write_table(folder / TABLE, history.rows)
    (folder / "README.md").write_text(_card(history))


def _card(history: History) -> str:
    """The README.md: what it is, how it was made and how to load it."""
    header = {"library_name": "transformers", "pipeline_tag": "text-ranking", "tags": ["restage"]}
    backbone, objective, last = (
        asdict(history.backbone),
        asdict(history.objective),
        history.rows[-1],
    )
    facts = vars(history) | {
        "stage": len(Recipe.of(history.recipe).objectives),
        "start": f"the checkpoint `{history.start}`" if history.start else "the backbone",
        "steps": last.step,
        "last": _measured(last),
        "header": yaml.safe_dump(header, sort_keys=False),
        "settings": yaml.safe_dump({"backbone": backbone, "objective": objective}),
    }
    versions = {name: version(name) for name in ("torch", "transformers")}
    versions["restage"] = __version__
    return CARD.format(**(objective | backbone | versions | facts))


def _measured(row: Row) -> str:
    both = zip(COLUMNS, row, strict=True)
    return ", ".join(f"{name} {v:.4f}" for name, v in both if "loss" in name or "nDCG" in name)
