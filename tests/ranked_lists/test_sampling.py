"""Sampling: what a query gets depends on (seed, epoch, query) and is what the study says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from restage.ranked_lists.sampling import ListSampler
from restage.ranked_lists.store import RankedLists


def ranked_lists(labels, queries=None):
    """Lists in memory: ``labels`` has the relevance labels of each, in rank order."""
    lists = object.__new__(RankedLists)
    lists.offsets = np.cumsum([0, *map(len, labels)])
    flat = np.concatenate([np.asarray(label, dtype=np.int8) for label in labels])
    lists.relevant = np.flatnonzero(flat)
    lists.relevances = flat[lists.relevant]
    lists.passages = np.arange(lists.offsets[-1], dtype=np.uint32)
    lists.queries = np.asarray(queries if queries is not None else range(len(labels)))
    lists.scores = None
    return lists


LABELS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=8)


@given(LABELS, st.integers(2, 6), st.integers(2, 10), st.integers(1, 5))
def test_contrastive_lists(labels, size, depth, epoch):
    lists = ranked_lists(labels)
    sampler = ListSampler(lists, "qrels", size, depth, seed=1)
    usable = [i for i, own in enumerate(labels) if len({label > 0 for label in own[:depth]}) == 2]
    assert sampler.usable.tolist() == usable
    for i in usable:
        query, passages, relevances = sampler.sample(i, epoch)
        assert query == i
        own = dict(zip(lists[i].passages[:depth].tolist(), labels[i], strict=False))
        assert len(set(passages.tolist())) == len(passages)
        assert relevances.tolist() == [own[passage] for passage in passages.tolist()]
        assert (relevances > 0).sum() == 1
        negatives = sum(label == 0 for label in labels[i][:depth])
        assert len(passages) == 1 + min(size - 1, negatives)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(2, 6))
def test_lists_by_rank(sizes, size):
    lists = ranked_lists([[0] * n for n in sizes])
    sampler = ListSampler(lists, "ranks", size, None, seed=1)
    assert sampler.usable.tolist() == [i for i, n in enumerate(sizes) if n > 1]
    for i in sampler.usable:
        _, passages, relevances = sampler.sample(i, 1)
        ranks = [lists[i].passages.tolist().index(passage) + 1 for passage in passages]
        assert len(ranks) == min(size, sizes[i])
        assert relevances.tolist() == [sizes[i] - rank + 1 for rank in ranks]


def test_scores_as_labels_and_the_top_of_a_list():
    lists = ranked_lists([[0, 1, 0, 0, 2, 0]])
    lists.scores = np.array([9, 8.5, 7, 3, 2, -1], dtype=np.float32)
    top = ListSampler(lists, "scores", 4, None, seed=1, negatives="top").sample(0, 1)
    assert top.passages.tolist() == [0, 1, 2, 3]
    assert top.relevances.tolist() == [9, 8.5, 7, 3]
    some = ListSampler(lists, "scores", 3, 5, seed=1).sample(0, 1)
    assert some.relevances.tolist() == lists.scores[some.passages].tolist()
    assert sorted(some.passages) == some.passages.tolist()
    positive, *others = ListSampler(lists, "qrels", 4, 5, 1, negatives="top").sample(0, 1).passages
    assert positive in (1, 4)
    assert others == [0, 2, 3]


def test_a_draw_is_keyed_by_seed_epoch_and_query_alone():
    labels = [[1] + [0] * 50] * 6
    one = ListSampler(ranked_lists(labels), "qrels", 8, None, seed=3)
    # The same query in another place of other lists gets the same draw.
    other = ListSampler(ranked_lists(labels[:2], queries=[5, 4]), "qrels", 8, None, seed=3)
    places = [one.sample(i, 2).passages - 51 * i for i in (5, 4)]
    for i in range(2):
        assert (other.sample(i, 2).passages - 51 * i).tolist() == places[i].tolist()
    assert one.sample(5, 2).passages.tolist() == one.sample(5, 2).passages.tolist()
    assert one.sample(5, 2).passages.tolist() != one.sample(5, 3).passages.tolist()
    assert places[0].tolist() != places[1].tolist()


def test_an_epoch_goes_through_each_usable_list_once():
    sampler = ListSampler(ranked_lists([[1, 0], [0, 0], [0, 1]] * 9), "qrels", 2, None, seed=0)
    orders = [sampler.order(epoch).tolist() for epoch in (1, 2)]
    assert sorted(orders[0]) == sorted(orders[1]) == sampler.usable.tolist()
    assert orders[0] != orders[1]
