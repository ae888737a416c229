from restage import log
from restage.training import fine_tune

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"fine-tune {name}")
recipe = snakemake.wildcards.recipe
fine_tune(
    snakemake.input.start or None,
    snakemake.output[0],
    backbone=snakemake.params.backbone,
    objective=snakemake.params.objective,
    lists=snakemake.input.lists,
    queries=snakemake.input.queries,
    passages=snakemake.input.passages,
    seed=int(snakemake.wildcards.seed),
    compute=snakemake.config["compute"],
    about={
        "name": name,
        "recipe": recipe,
        "stage": recipe.count("-") + 1,
        "start": f"the checkpoint `{snakemake.input.start}`"
        if snakemake.input.start
        else "the backbone",
    },
)
