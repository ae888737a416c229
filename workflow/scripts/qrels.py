from restage import log
from restage.collections import sources
from restage.collections.texts import TextStore
from restage.files import complete
from restage.grid import manifests

log.start(snakemake.log[0], f"qrels of {snakemake.wildcards.dataset}")
passages = TextStore(snakemake.input.passages) if snakemake.input.passages else None
qrels = sources.checked_qrels(snakemake.params.source, passages)
with complete(snakemake.output[0]) as part:
    qrels.to_parquet(part, index=False)
manifests.record(snakemake, __file__)
