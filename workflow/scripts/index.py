from pathlib import Path

from restage import log
from restage.collections.texts import TextStore
from restage.devices import leased
from restage.first_stage import packages_of
from restage.grid.finished import once
from restage.grid.settings import Compute
from restage.model.hub import pinned

log.start(snakemake.log[0], "index " + " ".join(snakemake.wildcards))
engine = pinned(snakemake.params.engine, snakemake.input.get("pinned"))
compute = Compute.of(snakemake.config["compute"])
passages, shared = TextStore(snakemake.input.passages), snakemake.input.get("shared")
folder, state = Path(snakemake.output[0]), Path(snakemake.params.state)
lease = leased(snakemake.resources.gpu, compute.jobs_per_gpu)
with once(snakemake, __file__), lease, packages_of(type(engine)):
    # After the lease: may import torch.
    engine.index(passages, folder, compute, state, Path(shared) if shared else None)
