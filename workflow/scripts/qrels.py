import pandas as pd

from restage import log
from restage.collections import sources
from restage.files import complete
from restage.grid import manifests

log.start(snakemake.log[0], f"qrels of {snakemake.wildcards.dataset}")
qrels = pd.DataFrame(sources.qrels(snakemake.params.source), columns=sources.QRELS)
with complete(snakemake.output[0]) as part:
    qrels.to_parquet(part, index=False)
manifests.record(snakemake, __file__)
