"""What a model can do, as the files of its folder say: told before hours of work, without torch."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restage.grid.grid import Grid
from restage.grid.recipes import Recipe

HEAD = "ForSequenceClassification"
POSITIONS = "max_position_embeddings", "n_positions"
LAYERS = "num_hidden_layers", "n_layers", "n_layer", "num_layers"
# Architectures whose first position comes after that of padding.
AFTER_PADDING = {"camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "mpnet"}
AFTER_PADDING |= {"roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}
TOKENIZERS = "*token*", "*vocab*", "*piece*", "*.model"  # the files of any
SHARED_LAYERS = {"albert"}  # one set of weights for all layers


@dataclass(frozen=True)
class Use:
    """What a configuration does with a model.

    Args:
        key: where the model is named.
        lengths: the tokens of its inputs at most, by the keys that say so.
        trained: whether it gets a new head; None: it scores no pairs.
    """

    key: tuple[str, ...]
    lengths: Mapping[str, int]
    trained: bool | None
    num_layers: int | None = None


def uses(grid: Grid) -> Iterator[tuple[str, Use]]:
    """Yield each model that is not made here, with what is done with it."""
    for name, backbone in grid.backbones.items():
        trained = [model.recipe for model in grid.trained if model.backbone == name]
        if trained:
            lengths = {
                f"objectives.{objective}.max_length": grid.objectives[objective].max_length
                for recipe in trained
                for objective in Recipe.of(recipe).objectives
            }
            if grid.datasets and grid.first_stages:
                lengths["rerank.max_length"] = grid.rerank.max_length
            key = ("backbones", name, "model")
            yield backbone.model, Use(key, lengths, True, backbone.num_layers)
    for name, lists in grid.ranked_lists.items():
        if (taught := lists.format.taught) and taught.model:
            lengths = {f"ranked_lists.{name}.max_length": taught.max_length}
            yield taught.model, Use(("ranked_lists", name, "model"), lengths, False)
    for name, stage in grid.first_stages.items():
        if stage.engine.encoder:
            yield stage.engine.encoder, Use(("first_stages", name, "model"), {}, None)


def inability(folder: Path, use: Use) -> str | None:
    """Return what a model in a folder cannot do of what it is to do; None if it can."""
    try:
        return next(_inabilities(folder, use), None)
    except (ValueError, AttributeError, TypeError, KeyError) as error:  # JSON of another form
        return f"{folder} has files that cannot be read ({error}); fetch the model again"


def _inabilities(folder: Path, use: Use) -> Iterator[str]:
    if message := pickles(folder):
        yield message
    config = _read(folder / "config.json")
    if config and not any(path for name in TOKENIZERS for path in folder.glob(name)):
        yield "has no tokenizer beside its weights; save_pretrained it there"
    if use.trained is not None:
        yield from _outputs(config, use.trained)
    yield from _layers(config, use.num_layers)
    limit = _positions(config)
    for key, length in use.lengths.items():
        if limit is not None and length > limit:
            yield f"reads {limit} tokens at most, and {key} is {length}; lower that to {limit}"


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def pickles(folder: Path) -> str | None:
    """Return what to say of weights that are loaded as pickles even where safetensors are asked."""
    files = [str(file) for file in _shards(folder)]
    for module in _read(folder / "modules.json") or ():  # of sentence-transformers
        weights = Path(module["path"], "pytorch_model.bin")
        whole = (folder / weights).with_name("model.safetensors")
        if module["path"] and not whole.exists() and (folder / weights).exists():
            files.append(str(weights))
    if others := [file for file in files if not file.endswith(".safetensors")]:
        return (
            f"has weights in {others[0]}, which is no safetensors file and can run code; where you "
            "trust it, load and save the model into a folder with its own library and give that"
        )
    return None


def _shards(folder: Path) -> Iterable[object]:
    """The files that weights are read from where there is no file of all of them."""
    if (folder / "model.safetensors").exists():
        return ()
    return _read(folder / "model.safetensors.index.json").get("weight_map", {}).values()


def _outputs(config: Mapping[str, Any], trained: bool) -> Iterator[str]:
    has_head = any(str(name).endswith(HEAD) for name in config.get("architectures") or ())
    outputs = len(config["id2label"]) if "id2label" in config else config.get("num_labels", 2)
    if has_head and outputs != 1:
        yield f"has a head of {outputs} outputs, where one is needed" + (
            "; load its encoder with AutoModel, save_pretrained it and its tokenizer into a folder "
            "and give that"
            if trained
            else "; give a cross-encoder with one output"
        )
    if not has_head and not trained and "architectures" in config:
        yield "has no head; give a cross-encoder with one output"


def _layers(config: Mapping[str, Any], count: int | None) -> Iterator[str]:
    have = next((config[name] for name in LAYERS if name in config), None)
    if count and config.get("model_type") in SHARED_LAYERS:
        yield "has layers that share their weights and cannot be left out; take num_layers out"
    if count and have is not None and count > have:
        yield f"has {have} layers, and num_layers is {count}; give that many at most"


def _positions(config: Mapping[str, Any]) -> int | None:
    """How long an input may be; None: as long as may be, or it is not known."""
    limit: int | None = next((config[name] for name in POSITIONS if config.get(name)), None)
    if limit is None or limit < 1 or config.get("position_biased_input") is False:  # DeBERTa's
        return None
    if config.get("model_type") in AFTER_PADDING:
        padding = config.get("pad_token_id")
        limit -= 2 if padding is None else padding + 1
    return limit
