from restage import log
from restage.devices import leased
from restage.grid.finished import once
from restage.grid.settings import Compute
from restage.model.hub import pinned
from restage.ranked_lists.teacher import rescore

log.start(snakemake.log[0], f"ranked lists {snakemake.wildcards.lists}")
inputs = snakemake.input
taught = pinned(snakemake.params.taught, inputs.get("pinned"))
compute = Compute.of(snakemake.config["compute"])
with once(snakemake, __file__), leased(snakemake.resources.gpu, compute.jobs_per_gpu):
    from restage.model.scoring import Scorer

    scorer = Scorer(
        inputs.model or taught.model,
        inputs.queries,
        inputs.passages,
        max_length=taught.max_length,
        segment_ids=snakemake.params.segment_ids,
        compute=compute,
        state=snakemake.params.state,
    )
    rescore(inputs.lists, snakemake.output[0], scorer, taught.depth)
