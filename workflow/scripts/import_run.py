import pandas as pd

from restage import log
from restage.collections.texts import TextStore
from restage.grid import manifests
from restage.rerank.runs import imported_run, write_run

log.start(snakemake.log[0], "run " + "/".join(snakemake.wildcards))
inputs, params = snakemake.input, snakemake.params
run, counts = imported_run(
    inputs.run,
    pd.read_parquet(inputs.qrels)["query_id"].unique(),
    params.depth,
    passages=TextStore(inputs.passages) if inputs.passages else None,
    own=not params.leave_out_own,
)
log.log.info("%s", ", ".join(f"{count:,} {what}" for what, count in counts.items() if count))
write_run(snakemake.output[0], run, tag=snakemake.wildcards.first_stage)
manifests.record(snakemake, __file__)
