"""Re-rank with a checkpoint of the demo in a PyTerrier pipeline of one's own.

    make demo
    .venv/bin/python examples/rerank_with_pyterrier.py

BM25 comes from the demo's index, through PyTerrier's PISA plugin; the re-ranker is the demo's
checkpoint. Anything that PyTerrier can do with a transformer can be done with it.
"""

import json
from pathlib import Path

import pandas as pd
import pyterrier as pt
from ir_measures import RR, nDCG
from pyterrier_pisa import PisaIndex

from restage.pyterrier import CrossEncoder

DEMO = Path("results/demo")
COLLECTION = DEMO / "data/collection"


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def passage_texts() -> pt.Transformer:
    """Add the text of each passage to the results."""
    corpus = {doc["_id"]: doc for doc in json_lines(COLLECTION / "corpus.jsonl")}
    texts = {i: f"{doc.get('title') or ''} {doc['text']}".strip() for i, doc in corpus.items()}
    return pt.apply.text(lambda row: texts[row["docno"]])


def main() -> None:
    qrels = pd.read_csv(COLLECTION / "qrels/test.tsv", sep="\t", dtype=str)
    qrels.columns = ["qid", "docno", "label"]
    qrels["label"] = qrels["label"].astype(int)
    topics = pd.DataFrame(json_lines(COLLECTION / "queries.jsonl"))
    topics = topics.rename(columns={"_id": "qid", "text": "query"})[["qid", "query"]]
    topics = topics[topics["qid"].isin(qrels["qid"])]

    index = PisaIndex(str(DEMO / "indexes/bm25/gazetteer"), text_field="text")
    bm25 = index.bm25(k1=0.9, b=0.4, num_results=20)
    reranked = bm25 >> passage_texts() >> CrossEncoder(DEMO / "models/minilm6/CL/42")
    table = pt.Experiment(
        [bm25, reranked], topics, qrels, [nDCG @ 10, RR @ 10], names=["BM25", "BM25 >> CL"]
    )
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
