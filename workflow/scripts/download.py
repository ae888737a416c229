from restage import log
from restage.download import download

log.start(snakemake.log[0], f"download {snakemake.wildcards.lists}/{snakemake.wildcards.part}")
lists, part = snakemake.wildcards
sha256 = snakemake.config["ranked_lists"][lists][part]["sha256"]
download(snakemake.params.url, snakemake.output[0], sha256)
