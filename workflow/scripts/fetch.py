from restage import log
from restage.collections import sources

log.start(snakemake.log[0], f"fetch {snakemake.wildcards.id}")
sources.fetch(snakemake.wildcards.id)
