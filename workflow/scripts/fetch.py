from restage import log, sources

log.start(snakemake.log[0], f"fetch {snakemake.wildcards.id}")
sources.fetch(snakemake.wildcards.id)
