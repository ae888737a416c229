"""The text store."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restage.collections.texts import TextStore, write_texts
from restage.errors import InputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=30), st.lists(TEXT, max_size=10))
def test_a_store_gives_back_what_was_written(tmp_path_factory, records, others):
    folder = tmp_path_factory.mktemp("store") / "s"
    assert write_texts(folder, records.items()) == len(records)
    store = TextStore(folder)
    ids = list(records)
    assert list(store) == list(records.items())
    assert store.numbers(ids).tolist() == list(range(len(ids)))
    assert store.ids(range(len(ids))) == ids
    expected = [ids.index(other) if other in records else -1 for other in others]
    assert store.numbers(others).tolist() == expected


ODD = ["007", "-1", "+2", "0x1", "0" * 30, "9" * 30, "1.0", ""]
INTEGERS = st.integers(0, 300).map(str) | st.sampled_from(ODD)


@given(st.sets(INTEGERS, min_size=1, max_size=30), st.lists(INTEGERS, max_size=20))
def test_ids_that_are_integers_are_found_like_any_other(tmp_path_factory, ids, others):
    folder, ids = tmp_path_factory.mktemp("store") / "s", sorted(ids)
    write_texts(folder, ((id, "text") for id in ids))
    store = TextStore(folder)
    expected = [ids.index(other) if other in ids else -1 for other in others]
    assert store.numbers(others).tolist() == expected
    assert store.numbers(ids).tolist() == list(range(len(ids)))


def test_dense_integer_ids_are_found_directly(tmp_path):
    write_texts(tmp_path / "s", ((str(3 * i), "text") for i in range(1000)))
    np.save(tmp_path / "s/hashes.npy", np.zeros(1000, dtype=np.uint64))  # nothing has these hashes
    store = TextStore(tmp_path / "s")
    assert store.numbers(["a"]).tolist() == [-1]
    assert store.numbers(["2997", "0", "1", "5000"]).tolist() == [999, 0, -1, -1]
    write_texts(tmp_path / "sparse", [("0", "text"), ("1000000000", "text")])
    assert not (tmp_path / "sparse" / "places.npy").exists()


def test_more_records_than_a_batch_keep_their_numbers(tmp_path):
    write_texts(tmp_path / "s", ((f"p{i}", f"text {i}") for i in range(40_000)))
    store = TextStore(tmp_path / "s")
    assert len(store) == 40_000
    assert store.numbers(["p39999", "p16384", "p40000"]).tolist() == [39_999, 16_384, -1]
    assert store.ids([16_383]) == ["p16383"]


def test_a_repeated_id_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="'b' occurs twice"):
        write_texts(tmp_path / "s", [("a", "x"), ("b", "y"), ("b", "z")])
    assert list(tmp_path.iterdir()) == []


def test_an_empty_source_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^corpus.jsonl: has no text to store"):
        write_texts(tmp_path / "s", [], "corpus.jsonl")


def test_a_text_that_is_no_unicode_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"^some/id: half a surrogate pair in the text of 'b'"):
        write_texts(tmp_path / "s", [("a", "x"), ("b", "\ud83d")], "some/id")


def test_offsets_have_64_bits(tmp_path):
    """More than 2 GiB of ids, or of text in a batch, cannot be counted in 32."""
    write_texts(tmp_path / "s", [("a", "x"), ("b", "y")])
    store = TextStore(tmp_path / "s")
    assert store.all_ids().type == pa.large_string()
    assert pa.ipc.open_file(tmp_path / "s/texts.arrow").schema.field("text").type == "large_string"


def test_a_store_with_32_bits_is_read_too(tmp_path):
    """As they were before."""
    write_texts(tmp_path / "s", [("a", "x"), ("b", "y")])
    file = tmp_path / "s/texts.arrow"
    with pa.memory_map(str(file)) as mapped:
        table = pa.ipc.open_file(mapped).read_all()
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pa.ipc.new_file(tmp_path / "old", schema) as old:
        old.write_table(table.cast(schema))
    (tmp_path / "old").replace(file)
    store = TextStore(tmp_path / "s")
    assert list(store) == [("a", "x"), ("b", "y")]
    for kind in (pa.string(), pa.large_string()):
        assert store.numbers(pa.array(["b", "c", "a"], kind)).tolist() == [1, -1, 0]
