"""A fictional gazetteer: the collection, queries, qrels and ranked lists of the embedded demo.

Everything is drawn from one seed and written in the formats of the real data: a collection in BEIR
layout, a TREC run of the training queries (as from ColBERTv2) and permutations of twenty candidates
(as from RankGPT). The task is made so that matching words finds the right place but not the right
passage: questions name an attribute in other words than the passages that state it, some passages
only repeat a question, and neighbouring places have similar names and turn up in each other's
passages.

    python -m restage.demo.gazetteer FOLDER [--seed 42] [--places 240]
"""

import argparse
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from restage.demo import words
from restage.errors import InputError
from restage.files import complete

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

T = TypeVar("T")

# The numbers that decide how hard the task is: counts per place, and shares.
ATTRIBUTES = 5
PASSAGES = 10
QUERIES = {"train": 5, "valid": 4, "test": 2}  # per place of the split
DISTRICT = 6  # places whose names are easily confused
UNANSWERED = 1  # more passages per place, which repeat a question and leave it at that
NEIGHBOUR = 0.1  # of the passages: with a sentence that names another place
TITLE = 0.1
REWORDED = 0.25  # of the test queries: in words that no training query has
CANDIDATES = 20
COLBERT_DEPTH = 50
TEACHER_NOISE = 0.3
MALFORMED = 0.09


class Place(NamedTuple):
    """An invented place: ``facts`` maps an attribute to its value and a rough idea of it."""

    name: str
    kind: str
    split: str
    neighbours: tuple[str, ...]
    facts: dict[str, tuple[str, str]]


class Passage(NamedTuple):
    """A passage on one place; ``states`` maps an attribute to 3 (stated fully) or 2 (vaguely)."""

    id: str
    place: str
    states: dict[str, int]
    title: str
    text: str


class Query(NamedTuple):
    """A question for one attribute of one place."""

    id: str
    split: str
    place: str
    attribute: str
    text: str


def relevance(query: Query, passage: Passage) -> int:
    """Grade from 0 to 3: 3 states the fact, 2 hints at it, 1 is about a related attribute."""
    if query.place != passage.place:
        return 0
    related = words.ATTRIBUTES[query.attribute].related
    return passage.states.get(query.attribute, int(any(a in passage.states for a in related)))


def _rng(seed: int, *key: str | int) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in key)])


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _slug(*parts: str) -> str:
    return " ".join(parts).lower().replace(" ", "-")


