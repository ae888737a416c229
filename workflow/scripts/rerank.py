import pandas as pd

from restage import log
from restage.runs import read_run, rerank, write_run

log.start(snakemake.log[0], "re-rank " + "/".join(snakemake.wildcards))
candidates, scores = read_run(snakemake.input.candidates), pd.read_parquet(snakemake.input.scores)
run = rerank(candidates, scores, snakemake.params.depth)
write_run(snakemake.output[0], run, tag="/".join(list(snakemake.wildcards)[:3]))
