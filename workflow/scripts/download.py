from restage import log
from restage.download import download

log.start(snakemake.log[0], f"download {snakemake.wildcards.lists}/{snakemake.wildcards.part}")
download(snakemake.params.file["url"], snakemake.output[0], snakemake.params.file["sha256"])
