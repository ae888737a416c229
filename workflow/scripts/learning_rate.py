import pandas as pd

from restage import log
from restage.evaluate.comparisons import learning_rate_table
from restage.grid import manifests
from restage.report import figures, panels, typeset

log.start(snakemake.log[0], "learning rates")
groups = pd.concat(map(typeset.read_csv, snakemake.input.groups))
equivalence = typeset.read_csv(snakemake.input.equivalence)
table = learning_rate_table(groups, equivalence, pd.DataFrame(snakemake.params.sweep))
typeset.write_csv(table, snakemake.output.csv)
panels.write_figure(figures.learning_rates, snakemake.output.svg, snakemake.output.pdf, table)
manifests.record(snakemake, __file__)
