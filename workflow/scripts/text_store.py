from restage import log
from restage.collections import sources
from restage.collections.texts import write_texts
from restage.grid import manifests

log.start(snakemake.log[0], f"texts of {snakemake.wildcards.name}")
source = snakemake.params.source
is_collection = snakemake.wildcards.kind == "collections"
texts = sources.passages(source) if is_collection else sources.queries(source)
place = sources.origin(source, "passages" if is_collection else "queries")
write_texts(snakemake.output[0], texts, place)
manifests.record(snakemake, __file__)
