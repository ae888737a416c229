from restage import log
from restage.devices import leased

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"fine-tune {name}")
recipe, start = snakemake.wildcards.recipe, snakemake.input.start or None
compute = snakemake.config["compute"]
settings = {
    "start": start,
    "output": snakemake.output[0],
    "backbone": snakemake.params.backbone,
    "objective": snakemake.params.objective,
    "lists": snakemake.input.lists,
    "queries": snakemake.input.queries,
    "passages": snakemake.input.passages,
    "seed": int(snakemake.wildcards.seed),
    "compute": compute,
    "state": snakemake.params.state,
    "events": snakemake.params.events,
    "about": {
        "name": name,
        "recipe": recipe,
        "stage": recipe.count("-") + 1,
        "start": f"the checkpoint `{start}`" if start else "the backbone",
    },
}
with leased(snakemake.resources.gpu, compute["jobs_per_gpu"]):
    from restage.training import fine_tune, fine_tune_in_processes  # after the lease: imports torch

    if compute["gpus_per_training"] > 1:
        job = f"fine-tune {name}"
        fine_tune_in_processes(compute["gpus_per_training"], snakemake.log[0], job, **settings)
    else:
        fine_tune(**settings)
