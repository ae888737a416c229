from restage import log
from restage.evaluate.measures import (
    evaluate,
    relevance_by_query,
    tell_of_strangers,
    write_measures,
)
from restage.grid import manifests
from restage.rerank.trec import scores_by_query

log.start(snakemake.log[0], "measure " + "/".join(snakemake.wildcards))
qrels, measures = relevance_by_query(snakemake.input.qrels), snakemake.params.measures
for run, output in zip(snakemake.input.runs, snakemake.output, strict=True):
    scores = scores_by_query(run)
    tell_of_strangers(run, scores, qrels)
    write_measures(output, evaluate(scores, qrels, measures))
manifests.record(snakemake, __file__)
