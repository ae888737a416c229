from restage import log
from restage.collections import sources
from restage.collections.texts import TextStore
from restage.grid import manifests
from restage.ranked_lists.ingest import Stats, ingest

log.start(snakemake.log[0], f"ranked lists {snakemake.wildcards.lists}")
lists = snakemake.params.lists
inputs, stats = snakemake.input, Stats()
paths = {name: inputs[name] for name in lists.format.files or ["run"]}
ingest(
    lists.format.read(paths, stats),
    snakemake.output[0],
    queries=TextStore(inputs.queries),
    passages=TextStore(inputs.passages),
    qrels=sources.qrels(lists.qrels) if lists.qrels else (),
    valid_fraction=lists.valid_fraction,
    split_seed=lists.split_seed,
    stats=stats,
)
manifests.record(snakemake, __file__)
