from restage import log, sources

log.start(snakemake.log[0], f"fetch {snakemake.wildcards.collection}")
sources.fetch(snakemake.params.parts)
