# ruff: noqa: RUF001
"""Lexical models for text in any script."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyterrier_pisa import PisaStemmer, tokenize

from restage.errors import InputError
from restage.first_stage.pisa import Pisa
from restage.first_stage.unicode import Unicode
from restage.grid.settings import Compute
from tests.first_stage.test_engine import SCHEMA

COMPUTE = Compute(threads=1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.fixture
def ranked(store, tmp_path):
    """Index passages and return the ids that each query finds, best first."""

    def run(engine, passages, *queries):
        texts = store((f"p{number}", text) for number, text in enumerate(passages))
        engine.index(texts, tmp_path / "index", COMPUTE, tmp_path / "state", None)
        asked = store((str(number), text) for number, text in enumerate(queries))
        found = engine.retrieve(tmp_path / "index", asked, 10, COMPUTE)
        mine = (found[found["query_id"] == str(number)] for number in range(len(queries)))
        return ["".join(some["doc_id"]).replace("p", "") for some in mine]

    return run


def test_umlauts_are_letters_and_stems_are_found(ranked):
    passages = ["Herr Möller backt", "Herr Müller backt", "Die Häuser der Straße", "Wind", "Regen"]
    found = ranked(Unicode(language="german"), passages, "MÖLLER", "Hauses", "strasse", "ller")
    assert found == ["0", "2", "2", ""]


@pytest.mark.parametrize(
    ("language", "passages", "query"),
    [
        ("russian", ["Хлеб пекут в городе", "Реки текут через долину", "Мост", "Ветер"], "река"),
        ("turkish", ["ışık", "IRMAKLAR", "irmak", "rüzgar"], "ırmak"),
        (None, ["面包在老城区烘烤。", "阿尔玛河流经山谷。", "石桥横跨水面。"], "哪条河流经山谷"),
        (None, ["コーヒーを飲む", "ラーメンを食べる", "石の橋"], "ﾗｰﾒﾝ"),
        (None, ["ขนมปังอบในเมืองเก่า", "แม่น้ำไหลผ่านหุบเขา", "สะพานหิน"], "แม่น้ำ"),
        (None, ["빵은 시내에서 굽는다", "강물이 골짜기를 흐른다", "돌다리"], "골짜기"),
        (None, ["रोटी शहर में", "नदी घाटी से", "पुल पत्थर का"], "घाटी"),
        (None, ["خبز", "النهر في الوادي", "جسر", "ريح"], "النهر"),
        (None, ["石桥横跨水面。", "他们喝茶，读书", "面包"], "茶"),
    ],
)
def test_words_of_any_script_are_found(ranked, language, passages, query):
    assert ranked(Unicode(language=language), passages, query) == ["1"]


def test_a_query_without_a_word_is_told(ranked, caplog):
    assert ranked(Unicode(), ["река", "мост"], "?!", "мост") == ["", "1"]
    assert "1 of 2 queries have no word that the index reads, such as '0'" in caplog.text


def test_an_index_without_a_word_is_refused(ranked):
    with pytest.raises(InputError, match="no passage has a word"):
        ranked(Unicode(), ["…", "?!"], "any")


@settings(deadline=None)
@given(st.lists(TEXT, max_size=5).map(" ".join))
def test_pisa_gets_just_our_words_and_no_two_are_one(text):
    words = Unicode().words(text)
    assert tokenize(" ".join(words), PisaStemmer.none) == words
    plain = [bytes.fromhex(w[2:]).decode() if w.startswith("0x") else w for w in words]
    assert Unicode().words(" ".join(plain)) == words or not text.isascii()
    assert all(word == word.casefold() for word in plain)


def test_characters_stand_in_pairs_and_in_passages_alone_too():
    def plain(words):
        return [bytes.fromhex(word[2:]).decode() for word in words]

    pairs = ["".join(pair) for pair in pairwise("石桥横跨")]
    assert plain(Unicode().words("石桥横跨")) == pairs
    assert plain(Unicode().words("石桥横跨", singles=True)) == [*pairs, *"石桥横跨"]
    assert Unicode().words("0xd0 a1") == ["0x" + b"0xd0".hex(), "a1"]


def test_the_schema_has_the_languages_that_have_stems():
    Stemmer = pytest.importorskip("Stemmer")
    import yaml

    about = yaml.safe_load(SCHEMA.read_text())["$defs"]["unicode"]["properties"]["language"]
    variants = {"porter", "dutch_porter"}
    assert about["enum"] == [None, *sorted({*Stemmer.algorithms()} - variants)]


def lines(count, text):
    return [(f"{text[:2]}{number}", text) for number in range(count)]


def test_a_collection_that_pisa_would_lose_is_refused(store, tmp_path):
    collections = [
        ([*lines(2, "Storms and rain come"), *lines(2, "Река Алма")], "33% of the words"),
        (lines(3, "石桥横跨水面。"), "100% of the words have others"),
        (lines(3, "Zwölf Boxkämpfer jagen Viktor quer über den großen Deich"), "of the words have"),
        (lines(3, "…?!"), "there are none"),
    ]
    for records, what in collections:
        with pytest.raises(InputError, match=f"'pisa' reads ASCII .*{what}.*; use 'engine: uni"):
            Pisa.share(store(records), tmp_path / "index", COMPUTE)
    assert list(tmp_path.iterdir()) == []


def test_a_few_words_that_pisa_loses_are_told(store, tmp_path, caplog):
    records = [*lines(40, "storms and rain come from the west"), ("a", "the café"), ("r", "Река")]
    Pisa.share(store(records), tmp_path / "index", COMPUTE)
    told = "reads ASCII letters and digits only: 2 of about 283 words and 1 passages have others"
    assert told in caplog.text
