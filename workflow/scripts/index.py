from restage import log
from restage.engines import engine
from restage.texts import TextStore

log.start(snakemake.log[0], "index " + " ".join(snakemake.wildcards))
settings = snakemake.params.settings
engine(settings).index(TextStore(snakemake.input[0]), snakemake.output[0], settings)
