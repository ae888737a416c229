from restage import log
from restage.grid.manifests import read_manifests
from restage.report import typeset

log.start(snakemake.log[0], "stale")
made = read_manifests(snakemake.params.manifests)
print(f"\n{typeset.other_code_text(made, snakemake.params.modules)}")
