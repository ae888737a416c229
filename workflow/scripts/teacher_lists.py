from restage import log
from restage.devices import leased
from restage.ranked_lists import rescore

log.start(snakemake.log[0], f"ranked lists {snakemake.wildcards.lists}")
given, settings, compute = snakemake.input, snakemake.params.settings, snakemake.config["compute"]
with leased(snakemake.resources.gpu, compute["jobs_per_gpu"]):
    from restage.scoring import Scorer  # after the lease: imports torch

    scorer = Scorer(
        given.model or settings["model"],
        given.queries,
        given.passages,
        max_length=settings["max_length"],
        segment_ids=snakemake.params.segment_ids,
        compute=compute,
        state=snakemake.params.state,
    )
    rescore(given.lists, snakemake.output[0], scorer, settings["depth"])
