from restage import log
from restage.evaluate.values import load
from restage.grid import manifests
from restage.report import figures, panels, typeset

group, params = snakemake.wildcards.group, snakemake.params
log.start(snakemake.log[0], f"figures of {group}")
table = typeset.read_csv(snakemake.input.table)
equivalence = typeset.read_csv(snakemake.input.equivalence)
equivalence = equivalence[equivalence["dataset"].isin(table["dataset"])]
draw = {
    "effectiveness": lambda: figures.effectiveness(table),
    "differences": lambda: figures.differences(equivalence, params.baseline, params.margin),
    "queries": lambda: figures.gains_and_losses(load([], snakemake.input.models), params.baseline),
}
for name, svg, pdf in zip(params.figures, snakemake.output.svg, snakemake.output.pdf, strict=True):
    panels.write_figure(draw[name], svg, pdf)
manifests.record(snakemake, __file__)
