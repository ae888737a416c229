import json

from restage import log
from restage.grid import manifests
from restage.grid.abilities import Use
from restage.model.hub import pin

model = snakemake.params.model
log.start(snakemake.log[0], f"model {model}")
pin(model, snakemake.output[0], [Use(**use) for use in json.loads(snakemake.params.uses)])
manifests.record(snakemake, __file__)
