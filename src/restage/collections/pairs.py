"""Inputs of (query, passage) pairs from token lists, and batches of nearly equal length."""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from restage.collections.tokens import TokenLists
from restage.errors import InputError

# A matrix product takes its rows in blocks of so many; what is left over it sums in another order.
BLOCK = 4


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
        self.max_length, self.room = max_length, max_length - self.special
        self.pad_id = tokenizer.pad_token_id
        self.segment_ids = segment_ids

    def lengths(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return the tokens of each pair's input (int64), special tokens included."""
        kept_q, kept_p = self._cut(queries, passages)
        return self.special + kept_q + kept_p

    def columns(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        """Return how many tokens each pair is padded to where no other pair may decide it."""
        blocks = -(-self.lengths(queries, passages) // BLOCK)
        return np.minimum(blocks * BLOCK, self.max_length)

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

    def batch(
        self, queries: np.ndarray, passages: np.ndarray, columns: int = 0
    ) -> dict[str, torch.Tensor]:
        """Return the inputs of the pairs, padded at the right: tensors (pairs, longest input).

        Args:
            columns: that there are at least.
        """
        kept_q, kept_p = self._cut(queries, passages)
        lengths = self.special + kept_q + kept_p
        width = max(columns, lengths.max())
        ids = np.full((len(queries), width), self.pad_id, dtype=np.int64)
        for row, query, passage, q, p in zip(ids, queries, passages, kept_q, kept_p, strict=True):
            parts = self.before, self.queries[query][:q], self.between, self.passages[passage][:p]
            inputs = np.concatenate((*parts, self.after))
            row[: len(inputs)] = inputs
        place = np.arange(width)
        batch = {"input_ids": ids, "attention_mask": (place < lengths[:, None]).astype(np.int64)}
        if self.segment_ids:
            of_query = len(self.before) + kept_q[:, None] + self.segments
            batch["token_type_ids"] = ((place >= of_query) & (place < lengths[:, None])) * 1
        return {name: torch.from_numpy(array) for name, array in batch.items()}


def _template(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int], int]:
    """Special tokens before, between and after a pair, and how many between belong to the query."""
    pair = tokenizer("a", "b", return_token_type_ids=True)
    ids, kinds = pair["input_ids"], pair["token_type_ids"]
    first, second = (tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("a", "b"))
    query = next(i for i in range(len(ids)) if ids[i : i + len(first)] == first)
    end = query + len(first)
    passage = next(i for i in range(end, len(ids)) if ids[i : i + len(second)] == second)
    if kinds[passage] == kinds[query]:  # as RoBERTa's: one segment, nothing to tell
        query_side = np.iinfo(np.int32).max
    else:
        query_side = kinds[end:passage].count(kinds[query])
    return ids[:query], ids[end:passage], ids[passage + len(second) :], query_side


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


def same_length_batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Yield indices of items of one length each, longest first, in whole blocks (``BLOCK``).

    A block that would be left over has some items of its batch twice. A batch has at most
    ``budget`` tokens, and one block at least.
    """
    for length in np.unique(lengths)[::-1]:
        items = np.flatnonzero(lengths == length)
        size = max(1, budget // (length * BLOCK)) * BLOCK
        for start in range(0, len(items), size):
            some = items[start : start + size]
            yield np.resize(some, -(-len(some) // BLOCK) * BLOCK)


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
