from restage import log
from restage.grid.manifests import change

log.start(snakemake.log[0], "accept")
for manifest, code in snakemake.params.code.items():
    change(manifest, code=code)
log.log.info("%d outputs stand as if the code as it is had made them", len(snakemake.params.code))
