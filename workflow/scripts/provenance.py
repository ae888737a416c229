from restage import log
from restage.report import provenance, typeset

log.start(snakemake.log[0], "provenance")
made = provenance.manifests(snakemake.params.manifests)
typeset.write_csv(provenance.provenance(made), snakemake.output.provenance)
typeset.write_csv(provenance.runtimes(made), snakemake.output.runtimes)
