import pandas as pd

from restage import log, sources
from restage.files import complete

log.start(snakemake.log[0], f"qrels of {snakemake.wildcards.dataset}")
columns = ["query_id", "doc_id", "relevance"]
qrels = pd.DataFrame(sources.qrels(snakemake.params.source), columns=columns)
with complete(snakemake.output[0]) as part:
    qrels.to_parquet(part, index=False)
