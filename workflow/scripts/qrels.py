import pandas as pd

from restage import log
from restage.collections import sources
from restage.files import complete

log.start(snakemake.log[0], f"qrels of {snakemake.wildcards.dataset}")
[source] = snakemake.params.source
qrels = pd.DataFrame(sources.qrels(source), columns=sources.QRELS)
with complete(snakemake.output[0]) as part:
    qrels.to_parquet(part, index=False)
