from restage import log
from restage.devices import leased
from restage.engines import engine
from restage.texts import TextStore

log.start(snakemake.log[0], "index " + " ".join(snakemake.wildcards))
settings, compute = snakemake.params.settings, snakemake.config["compute"]
with leased(snakemake.resources.gpu, compute["jobs_per_gpu"]):
    index = engine(settings).index  # after the lease: may import torch
    passages = TextStore(snakemake.input[0])
    index(passages, snakemake.output[0], settings, compute, snakemake.params.state)
