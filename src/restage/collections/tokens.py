"""The token store: passages or queries as token ids, memory-mapped."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from joblib import Parallel, delayed

from restage.collections.texts import TextStore
from restage.files import complete, link
from restage.log import Progress, log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS_PER_CALL = 4096
FILES = "ids.bin", "offsets.npy", "tokenizer.sha256"
Tokens = tuple[np.ndarray, np.ndarray]  # ids of some texts one after the other; tokens of each


def leave_out_segment_ids(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Have the tokenizer give no segment ids, also where it is loaded after it is saved."""
    # Only what is among the initial arguments is saved, and then as the attribute says.
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names


def write_tokens(
    folder: str | os.PathLike,
    texts: TextStore,
    tokenizer: "PreTrainedTokenizerBase",
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


def tokenizer_identity(tokenizer: "PreTrainedTokenizerBase") -> str:
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


def _tokenise(
    folder: Path, texts: TextStore, tokenizer: "PreTrainedTokenizerBase", processes: int
) -> None:
    lengths, progress = [], Progress(len(texts), "texts tokenised")
    starts = range(0, len(texts), TEXTS_PER_CALL)
    batches = (texts.texts(start, start + TEXTS_PER_CALL) for start in starts)
    with (folder / "ids.bin").open("wb") as file:
        for ids, some in _in_processes(min(processes, len(starts)), tokenizer, batches):
            file.write(ids.data)
            lengths.append(some)
            progress.add(len(some))
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))


def _in_processes(
    processes: int, tokenizer: "PreTrainedTokenizerBase", batches: Iterator[list[str]]
) -> Iterator[Tokens]:
    """Yield the tokens of each batch of texts, in their order."""
    if processes == 1:
        yield from (_tokens(tokenizer, texts) for texts in batches)
        return
    workers = Parallel(processes, return_as="generator", initializer=_keep, initargs=(tokenizer,))
    yield from workers(delayed(_tokens_here)(texts) for texts in batches)


_tokenizer: "PreTrainedTokenizerBase"  # that such a process works with


def _keep(tokenizer: "PreTrainedTokenizerBase") -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    global _tokenizer
    _tokenizer = tokenizer


def _tokens_here(texts: list[str]) -> Tokens:
    return _tokens(_tokenizer, texts)


def _tokens(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> Tokens:
    # An encoding longer than the model takes is cut later; no warning is due.
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )["input_ids"]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    kind = np.uint16 if len(tokenizer) <= np.iinfo(np.uint16).max else np.uint32
    return np.fromiter(chain.from_iterable(encoded), dtype=kind, count=lengths.sum()), lengths


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


def tokenised(texts: list[str], tokenizer: "PreTrainedTokenizerBase") -> TokenLists:
    """Return the token lists of a few texts, as a token store would have them."""
    ids, lengths = _tokens(tokenizer, texts)
    return TokenLists(np.append(0, np.cumsum(lengths)), ids)
