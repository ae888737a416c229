from restage import log
from restage.engines import pisa

log.start(snakemake.log[0], "index " + " ".join(snakemake.wildcards))
pisa.index(snakemake.input[0], snakemake.output[0], snakemake.params.settings)
