"""Which lists each step learns from."""

from collections.abc import Iterator
from pathlib import Path

from restage.grid.settings import Objective
from restage.ranked_lists.sampling import ListSampler, TrainingList
from restage.ranked_lists.store import RankedLists


def epoch_of(step: int, train: ListSampler, size: int) -> int:
    """The epoch that a step is in, from 1; 0 before the first step."""
    return 1 + (step - 1) // -(-len(train.usable) // size)


def batches(
    train: ListSampler, size: int, done: int, steps: int
) -> Iterator[tuple[int, int, list[TrainingList]]]:
    """Yield (step, epoch, lists) after the steps done; an epoch's last batch may be smaller."""
    per_epoch, order_of = -(-len(train.usable) // size), None
    for step in range(done + 1, steps + 1):
        epoch, place = epoch_of(step, train, size), (step - 1) % per_epoch
        if epoch != order_of:
            order, order_of = train.order(epoch), epoch
        chosen = order[place * size : (place + 1) * size]
        yield step, epoch, [train.sample(i, epoch) for i in chosen]


def sampler(folder: Path, objective: Objective, seed: int) -> ListSampler:
    """What samples an objective's training lists from the column store in a folder."""
    return ListSampler(
        RankedLists(folder),
        objective.labels,
        objective.list_size,
        objective.sample_depth,
        seed,
        objective.negatives,
    )
