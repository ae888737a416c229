from restage import log
from restage.collections.download import download

log.start(snakemake.log[0], "download " + "/".join(snakemake.wildcards))
[file] = snakemake.params.file
download(file.url, snakemake.output[0], file.sha256)
