"""Tiny models, tokenizers and stores that the tests share."""

import os
import resource
import shutil
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for a hub

import pytest
import torch
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from restage.collections.texts import TextStore, write_texts
from restage.collections.tokens import TokenStore, write_tokens
from restage.first_stage import encoding

# Several processes test at a time; more threads than cores make each of them slower.
torch.set_num_threads(1)
# How long an example takes is the machine's business: no test fails for it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
os.fsync = lambda descriptor: None  # thousands of files are written, and no power is cut

LINE = "the river a bridge of stone old town people eat fish bread wind rain how many who"
WORDS = LINE.split()
TEXTS = [" ".join(WORDS[i % 16 : i % 16 + 1 + i % 7]) for i in range(400)]


def wordpiece():
    """A BERT-style tokenizer: [CLS] query [SEP] passage [SEP], with segment ids."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    # Written down, not trained: the trainer numbers its pieces anew in each process.
    letters = sorted(set("".join(WORDS)))
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
    pieces += [part for word in WORDS[:12] for part in (word[:2], f"##{word[-2:]}", word)]
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(dict.fromkeys(pieces))})


def byte_pairs():
    """A RoBERTa-style tokenizer: <s> query </s></s> passage </s>, all in segment 0."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = ["bos_token", "pad_token", "eos_token", "unk_token", "mask_token"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        **dict(zip(names, special, strict=True)),
    )


def modern_byte_pairs():
    """A ModernBERT-style tokenizer: byte pairs as [CLS] query [SEP] passage [SEP], one segment."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=330, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return with_pairs(tokenizer, special, segment=0)


def unigram():
    """A DeBERTa-v3-style tokenizer: unigram pieces as [CLS] query [SEP] passage [SEP]."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = UnigramTrainer(vocab_size=90, special_tokens=special, unk_token="[UNK]")
    tokenizer.train_from_iterator(TEXTS, trainer)
    return with_pairs(tokenizer, special, segment=1)


def with_pairs(tokenizer, special, segment):
    """Put pairs as [CLS] query [SEP] passage [SEP], the passage in ``segment``."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair=f"[CLS] $A [SEP] $B:{segment} [SEP]:{segment}",
        special_tokens=[(token, special.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = {f"{token.strip('[]').lower()}_token": token for token in special}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
    "num_labels": 1,
}
ARCHITECTURES = {
    "bert": (wordpiece, BertConfig, BertForSequenceClassification, SMALL),
    "electra": (
        wordpiece,
        ElectraConfig,
        ElectraForSequenceClassification,
        SMALL | {"embedding_size": 8},
    ),
    "distilbert": (
        wordpiece,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "num_labels": 1},
    ),
    "roberta": (
        byte_pairs,
        RobertaConfig,
        RobertaForSequenceClassification,
        SMALL | {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    ),
    "deberta": (
        unigram,
        DebertaV2Config,
        DebertaV2ForSequenceClassification,
        SMALL
        | {"relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm"}
        | {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    ),
    "modernbert": (
        modern_byte_pairs,
        ModernBertConfig,
        ModernBertForSequenceClassification,
        SMALL
        | {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2}
        | {"eos_token_id": 3, "global_attn_every_n_layers": 2, "local_attention": 16},
    ),
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folders of tiny untrained backbones with their tokenizers, by architecture."""

    def make(name: str) -> str:
        folder = tmp_path_factory.getbasetemp() / f"tiny-{name}"
        if not folder.exists():
            tokenizer, config, model, settings = ARCHITECTURES[name]
            tokenizer = tokenizer()
            torch.manual_seed(0)
            model(config(vocab_size=len(tokenizer), **settings)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def hub_model(tiny, tmp_path, monkeypatch):
    """Put a tiny model into a cache of the hub's of this test; each call is a new revision."""
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def add(name: str, revision: str) -> str:
        folder = cache / f"models--{name.replace('/', '--')}"
        shutil.copytree(tiny("bert"), folder / "snapshots" / revision)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs/main").write_text(revision)
        return str(folder / "snapshots" / revision)

    return add


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Write a text store of (id, text) records and return it with its folder."""

    def make(records):
        folder = tmp_path_factory.mktemp("texts") / "store"
        write_texts(folder, records)
        return TextStore(folder)

    return make


@pytest.fixture(scope="session")
def token_store(tmp_path_factory, store):
    """Write a token store of texts and return it; its folder is ``.folder``."""

    def make(texts, tokenizer):
        folder = tmp_path_factory.mktemp("tokens") / "store"
        write_tokens(folder, store((str(i), text) for i, text in enumerate(texts)), tokenizer)
        made = TokenStore(folder)
        made.folder = folder
        return made

    return make


@contextmanager
def room(size):
    """No file may become larger: what happens to a process on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupt an engine's encoding once; the list returned has how many texts each call got."""

    def after(calls):
        encoded, encode = [], encoding.encode

        def counted(how, model, texts, compute, **options):
            if len(encoded) == calls:
                raise KeyboardInterrupt
            encoded.append(len(texts))
            return encode(how, model, texts, compute, **options)

        monkeypatch.setattr(encoding, "encode", counted)
        return encoded

    return after


@pytest.fixture
def server():
    """Serve {name: bytes} on this machine and return the address.

    ``server.requests`` has the Range header of each request. With ``break_after`` the first answer
    ends after so many bytes; without ``ranges`` every answer is the whole file.
    """
    running = []

    def serve(files, break_after=None, ranges=True):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                serve.requests.append(self.headers["Range"])
                content = files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                start = 0
                if ranges and self.headers["Range"]:
                    start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                if start >= len(content) > 0:
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    end = len(content)
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
                self.end_headers()
                end = break_after if break_after and len(serve.requests) == 1 else None
                self.wfile.write(content[start:end])

            def log_message(self, *_):
                pass

        running.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=running[-1].serve_forever, args=[0.01], daemon=True).start()
        return f"http://127.0.0.1:{running[-1].server_port}"

    serve.requests = []
    yield serve
    for each in running:
        each.shutdown()


class Evil:
    """A pickle of this leaves a file behind when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def evil(tmp_path):
    """What to pickle, and the path that exists once the pickle has been loaded."""
    return Evil(tmp_path / "was-run"), tmp_path / "was-run"
