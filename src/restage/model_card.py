"""The README.md of a checkpoint: what it is, how it was made and how to load it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import yaml

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


def write_model_card(
    folder: Path,
    about: Mapping,
    backbone: Mapping,
    objective: Mapping,
    seed: int,
    counts: Mapping,
    last: list,
    columns: list[str],
) -> None:
    """Write README.md into a checkpoint; ``about`` has its name, recipe, stage and start."""
    header = {"library_name": "transformers", "pipeline_tag": "text-ranking", "tags": ["restage"]}
    measured = [
        f"{name} {value:.4f}"
        for name, value in zip(columns, last, strict=True)
        if "loss" in name or "nDCG" in name
    ]
    versions = {name: version(name) for name in ("restage", "torch", "transformers")}
    settings = yaml.safe_dump({"backbone": dict(backbone), "objective": dict(objective)})
    Path(folder, "README.md").write_text(
        CARD.format(
            header=yaml.safe_dump(header, sort_keys=False),
            **{**objective, **backbone, **about, **counts, **versions},
            last=", ".join(measured),
            seed=seed,
            settings=settings,
        )
    )
