from restage import log
from restage.ranked_lists import rescore
from restage.scoring import Scorer

log.start(snakemake.log[0], f"ranked lists {snakemake.wildcards.lists}")
given, settings = snakemake.input, snakemake.params.settings
scorer = Scorer(
    given.model or settings["model"],
    given.queries,
    given.passages,
    max_length=settings["max_length"],
    segment_ids=snakemake.params.segment_ids,
    compute=snakemake.config["compute"],
)
rescore(given.lists, snakemake.output[0], scorer, settings["depth"])
