"""The token store."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
from tokenizers import normalizers

from restage.collections.tokens import write_tokens
from tests.conftest import ARCHITECTURES, WORDS


def test_ids_take_two_bytes_where_they_fit(token_store):
    store = token_store(["the old town", ""], ARCHITECTURES["bert"][0]())
    assert store.ids.dtype == np.uint16
    assert len(store[1]) == 0


def test_two_processes_give_what_one_gives(store, tmp_path):
    texts = store((str(i), " ".join(WORDS[i % 7 : i % 13])) for i in range(9000))
    write_tokens(tmp_path / "one", texts, ARCHITECTURES["roberta"][0]())
    # In a script without a main guard, as Snakemake's are.
    script = f"""
        from tests.conftest import ARCHITECTURES
        from restage.collections.texts import TextStore
        from restage.collections.tokens import write_tokens
        texts = TextStore({str(texts.folder)!r})
        write_tokens({str(tmp_path / "two")!r}, texts, ARCHITECTURES["roberta"][0](), processes=2)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
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
