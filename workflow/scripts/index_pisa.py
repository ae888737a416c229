from restage import log
from restage.engines import pisa
from restage.texts import TextStore

log.start(snakemake.log[0], f"index of {snakemake.wildcards.collection}")
pisa.index_collection(TextStore(snakemake.input[0]), snakemake.output[0], snakemake.threads)
