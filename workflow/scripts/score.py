from restage import log
from restage.devices import leased
from restage.runs import read_run, union
from restage.texts import TextStore

log.start(snakemake.log[0], "score " + "/".join(snakemake.wildcards))
given, rerank, compute = snakemake.input, snakemake.params.rerank, snakemake.config["compute"]
pairs = union([read_run(run) for run in given.runs], rerank["depth"])
texts = TextStore(given.query_texts), TextStore(given.passage_texts)
with leased(snakemake.resources.gpu, compute["jobs_per_gpu"]):
    from restage.scoring import Scorer, score_run  # after the lease: imports torch

    scorer = Scorer(
        given.model,
        given.queries,
        given.passages,
        max_length=rerank["max_length"],
        segment_ids=snakemake.params.segment_ids,
        compute=compute,
        state=snakemake.params.state,
    )
    score_run(pairs, snakemake.output[0], scorer, *texts)
