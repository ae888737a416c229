from restage import log, sources
from restage.ranked_lists import Stats, ingest, read_rankgpt, read_trec_run
from restage.texts import TextStore

log.start(snakemake.log[0], f"ranked lists {snakemake.wildcards.lists}")
settings, given, stats = snakemake.params.settings, snakemake.input, Stats()
if settings["format"] == "rankgpt":
    blocks = read_rankgpt(given.permutations, given.candidates, settings["invalid"], stats)
else:
    blocks = read_trec_run(given.run, stats)
ingest(
    blocks,
    snakemake.output[0],
    queries=TextStore(given.queries),
    passages=TextStore(given.passages),
    qrels=sources.qrels(settings["qrels"]) if settings["qrels"] else (),
    valid_fraction=settings["valid_fraction"],
    split_seed=settings["split_seed"],
    stats=stats,
)
