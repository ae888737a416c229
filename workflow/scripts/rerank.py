import pandas as pd

from restage import log
from restage.grid import manifests
from restage.rerank.runs import read_run, rerank, write_run

log.start(snakemake.log[0], "re-rank " + "/".join(snakemake.wildcards))
scores, tag = pd.read_parquet(snakemake.input.scores), "/".join(list(snakemake.wildcards)[:3])
for candidates, output in zip(snakemake.input.candidates, snakemake.output, strict=True):
    write_run(output, rerank(read_run(candidates), scores, snakemake.params.depth), tag)
manifests.record(snakemake, __file__)
