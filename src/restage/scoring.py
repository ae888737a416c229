"""Scores of (query, passage) pairs by a cross-encoder, in batches of nearly equal length."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from restage.errors import InputError
from restage.files import complete, fingerprint
from restage.log import Progress, log
from restage.pieces import Pieces
from restage.texts import TextStore
from restage.tokens import (
    PairEncoder,
    TokenStore,
    load_tokenizer,
    model_folder,
    token_budget_batches,
    weights_of,
)

PAIRS_PER_PIECE = 8192  # minutes on a slow CPU, and few enough batches to pad little
# Encoders whose head reads the first token alone: what comes after the attention in their layers.
AFTER_ATTENTION = {
    "bert": "attention.output",
    "camembert": "attention.output",
    "deberta": "attention.output",
    "deberta-v2": "attention.output",
    "distilbert": "sa_layer_norm",
    "electra": "attention.output",
    "roberta": "attention.output",
    "xlm-roberta": "attention.output",
}

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_model(model: str | os.PathLike, **settings) -> PreTrainedModel:
    """Load a cross-encoder in float32: one output on a sequence-classification head."""
    folder = model_folder(str(model))
    with weights_of(str(model)) as safe:
        return AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, dtype=torch.float32, **safe, **settings
        )


def load_cross_encoder(model: str | os.PathLike) -> PreTrainedModel:
    """Load a cross-encoder that has been trained to give one score.

    Raises:
        InputError: it has another number of outputs, or no head.
    """
    outputs = AutoConfig.from_pretrained(model_folder(str(model))).num_labels
    if outputs == 1:
        network, report = load_model(model, output_loading_info=True)
        if not report["missing_keys"]:
            finish_first_token_only(network)
            return network
    what = f"has {outputs} outputs" if outputs != 1 else "has no head"
    raise InputError(f"{model}: {what}; to score pairs, give a cross-encoder with one output")


def encoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The layers of a model's encoder, first to last."""
    count = model.config.num_hidden_layers
    return next(
        module
        for module in model.base_model.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    )


def finish_first_token_only(model: PreTrainedModel) -> None:
    """Have the last layer compute what follows its attention for the first token and no others.

    The head reads nothing else, so scores and gradients stay what they are, without most of that
    layer's work: an eighth of all of MiniLM's six layers, a sixteenth of ELECTRA base's twelve.
    Encoders of which that is not known (``AFTER_ATTENTION``) stay as they are.
    """
    place = AFTER_ATTENTION.get(model.config.model_type)
    if place and not getattr(model.config, "conv_kernel_size", 0):  # DeBERTa's, over all tokens
        after = encoder_layers(model)[-1].get_submodule(place)
        after.register_forward_pre_hook(lambda _, inputs: tuple(x[:, :1] for x in inputs))


def pick_device(threads: int, process: int = 0) -> torch.device:
    """Return the device to compute on: a GPU if there is one, each process its own.

    On a CPU ``threads`` threads compute. Their number is set, not found, because it decides the
    last digits of a sum.
    """
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    log.debug("on %s", torch.cuda.get_device_name(process))
    return torch.device(f"cuda:{process}")


def autocast(device: torch.device, compute: Mapping) -> torch.autocast:
    """Return the context of reduced precision, which only a GPU computes in."""
    reduced = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(compute["precision"])
    enabled = device.type != "cpu" and reduced is not None
    return torch.autocast(device.type, reduced, enabled=enabled)


