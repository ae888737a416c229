"""A fictional gazetteer: the collection, queries, qrels and ranked lists of the embedded demo.

Everything is drawn from one seed and written in the formats of the real data: a collection in BEIR
layout, a TREC run of the training queries (as from ColBERTv2) and permutations of twenty candidates
(as from RankGPT). The task is made so that matching words finds the right place but not the right
passage: questions name an attribute in other words than the passages do, passages about other
attributes use the words of the question, and neighbouring places turn up in each other's passages.

    python -m restage.gazetteer FOLDER [--seed 42] [--places 300]
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

PER_PLACE = {"attributes": 7, "passages": 8}
QUERIES = {"train": 4, "valid": 4, "test": 2}  # per place of the split
CANDIDATES = 20
COLBERT_DEPTH = 50
TEACHER_NOISE = 0.8
MALFORMED = 0.09
REFUSALS = (
    "I'm sorry, but I cannot rank these passages without more context.",
    "None of the passages answers the question directly.",
    "As a language model I do not have access to the passages you mention.",
)


@dataclass(frozen=True)
class Place:
    """An invented place: ``facts`` maps an attribute to its value and a rough idea of it."""

    name: str
    kind: str
    split: str
    neighbours: tuple[str, ...]
    facts: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Passage:
    """A passage on one place; ``states`` maps an attribute to 3 (stated fully) or 2 (vaguely)."""

    id: str
    place: str
    neighbour: str | None
    states: dict[str, int]
    title: str
    text: str


@dataclass(frozen=True)
class Query:
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
    related = ATTRIBUTES[query.attribute].related
    return passage.states.get(query.attribute, int(any(a in passage.states for a in related)))


def _rng(seed: int, *key: str | int) -> np.random.Generator:
    return np.random.default_rng([seed, *(zlib.crc32(str(part).encode()) for part in key)])


def _names(seed: int, count: int) -> list[list[str]]:
    """Districts of six places whose names are easily confused: three stems alike, three twins."""
    roots = ["".join(pair) for pair in product(STEMS, VOWELS)]
    rng = _rng(seed, "names")
    districts = []
    for root in rng.permutation(roots)[: -(-count // 6)]:
        plain = [root + ending for ending in rng.choice(ENDINGS, 3, replace=False)]
        twins = [form.format(n) for n, form in zip(plain, rng.permutation(TWINS), strict=False)]
        districts.append([str(name) for name in rng.permutation(plain + twins)])
    return districts


def _places(seed: int, count: int) -> list[Place]:
    places = []
    for d, district in enumerate(_names(seed, count)):
        for i, name in enumerate(district[: count - len(places)]):
            split = "test" if i == 5 else "valid" if i == 4 and d % 5 == 0 else "train"
            rng = _rng(seed, "place", name)
            kind = str(rng.choice(KINDS))
            others = tuple(other for other in district if other != name)
            places.append(Place(name, kind, split, others, _facts(rng, kind)))
    return places


def _facts(rng: np.random.Generator, kind: str) -> dict[str, tuple[str, str]]:
    """Values for some attributes, related ones together, so that they can be confused."""
    chosen: dict[str, None] = {}
    for name in rng.permutation(list(ATTRIBUTES)):
        chosen |= dict.fromkeys([str(name), *ATTRIBUTES[name].related])
    fit = [name for name in chosen if kind not in ATTRIBUTES[name].not_for]
    values = {name: ATTRIBUTES[name].values for name in fit[: PER_PLACE["attributes"]]}
    return {name: pairs[rng.integers(len(pairs))] for name, pairs in values.items()}


def _passages(seed: int, place: Place) -> Iterator[Passage]:
    """Each attribute is stated fully once or twice and vaguely once, in different passages."""
    rng = _rng(seed, "passages", place.name)
    statements = []
    for attribute, (v, r) in place.facts.items():
        known = ATTRIBUTES[attribute]
        full = rng.choice(known.full, rng.integers(1, 3), replace=False)
        vague = rng.choice(known.vague, 1)
        statements += [(attribute, 3, str(s).replace("{v}", v)) for s in full]
        statements += [(attribute, 2, str(s).replace("{r}", r)) for s in vague]
    order = rng.permutation(PER_PLACE["passages"])
    for number, position in enumerate(order):
        own = statements[position :: PER_PLACE["passages"]]
        states = {attribute: grade for attribute, grade, _ in own}
        sentences = [own[i][2] for i in rng.permutation(len(own))]
        if rng.random() < 0.35:
            sentences.insert(rng.integers(len(sentences) + 1), str(rng.choice(ASIDES)))
        sentences = _name(sentences, place)
        neighbour = str(rng.choice(place.neighbours)) if rng.random() < 0.4 else None
        if neighbour:
            opens = rng.random() < 0.5
            aside = str(rng.choice(OPENINGS if opens else CLOSINGS))
            aside = aside.format(place=place.name, other=neighbour)
            sentences.insert(0 if opens else len(sentences), aside)
        slug = place.name.lower().replace(" ", "-")
        title = place.name if rng.random() < 0.3 else ""
        yield Passage(
            f"{slug}-{number + 1}", place.name, neighbour, states, title, " ".join(sentences)
        )


def _name(sentences: list[str], place: Place) -> list[str]:
    """The first sentence names the place, the others say "it" or "the town"."""
    named = []
    for sentence in sentences:
        short = "it" if sentence.startswith("{place}") else f"the {place.kind}"
        sentence = sentence.format(place=short if named else place.name)
        sentence = sentence.replace("in the island", "on the island")
        named.append(sentence[0].upper() + sentence[1:])
    return named


def _queries(seed: int, place: Place) -> Iterator[Query]:
    rng = _rng(seed, "queries", place.name)
    for attribute in rng.choice(list(place.facts), QUERIES[place.split], replace=False):
        known = ATTRIBUTES[attribute]
        wordings = known.asked
        if place.split == "test" and rng.random() < 0.5:
            wordings = known.reworded
        text = str(rng.choice(wordings)).format(place=place.name)
        slug = f"{place.name} {attribute}".lower().replace(" ", "-")
        yield Query(slug, place.split, place.name, str(attribute), text)


def _bm25(queries: list[Query], passages: list[Passage], k1: float = 0.9, b: float = 0.4):
    """BM25 as a sparse matrix, queries x passages."""
    counter = CountVectorizer(stop_words="english")
    counts = counter.fit_transform(passage.text for passage in passages).astype(float).tocoo()
    length = np.asarray(counts.sum(axis=1)).ravel()
    matching = np.bincount(counts.col, minlength=counts.shape[1])
    idf = np.log1p((len(passages) - matching + 0.5) / (matching + 0.5))
    norm = k1 * (1 - b + b * length / length.mean())
    counts.data *= idf[counts.col] * (k1 + 1) / (counts.data + norm[counts.row])
    return (counter.transform(query.text for query in queries) @ counts.T).tocsr()


def _colbert(seed: int, query: Query, grades: np.ndarray, lexical: np.ndarray) -> np.ndarray:
    """Scores of a noisy late-interaction retriever: words, the place and a sense of the answer."""
    noise = _rng(seed, "colbert", query.id).normal(0, 1.5, len(grades))
    return np.round(14 + 6 * lexical / lexical.max() + 1.5 * grades + noise, 4)


def _permutation(seed: int, query: Query, grades: np.ndarray) -> np.ndarray:
    """The order, counted from 1, in which a noisy teacher puts the candidates."""
    noise = _rng(seed, "teacher", query.id).normal(0, TEACHER_NOISE, len(grades))
    return np.argsort(noise - grades, kind="stable") + 1


def _malformed(rng: np.random.Generator, order: list[int]) -> str:
    """The answer as a language model spoils it: an entry lost, one repeated, a stray end, prose."""
    way = rng.integers(5)
    if way == 4:
        return str(rng.choice(REFUSALS))
    if way == 0:
        del order[rng.integers(len(order))]
    if way == 1:
        order.insert(rng.integers(len(order)), order[rng.integers(len(order))])
    return _spell(order) + {2: ".", 3: " >"}.get(int(way), "")


def _spell(order: Iterable[int]) -> str:
    return " > ".join(f"[{i}]" for i in order)
