import pandas as pd

from restage import log
from restage.runs import imported_run, write_run
from restage.texts import TextStore

log.start(snakemake.log[0], "run " + "/".join(snakemake.wildcards))
given, params = snakemake.input, snakemake.params
run, counts = imported_run(
    given.run,
    pd.read_parquet(given.qrels)["query_id"].unique(),
    params.depth,
    passages=TextStore(given.passages) if given.passages else None,
    own=not params.leave_out_own,
)
log.log.info("%s", ", ".join(f"{count:,} {what}" for what, count in counts.items()))
write_run(snakemake.output[0], run, tag=snakemake.wildcards.first_stage)
