from restage import log
from restage.devices import leased
from restage.grid.settings import Compute

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"fine-tune {name}")
inputs, params = snakemake.input, snakemake.params
[backbone], [objective] = params.backbone, params.objective
compute = Compute.of(snakemake.config["compute"])
training = {
    "start": inputs.start or None,
    "output": snakemake.output[0],
    "name": name,
    "recipe": snakemake.wildcards.recipe,
    "backbone": backbone,
    "objective": objective,
    "lists": inputs.lists,
    "queries": inputs.queries,
    "passages": inputs.passages,
    "seed": int(snakemake.wildcards.seed),
    "compute": compute,
    "study": snakemake.config["study"],
    "trained": params.trained,
    "state": params.state,
    "events": params.events,
}
with leased(snakemake.resources.gpu, compute.jobs_per_gpu):
    # After the lease: these import torch.
    if compute.gpus_per_training > 1:
        from restage.finetune.launch import fine_tune_in_processes

        job = f"fine-tune {name}"
        fine_tune_in_processes(compute.gpus_per_training, snakemake.log[0], job, **training)
    else:
        from restage.finetune.loop import fine_tune

        fine_tune(**training)
