"""Kept scores: none is computed twice, none is stale, and all are as from scratch."""

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restage.code import Code
from restage.grid.settings import Compute
from restage.model import kept as kept_module
from restage.model import scoring
from restage.model.heads import load_model
from restage.model.kept import Kept, KeptScorer
from restage.model.names import load_tokenizer
from restage.model.scoring import Scorer
from tests.conftest import TEXTS

QUERIES, PASSAGES = TEXTS[16:23], TEXTS[:40]
COMPUTE = Compute(threads=1, tokens_per_batch=256, gpus_per_scoring=0)
SETTINGS = {"max_length": 32, "segment_ids": False, "compute": COMPUTE}


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    return Code(tmp_path_factory.mktemp("code") / "code.json")


@pytest.fixture(scope="module")
def stores(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    return [token_store(texts, tokenizer).folder for texts in (QUERIES, PASSAGES)]


@pytest.fixture(scope="module")
def expected(tiny, stores, tmp_path_factory):
    """The score of each pair, as all of them are scored from scratch: queries by passages."""
    scorer = Scorer(tiny("bert"), *stores, **SETTINGS, state=tmp_path_factory.mktemp("s") / "state")
    with scorer(*(grid.ravel() for grid in np.indices((7, 40)))) as scores:
        assert len(set(scores.tolist())) > 100
        return scores.reshape(7, 40)


@pytest.fixture
def scorer(tiny, stores, code, tmp_path):
    def make(file="kept/a.parquet", model=None, tokens=stores, **others):
        folder = tmp_path if isinstance(file, str) else file.parent
        state = {"state": folder / "state"}
        return KeptScorer(
            folder / file, code, model or tiny("bert"), *tokens, **SETTINGS | state | others
        )

    return make


@pytest.fixture
def told(caplog):
    """How many pairs had a score, and of how many, in each scoring so far."""
    caplog.set_level("INFO", logger="restage")
    counts = re.compile(r"^(.*) of (.*) pairs have a score already$")
    return lambda: [
        tuple(int(count) for count in found.groups())
        for line in caplog.messages
        if (found := counts.match(line))
    ]


def scores_of(scorer, queries, passages):
    with scorer(np.array(queries), np.array(passages)) as scores:
        assert scores.dtype == np.float32
        return scores.tolist()


PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 39)), min_size=1, max_size=40)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(jobs=st.lists(st.tuples(st.sampled_from("abc"), PAIRS), min_size=1, max_size=5))
def test_any_jobs_give_what_each_pair_has_from_scratch(
    scorer, expected, jobs, tmp_path_factory, monkeypatch
):
    folder, scored, score = tmp_path_factory.mktemp("jobs"), [], scoring.score_pairs

    def counted(model, encoder, queries, passages, *others, **settings):
        scored.extend(zip(queries.tolist(), passages.tolist(), strict=True))
        return score(model, encoder, queries, passages, *others, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_pairs", counted)
        for name, pairs in jobs:
            queries, passages = map(list, zip(*pairs, strict=True))
            found = scores_of(scorer(folder / f"{name}.parquet"), queries, passages)
            assert found == expected[queries, passages].tolist()
    texts = [(QUERIES[q], PASSAGES[p]) for q, p in scored]
    assert len(texts) == len(set(texts))
    assert set(texts) == {(QUERIES[q], PASSAGES[p]) for _, pairs in jobs for q, p in pairs}


def test_how_many_have_a_score_is_told(scorer, told):
    scores_of(scorer("kept/a.parquet"), [1] * 10, range(10))
    scores_of(scorer("kept/b.parquet"), [1] * 10 + [2] * 6, [*range(5, 15), *range(6)])
    scores_of(scorer("kept/b.parquet"), [1] * 15, range(15))
    assert told() == [(0, 10), (5, 16), (15, 15)]


def test_pairs_are_known_by_their_tokens_whatever_their_numbers(
    scorer, tiny, token_store, expected, told
):
    scores_of(scorer(), [3] * 40, range(40))
    tokenizer = load_tokenizer(tiny("bert"))
    others = [QUERIES[3], *QUERIES], ["eat fish", *PASSAGES[::-1]]
    tokens = [token_store(texts, tokenizer).folder for texts in others]
    found = scores_of(scorer("kept/b.parquet", tokens=tokens), [0] * 20 + [4] * 20, range(1, 41))
    assert found == expected[3][::-1].tolist()
    assert told()[-1] == (40, 40)


def test_the_end_of_a_query_is_no_beginning_of_a_passage(tiny, token_store):
    tokenizer = load_tokenizer(tiny("bert"))
    queries = token_store(["the river", "the", ""], tokenizer)
    passages = token_store(["a bridge", "river a bridge", "the river a bridge"], tokenizer)
    pairs = kept_module._pairs(queries, passages, np.arange(3), np.arange(3))
    assert len(set(pairs)) == 3


def renamed(folder):
    """Nothing that decides a score."""
    (folder / "README.md").write_text("other prose")
    return {}


def retrained(folder):
    torch.manual_seed(1)
    model = load_model(folder)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    return {}


def configured(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    return {}


def other_special_tokens(folder):
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"id": "[SEP]"', '"id": "[MASK]"'))
    return {}


CHANGES = {
    "nothing": (renamed, True),
    "weights": (retrained, False),
    "config": (configured, False),
    "special tokens": (other_special_tokens, False),
    "max_length": (lambda _: {"max_length": 20}, False),
    "segment_ids": (lambda _: {"segment_ids": True}, False),
    "precision": (lambda _: {"compute": replace(COMPUTE, precision="fp16")}, False),
    "threads": (lambda _: {"compute": replace(COMPUTE, threads=2)}, False),
    "batches": (lambda _: {"compute": replace(COMPUTE, tokens_per_batch=64)}, True),
}


@pytest.mark.parametrize("what", CHANGES)
def test_scores_that_something_else_decided_are_not_taken(what, scorer, tiny, tmp_path):
    change, same = CHANGES[what]
    model = shutil.copytree(tiny("bert"), tmp_path / "model")
    before = scorer(model=model).key
    other = Path(shutil.move(model, tmp_path / "moved"))
    assert (scorer(model=other, **change(other)).key == before) == same


@pytest.mark.parametrize("what", ["processor", "versions", "modules"])
def test_nor_those_of_another_machine_version_or_code(what, scorer, monkeypatch, tmp_path):
    before = scorer().key
    if what == "modules":
        other = tmp_path / "scoring.py"
        text = Path(kept_module.modules()[kept_module.SCORING]).read_text()
        other.write_text(text.replace("logits[:, 0]", "logits[:, -1]"))
        changed = kept_module.modules() | {kept_module.SCORING: other}
        monkeypatch.setattr(kept_module, "modules", lambda: changed)
    elif what == "versions":
        monkeypatch.setattr(kept_module, "versions", lambda: {"torch": "1.0"})
    else:
        monkeypatch.setattr(kept_module, "processor", lambda: "another one")
    assert scorer().key != before


def test_scores_of_another_key_are_replaced(tmp_path):
    file = tmp_path / "a.parquet"
    Kept(file, "one").add({bytes(16): np.float32(1)})
    Kept(tmp_path / "b.parquet", "one").add({b"b" * 16: np.float32(3)})
    other = Kept(file, "other")
    assert other.scores() == {}
    other.add({b"a" * 16: np.float32(2)})
    assert other.scores() == {b"a" * 16: 2}
    assert Kept(file, "one").scores() == {b"b" * 16: 3}


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_passed_over(tmp_path, at, change, cut):
    whole = {bytes([i] * 16): np.float32(i / 3) for i in range(20)}
    others = {b"other pair's key": np.float32(7)}
    (tmp_path / "a.parquet").unlink(missing_ok=True)
    Kept(tmp_path / "a.parquet", "key").add(whole)
    Kept(tmp_path / "b.parquet", "key").add(others)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    place = int(at * len(data))
    data[place] ^= change
    (tmp_path / "a.parquet").write_bytes(data[:place] if cut else data)
    kept = Kept(tmp_path / "a.parquet", "key")
    assert kept.scores() in (others, whole | others)  # some bytes say nothing
    new = {b"n" * 16: np.float32(1)}
    kept.add(new)
    assert kept.scores().items() >= (new | others).items()


def test_scores_that_are_not_finite_are_passed_over(tmp_path):
    Kept(tmp_path / "a.parquet", "key").add({b"a" * 16: np.float32(np.nan), b"b" * 16: 1})
    assert Kept(tmp_path / "b.parquet", "key").scores() == {}


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_foreign_file_is_passed_over(tmp_path, content):
    if content is None:
        kept_module.pq.write_table(kept_module.pa.table({"a": [1]}), tmp_path / "a.parquet")
    else:
        (tmp_path / "a.parquet").write_bytes(content)
    assert Kept(tmp_path / "b.parquet", "key").scores() == {}


def keep(folder, number):
    """A job of a dataset: it reads all that is kept, and adds some at a time."""
    for i in range(10):
        kept = Kept(folder / f"{number}.parquet", "key")
        found = kept.scores()
        assert all(score == pair[0] + pair[1] for pair, score in found.items())
        kept.add({bytes([number, i]) + bytes(14): np.float32(number + i)})


def test_jobs_at_the_same_time_lose_nothing(tmp_path):
    with ProcessPoolExecutor(3) as processes:
        list(processes.map(keep, [tmp_path] * 3, range(3)))
    assert len(Kept(tmp_path / "0.parquet", "key").scores()) == 30


def test_a_killed_scoring_goes_on_to_the_same_scores(
    scorer, expected, monkeypatch, killed_after_two_pieces
):
    monkeypatch.setattr(scoring, "PAIRS_PER_PIECE", 16)
    queries, passages = np.arange(60) % 7, np.arange(60) % 40
    scored = killed_after_two_pieces
    with pytest.raises(KeyboardInterrupt):
        scores_of(scorer(), queries, passages)
    scored.append("again")
    assert scores_of(scorer(), queries, passages) == expected[queries, passages].tolist()
    assert scored[:4] == [16, 16, "again", 16]


def test_what_fails_after_scoring_does_not_lose_the_scores(scorer, told):
    with pytest.raises(OSError, match="full"), scorer()(np.zeros(9, int), np.arange(9)):
        raise OSError("the disk is full")
    scores_of(scorer(), [0] * 9, range(9))
    assert told() == [(0, 9), (9, 9)]


def test_torch_is_not_imported_where_every_pair_has_a_score(scorer, tiny, stores, tmp_path, code):
    scores_of(scorer(), [0] * 9, range(9))
    program = f"""
import sys
import numpy as np
from restage.code import Code
from restage.grid.settings import Compute
from restage.model.kept import KeptScorer
names = {str(tmp_path / "kept/a.parquet")!r}, Code({str(code.file)!r}), {tiny("bert")!r}
scorer = KeptScorer(*names, *{[str(store) for store in stores]!r}, max_length=32, segment_ids=False,
    compute={COMPUTE!r}, state="none")
with scorer(np.zeros(9, int), np.arange(9)) as scores:
    print(len(scores), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "9 False\n", done.stderr
