from restage import log
from restage.collections.download import download
from restage.grid import manifests

log.start(snakemake.log[0], "download " + "/".join(snakemake.wildcards))
file = snakemake.params.file
download(file.url, snakemake.output[0], file.sha256)
manifests.record(snakemake, __file__)
