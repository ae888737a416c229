from restage import log
from restage.collections import sources
from restage.collections.texts import write_texts
from restage.grid import manifests

log.start(snakemake.log[0], f"texts of {snakemake.wildcards.name}")
read = sources.passages if snakemake.wildcards.kind == "collections" else sources.queries
write_texts(snakemake.output[0], read(snakemake.params.source))
manifests.record(snakemake, __file__)
