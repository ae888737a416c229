from restage import log
from restage.devices import leased
from restage.grid.finished import once
from restage.grid.settings import Compute
from restage.model.hub import pinned

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"fine-tune {name}")
inputs, params = snakemake.input, snakemake.params
compute = Compute.of(snakemake.config["compute"])
training = {
    "start": inputs.start or None,
    "output": snakemake.output[0],
    "name": name,
    "recipe": snakemake.wildcards.recipe,
    "backbone": pinned(params.backbone, inputs.get("pinned")),
    "objective": params.objective,
    **{part: inputs[part] for part in ("lists", "queries", "passages")},
    "seed": int(snakemake.wildcards.seed),
    "compute": compute,
    "state": params.state,
    "events": params.events,
}
with once(snakemake, __file__), leased(snakemake.resources.gpu, compute.jobs_per_gpu):
    # After the lease: these import torch.
    if compute.gpus_per_training > 1:
        from restage.finetune.launch import fine_tune_in_processes

        job = f"fine-tune {name}"
        fine_tune_in_processes(compute.gpus_per_training, snakemake.log[0], job, **training)
    else:
        from restage.finetune.loop import fine_tune

        fine_tune(**training)
