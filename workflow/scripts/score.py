from restage import log
from restage.runs import read_run, union
from restage.scoring import score_run
from restage.texts import TextStore

log.start(snakemake.log[0], "score " + "/".join(snakemake.wildcards))
depth = snakemake.params.rerank["depth"]
score_run(
    union([read_run(run) for run in snakemake.input.runs], depth),
    snakemake.output[0],
    model=snakemake.input.model,
    query_texts=TextStore(snakemake.input.query_texts),
    passage_texts=TextStore(snakemake.input.passage_texts),
    queries=snakemake.input.queries,
    passages=snakemake.input.passages,
    max_length=snakemake.params.rerank["max_length"],
    segment_ids=snakemake.params.segment_ids,
    compute=snakemake.config["compute"],
)
