import pandas as pd

from restage import log
from restage.measures import evaluate, write_measures
from restage.runs import read_run

log.start(snakemake.log[0], "measure " + "/".join(snakemake.wildcards))
run, qrels = read_run(snakemake.input.run), pd.read_parquet(snakemake.input.qrels)
write_measures(snakemake.output[0], evaluate(run, qrels, snakemake.params.measures))
