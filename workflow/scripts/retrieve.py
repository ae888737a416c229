from pathlib import Path

from restage import log
from restage.collections.texts import TextStore
from restage.devices import leased
from restage.first_stage import packages_of
from restage.grid import manifests
from restage.grid.settings import Compute
from restage.model.hub import pinned
from restage.rerank.runs import leave_out_own, write_run

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"first stage {name}")
params, compute = snakemake.params, Compute.of(snakemake.config["compute"])
index, queries = Path(snakemake.input.index), TextStore(snakemake.input.queries)
engine = pinned(params.engine, snakemake.input.get("pinned"))
with leased(snakemake.resources.gpu, compute.jobs_per_gpu), packages_of(type(engine)):
    # After the lease: may import torch.
    run = engine.retrieve(index, queries, params.depth, compute)
if params.leave_out_own:
    run = leave_out_own(run, params.depth - 1)
write_run(snakemake.output[0], run, tag=name)
manifests.record(snakemake, __file__)