def _districts(seed: int, count: int) -> Iterator[list[str]]:
    """Names that are easily confused: all those of a district have one root."""
    rng = _rng(seed, "names")
    roots = ["".join(pair) for pair in product(words.STEMS, words.VOWELS)]
    for root in rng.permutation(roots)[: -(-count // DISTRICT)]:
        yield [str(root + end) for end in rng.choice(words.ENDINGS, DISTRICT, replace=False)]


def _places(seed: int, count: int) -> list[Place]:
    places: list[Place] = []
    for d, district in enumerate(_districts(seed, count)):
        for i, name in enumerate(district[: count - len(places)]):
            split = "test" if i == 5 else "valid" if i == 4 and d % 5 == 0 else "train"
            rng = _rng(seed, "place", name)
            kind = _pick(rng, words.KINDS)
            others = tuple(other for other in district if other != name)
            places.append(Place(name, kind, split, others, _facts(rng, kind)))
    return places


def _facts(rng: np.random.Generator, kind: str) -> dict[str, tuple[str, str]]:
    """Values for some attributes, related ones together, so that they can be confused."""
    chosen: dict[str, None] = {}
    for name in rng.permutation(list(words.ATTRIBUTES)):
        chosen |= dict.fromkeys([str(name), *words.ATTRIBUTES[name].related])
    fit = [name for name in chosen if kind not in words.ATTRIBUTES[name].not_for]
    return {name: _pick(rng, words.ATTRIBUTES[name].values) for name in fit[:ATTRIBUTES]}


def _passages(seed: int, place: Place) -> Iterator[Passage]:
    """Each attribute is stated fully once or twice and vaguely once, in different passages.

    Besides there are open questions: no passage matches a query's words better.
    """
    rng = _rng(seed, "passages", place.name)
    statements = []
    for attribute, (value, rough) in place.facts.items():
        known = words.ATTRIBUTES[attribute]
        for full in rng.choice(known.full, rng.integers(1, 3), replace=False):
            statements.append((attribute, 3, full.replace("{v}", value)))
        statements.append((attribute, 2, _pick(rng, known.vague).replace("{r}", rough)))
    for number, position in enumerate(rng.permutation(PASSAGES), start=1):
        own = statements[position::PASSAGES]
        sentences = [own[i][2] for i in rng.permutation(len(own))]
        sentences = _named(sentences, place)
        if rng.random() < NEIGHBOUR:
            at, asides = _pick(rng, [(0, words.OPENINGS), (len(sentences), words.CLOSINGS)])
            other = _pick(rng, place.neighbours)
            sentences.insert(at, _pick(rng, asides).format(place=place.name, other=other))
        title = place.name if rng.random() < TITLE else ""
        states = {attribute: grade for attribute, grade, _ in own}
        id = _slug(place.name, str(number))
        yield Passage(id, place.name, states, title, " ".join(sentences))
    asked = rng.choice(list(place.facts), UNANSWERED, replace=False)
    for number, attribute in enumerate(asked, start=PASSAGES + 1):
        question = _pick(rng, words.ATTRIBUTES[attribute].asked).format(place=place.name)
        id, text = _slug(place.name, str(number)), f"{question} {_pick(rng, words.UNANSWERED)}"
        yield Passage(id, place.name, {}, "", text)


def _named(sentences: list[str], place: Place) -> list[str]:
    """The first sentence names the place, the others say "the town"."""
    names = [place.name] + [f"the {place.kind}"] * (len(sentences) - 1)
    named = [s.format(place=name) for s, name in zip(sentences, names, strict=True)]
    return [sentence[0].upper() + sentence[1:] for sentence in named]


def _queries(seed: int, place: Place) -> Iterator[Query]:
    rng = _rng(seed, "queries", place.name)
    for attribute in rng.choice(list(place.facts), QUERIES[place.split], replace=False):
        known = words.ATTRIBUTES[attribute]
        new = place.split == "test" and rng.random() < REWORDED
        text = _pick(rng, known.reworded if new else known.asked).format(place=place.name)
        yield Query(_slug(place.name, attribute), place.split, place.name, str(attribute), text)


def _grades(query: Query, passages: list[Passage], places: np.ndarray) -> np.ndarray:
    """The relevance of all passages; ``places`` has the place of each."""
    grades = np.zeros(len(passages), dtype=int)
    for i in np.flatnonzero(places == query.place):
        grades[i] = relevance(query, passages[i])
    return grades


def _bm25(
    queries: list[Query], passages: list[Passage], k1: float = 0.9, b: float = 0.4
) -> "csr_matrix":
    """BM25 scores, queries x passages."""
    counter = CountVectorizer(stop_words="english")
    counts = counter.fit_transform(passage.text for passage in passages).astype(float).tocoo()
    length = np.asarray(counts.sum(axis=1)).ravel()
    matching = np.bincount(counts.col, minlength=counts.shape[1])
    idf = np.log1p((len(passages) - matching + 0.5) / (matching + 0.5))
    norm = k1 * (1 - b + b * length / length.mean())
    counts.data *= idf[counts.col] * (k1 + 1) / (counts.data + norm[counts.row])
    return (counter.transform(query.text for query in queries) @ counts.T).tocsr()


def _best(scores: np.ndarray, depth: int) -> np.ndarray:
    return np.argsort(-scores, kind="stable")[:depth]


def _spell(rng: np.random.Generator, order: list[int]) -> str:
    """A permutation as a language model answers it, now and then spoilt in one of five ways."""
    way = int(rng.integers(5)) if rng.random() < MALFORMED else -1
    if way == 4:
        return _pick(rng, words.REFUSALS)
    if way == 0:
        del order[rng.integers(len(order))]
    if way == 1:
        order.insert(rng.integers(len(order)), order[rng.integers(len(order))])
    return " > ".join(f"[{i}]" for i in order) + {2: ".", 3: " >"}.get(way, "")


def _retrieved(
    seed: int, query: Query, passages: list[Passage], lexical: np.ndarray, grades: np.ndarray
) -> Iterator[str]:
    """A query's lines by a retriever that has some sense of the answer beside matching words."""
    noise = _rng(seed, "colbert", query.id).normal(0, 1.5, len(grades))
    scores = np.round(14 + 6 * lexical + 1.5 * grades + noise, 4)
    for rank, i in enumerate(_best(scores, COLBERT_DEPTH), start=1):
        yield f"{query.id}\t0\t{passages[i].id}\t{rank}\t{scores[i]}\tColBERT\n"


def _permutation(seed: int, query: Query, liking: np.ndarray) -> str:
    """The answer of a language model that knows the place and sees the answer, with noise."""
    rng = _rng(seed, "teacher", query.id)
    noise = rng.normal(0, TEACHER_NOISE, CANDIDATES)
    return _spell(rng, (_best(liking + noise, CANDIDATES) + 1).tolist())


def _write_collection(folder: Path, passages: list[Passage], queries: list[Query]) -> None:
    """BEIR layout; a judgment is 2 for the fact, 1 for a hint and 0 for a related attribute."""
    (folder / "qrels").mkdir(parents=True)
    corpus = ({"_id": p.id, "title": p.title, "text": p.text} for p in passages)
    (folder / "corpus.jsonl").write_text(_json_lines(corpus))
    asked = ({"_id": query.id, "text": query.text} for query in queries)
    (folder / "queries.jsonl").write_text(_json_lines(asked))
    lines = {split: ["query-id\tcorpus-id\tscore\n"] for split in QUERIES}
    places = np.array([passage.place for passage in passages])
    for query in queries:
        grades = _grades(query, passages, places)
        for i in np.flatnonzero(grades):
            lines[query.split].append(f"{query.id}\t{passages[i].id}\t{grades[i] - 1}\n")
    for split, rows in lines.items():
        (folder / "qrels" / f"{split}.tsv").write_text("".join(rows))


def _write_ranked_lists(
    folder: Path, seed: int, passages: list[Passage], queries: list[Query]
) -> None:
    """The lists of the two teachers: a late-interaction retriever and a language model.

    The language model orders BM25's candidates.
    """
    run: list[str] = []
    candidates, permutations = [], []
    places = np.array([passage.place for passage in passages])
    for query, row in zip(queries, _bm25(queries, passages), strict=True):
        grades, lexical = _grades(query, passages, places), row.toarray().ravel()
        lexical /= lexical.max()
        run += _retrieved(seed, query, passages, lexical, grades)
        shown = _best(lexical, CANDIDATES)
        liking = grades[shown] + (places[shown] == query.place)
        permutations.append(_permutation(seed, query, liking))
        listed = [{"docid": passages[i].id, "rank": r} for r, i in enumerate(shown, start=1)]
        record = {"query_id": query.id, "query": query.text, "retrieved_passages": listed}
        candidates.append(record)
    (folder / "colbert.run").write_text("".join(run))
    (folder / "rankgpt-permutations.json").write_text(json.dumps(permutations, indent=0) + "\n")
    with zipfile.ZipFile(folder / "rankgpt-candidates.jsonl.zip", "w") as archive:
        member = zipfile.ZipInfo("rankgpt-candidates.jsonl", (2024, 1, 1, 0, 0, 0))
        archive.writestr(member, _json_lines(candidates), zipfile.ZIP_DEFLATED)


def _json_lines(records: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _recorded(folder: Path) -> dict[str, Any]:
    """What the gazetteer in ``folder`` was made from; {} where there is none."""
    try:
        return json.loads((folder / "gazetteer.json").read_text())
    except (OSError, ValueError):
        return {}


def write_gazetteer(folder: str | os.PathLike, seed: int = 42, places: int = 240) -> dict[str, Any]:
    """Write the gazetteer's files into ``folder``, unless the same ones are there already.

    ``folder`` gets collection/ (BEIR layout), colbert.run, rankgpt-candidates.jsonl.zip,
    rankgpt-permutations.json and gazetteer.json. The last says what the files were made from and
    how many passages and queries they hold; it is also what is returned.

    Raises:
        InputError: more places than there are names or too few for every split, or ``folder``
            holds something else, which would be lost.
    """
    folder, most = Path(folder), DISTRICT * len(words.STEMS) * len(words.VOWELS)
    if not DISTRICT <= places <= most:
        raise InputError(f"--places {places}: give a number from {DISTRICT} to {most}")
    sources = Path(__file__).read_bytes() + Path(words.__file__).read_bytes()
    made_from = {"seed": seed, "places": places, "generator": sha256(sources).hexdigest()}
    there = _recorded(folder)
    if made_from.items() <= there.items():
        return there
    if not there and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is no gazetteer; give a new or empty folder")
    world = _places(seed, places)
    passages = [passage for place in world for passage in _passages(seed, place)]
    queries = [query for place in world for query in _queries(seed, place)]
    counts = Counter(query.split for query in queries)
    with complete(folder) as part:
        _write_collection(part / "collection", passages, queries)
        _write_ranked_lists(part, seed, passages, [q for q in queries if q.split == "train"])
        record = {**made_from, "passages": len(passages), "queries": counts}
        (part / "gazetteer.json").write_text(json.dumps(record) + "\n")
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the fictional gazetteer of the demo.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--places", type=int, default=240)
    arguments = parser.parse_args()
    before = _recorded(arguments.folder)
    try:
        same = write_gazetteer(arguments.folder, arguments.seed, arguments.places) == before
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
    print(f"{'Already there:' if same else 'Wrote'} the gazetteer in {arguments.folder}")


if __name__ == "__main__":
    main()
