from restage import log
from restage.devices import leased
from restage.engines import engine
from restage.runs import leave_out_own, write_run
from restage.texts import TextStore

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"first stage {name}")
settings, compute = snakemake.params.settings, snakemake.config["compute"]
queries = TextStore(snakemake.input.queries)
with leased(snakemake.resources.gpu, compute["jobs_per_gpu"]):
    retrieve = engine(settings).retrieve  # after the lease: may import torch
    run = retrieve(snakemake.input.index, queries, settings, compute)
if snakemake.params.leave_out_own:
    run = leave_out_own(run, settings["depth"] - 1)
write_run(snakemake.output[0], run, tag=name)
