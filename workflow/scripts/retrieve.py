from restage import log
from restage.engines import engine
from restage.runs import write_run
from restage.texts import TextStore

name = "/".join(snakemake.wildcards)
log.start(snakemake.log[0], f"first stage {name}")
settings = snakemake.params.settings
queries = TextStore(snakemake.input.queries)
run = engine(settings).retrieve(snakemake.input.index, queries, settings, snakemake.threads)
write_run(snakemake.output[0], run, tag=name)
