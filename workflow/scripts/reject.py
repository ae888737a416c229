from restage import log
from restage.grid.manifests import change

log.start(snakemake.log[0], "reject")
for manifest in snakemake.params.code:
    change(manifest, rejected=True)
log.log.info("%d outputs will be made again", len(snakemake.params.code))
