from restage import log
from restage.code import Code
from restage.collections.texts import TextStore
from restage.devices import leased
from restage.grid.finished import once
from restage.grid.settings import Compute
from restage.model.kept import KeptScorer
from restage.rerank.runs import read_run, union
from restage.rerank.scores import score_run

log.start(snakemake.log[0], "score " + "/".join(snakemake.wildcards))
inputs, rerank = snakemake.input, snakemake.params.rerank
compute = Compute.of(snakemake.config["compute"])
pairs = union(map(read_run, inputs.runs), rerank.depth)
texts = TextStore(inputs.query_texts), TextStore(inputs.passage_texts)
with once(snakemake, __file__), leased(snakemake.resources.gpu, compute.jobs_per_gpu):
    scorer = KeptScorer(
        snakemake.params.kept,
        Code(snakemake.params.parsed),
        inputs.model,
        inputs.queries,
        inputs.passages,
        max_length=rerank.max_length,
        segment_ids=snakemake.params.segment_ids,
        compute=compute,
        state=snakemake.params.state,
    )
    score_run(pairs, snakemake.output[0], scorer, *texts)
