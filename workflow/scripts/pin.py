from restage import log
from restage.grid import manifests
from restage.model.hub import pin

log.start(snakemake.log[0], f"model {snakemake.params.model}")
pin(snakemake.params.model, snakemake.output[0])
manifests.record(snakemake, __file__)
