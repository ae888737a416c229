from restage import log
from restage.report import provenance, typeset

log.start(snakemake.log[0], "stale")
made = provenance.read_manifests(snakemake.params.manifests)
print(f"\n{typeset.other_code_text(made, snakemake.params.modules)}")
