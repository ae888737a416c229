import pandas as pd

from restage import log
from restage.runs import imported_run, write_run

log.start(snakemake.log[0], "run " + "/".join(snakemake.wildcards))
queries = pd.read_parquet(snakemake.input.qrels)["query_id"].unique()
run, counts = imported_run(
    snakemake.input.run, queries, snakemake.params.depth, own=not snakemake.params.leave_out_own
)
log.log.info("%s", ", ".join(f"{count:,} {what}" for what, count in counts.items()))
write_run(snakemake.output[0], run, tag=snakemake.wildcards.first_stage)
