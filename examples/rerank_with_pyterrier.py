"""Re-rank with a checkpoint of the demo in a PyTerrier pipeline of one's own.

    make demo
    .venv/bin/python examples/rerank_with_pyterrier.py

BM25 comes from the demo's index, through PyTerrier's PISA plugin; the re-ranker is the demo's
checkpoint, and gives the workflow's run. Anything that PyTerrier can do with a transformer can be
done with it.
"""

import json
from pathlib import Path

import pandas as pd
import pyterrier as pt
from ir_measures import RR, nDCG
from pyterrier_pisa import PisaIndex

from restage.collections.sources import passages
from restage.pyterrier import CrossEncoder
from restage.rerank.runs import read_run

DEMO = Path("results/demo")
COLLECTION = DEMO / "data/collection"


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def passage_texts() -> pt.Transformer:
    """Add the text of each passage to the results."""
    texts = dict(passages({"path": COLLECTION}))
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

    run = read_run(DEMO / "runs/minilm6/CL/42/bm25/gazetteer.run.gz")
    run = run.rename(columns={"query_id": "qid", "doc_id": "docno"})
    both = reranked(topics).merge(run, on=["qid", "docno"], suffixes=("", "_workflow"))
    difference = (both["score"] - both["score_workflow"]).abs().max()
    print(
        f"{len(both)} of the workflow's {len(run)} pairs; scores differ by {difference:.0e} at most"
    )


if __name__ == "__main__":
    main()