def score_pairs(
    model: PreTrainedModel,
    encoder: PairEncoder,
    queries: np.ndarray,
    passages: np.ndarray,
    tokens_per_batch: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Return the scores of pairs of query and passage numbers: float32, shape (pairs,).

    Keeps the graph where gradients are enabled.
    """
    parts, order = [], []
    for some in token_budget_batches(encoder.lengths(queries, passages), tokens_per_batch):
        parts.append(score_batch(model, encoder, queries[some], passages[some]))
        order.append(some)
        if progress:
            progress.add(len(some))
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(model.device)
    return torch.cat(parts)[back]


def score_batch(
    model: PreTrainedModel, encoder: PairEncoder, queries: np.ndarray, passages: np.ndarray
) -> torch.Tensor:
    """Return the scores of pairs in one forward pass: float32, shape (pairs,)."""
    batch = encoder.batch(queries, passages)
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    return model(**batch).logits[:, 0].float()


class Scorer:
    """A trained cross-encoder that scores any number of pairs, on one GPU or several.

    Args:
        model: a checkpoint's folder, or any other name of a model (see ``model_folder``).
        queries, passages: token stores made with its tokenizer, which numbers refer to.
        segment_ids: whether it is told which tokens are the passage's; None: where its tokenizer
            tells.
        compute: as in the configuration.
        state: a folder for what is finished, from which a killed scoring goes on.
    """

    def __init__(
        self,
        model: str | os.PathLike,
        queries: str | os.PathLike,
        passages: str | os.PathLike,
        *,
        max_length: int,
        segment_ids: bool | None,
        compute: Mapping,
        state: str | os.PathLike,
    ):
        self.model, self.stores = str(model), (str(queries), str(passages))
        self.max_length, self.segment_ids = max_length, segment_ids
        self.compute, self.state = dict(compute), state

    @contextmanager
    def __call__(self, queries: np.ndarray, passages: np.ndarray) -> Iterator[np.ndarray]:
        """Give the scores of pairs of query and passage numbers: float32, shape (pairs,).

        What was saved for a resume is removed when the block ends well.
        """
        files = [Path(store, "offsets.npy") for store in self.stores]
        files += Path(model_folder(self.model)).glob("*.safetensors")
        settings = [self.model, self.max_length, self.segment_ids, self.compute["precision"]]
        pairs = hashlib.sha256(queries.tobytes() + passages.tobytes()).hexdigest()
        parts = [slice(i, i + PAIRS_PER_PIECE) for i in range(0, len(queries), PAIRS_PER_PIECE)]
        pieces = Pieces(self.state, fingerprint([*settings, pairs], *files), len(parts))
        start = partial(self._start, queries, passages, parts)
        made = pieces.make(start, max(1, self.compute["gpus_per_scoring"]))
        yield np.concatenate([np.load(file) for file in made])
        pieces.remove()

    def _start(
        self,
        queries: np.ndarray,
        passages: np.ndarray,
        parts: list[slice],
        process: int,
        numbers: Sequence[int],
    ) -> Callable[[int], np.ndarray]:
        device = pick_device(self.compute["threads"], process)
        model, encoder = load_cross_encoder(self.model).to(device).eval(), self._encoder()
        progress = Progress(sum(len(queries[parts[n]]) for n in numbers), "pairs")

        @torch.inference_mode()
        def scores(number: int) -> np.ndarray:
            pairs, budget = parts[number], self.compute["tokens_per_batch"]
            with autocast(device, self.compute):
                found = score_pairs(
                    model, encoder, queries[pairs], passages[pairs], budget, progress
                )
            return found.cpu().numpy()

        return scores

    def _encoder(self) -> PairEncoder:
        tokenizer, told = load_tokenizer(self.model), self.segment_ids
        told = "token_type_ids" in tokenizer.model_input_names if told is None else told
        return PairEncoder(tokenizer, *map(TokenStore, self.stores), self.max_length, told)


def score_run(
    pairs: pd.DataFrame,
    output: str | os.PathLike,
    scorer: Scorer,
    query_texts: TextStore,
    passage_texts: TextStore,
) -> None:
    """Score pairs (query_id, doc_id) into a Parquet file with their ``score``.

    Args:
        query_texts, passage_texts: where the ids are numbered.

    Raises:
        InputError: an id of a pair is in no store.
    """
    queries = _numbers(query_texts, pairs["query_id"], "query")
    passages = _numbers(passage_texts, pairs["doc_id"], "passage")
    log.info("%s pairs", f"{len(pairs):,}")
    with scorer(queries, passages) as scores, complete(output) as part:
        pairs.assign(score=scores).to_parquet(part, index=False)


def _numbers(store: TextStore, ids: pd.Series, what: str) -> np.ndarray:
    numbers = store.numbers(ids.to_numpy(dtype=object))
    if (numbers < 0).any():
        raise InputError(
            f"{what} {ids.iloc[int(np.argmin(numbers))]!r} of a run is not among the texts to "
            "score; is the run of another collection or dataset?"
        )
    return numbers
