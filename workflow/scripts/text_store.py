from restage import log, sources
from restage.texts import write_texts

log.start(snakemake.log[0], f"texts of {snakemake.wildcards.name}")
read = sources.passages if snakemake.wildcards.kind == "collections" else sources.queries
write_texts(snakemake.output[0], read(snakemake.params.source))
