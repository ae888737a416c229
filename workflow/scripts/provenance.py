from restage import log
from restage.report import provenance, typeset

log.start(snakemake.log[0], "provenance")
made_by = provenance.provenance(snakemake.scriptdir)
typeset.write_csv(made_by, snakemake.output.provenance)
runtimes = provenance.runtimes(snakemake.params.benchmarks, snakemake.params.logs)
typeset.write_csv(runtimes, snakemake.output.runtimes)
