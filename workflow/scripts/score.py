from restage import log
from restage.runs import read_run, union
from restage.scoring import Scorer, score_run
from restage.texts import TextStore

log.start(snakemake.log[0], "score " + "/".join(snakemake.wildcards))
given, rerank = snakemake.input, snakemake.params.rerank
scorer = Scorer(
    given.model,
    given.queries,
    given.passages,
    max_length=rerank["max_length"],
    segment_ids=snakemake.params.segment_ids,
    compute=snakemake.config["compute"],
)
pairs = union([read_run(run) for run in given.runs], rerank["depth"])
texts = TextStore(given.query_texts), TextStore(given.passage_texts)
score_run(pairs, snakemake.output[0], scorer, *texts)
