from restage import log
from restage.grid import manifests
from restage.report import provenance, typeset

log.start(snakemake.log[0], "provenance")
made = provenance.read_manifests(snakemake.params.manifests)
typeset.write_csv(provenance.provenance(made), snakemake.output.provenance)
typeset.write_csv(provenance.runtimes(made), snakemake.output.runtimes)
manifests.record(snakemake, __file__)
