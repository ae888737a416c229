from pathlib import Path

from restage import log
from restage.grid import manifests
from restage.report import provenance, typeset

log.start(snakemake.log[0], "provenance")
results = snakemake.config["results"]
outputs = [str(Path(path).relative_to(results)) for path in snakemake.input]
made = provenance.behind(manifests.read_manifests(snakemake.params.manifests), outputs)
typeset.write_csv(provenance.provenance(made), snakemake.output.provenance)
typeset.write_csv(provenance.runtimes(made), snakemake.output.runtimes)
manifests.record(snakemake, __file__)
