from restage import log
from restage.collections import sources
from restage.collections.texts import write_texts

log.start(snakemake.log[0], f"texts of {snakemake.wildcards.name}")
[source] = snakemake.params.source
read = sources.passages if snakemake.wildcards.kind == "collections" else sources.queries
write_texts(snakemake.output[0], read(source))
