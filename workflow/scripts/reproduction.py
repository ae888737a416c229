import pandas as pd

from restage import log
from restage.evaluate.reproduction import reproduction_table
from restage.grid import manifests
from restage.report import figures, panels, typeset

log.start(snakemake.log[0], "reproduction")
groups = pd.concat(map(typeset.read_csv, snakemake.input.groups))
table = reproduction_table(groups, pd.read_csv(snakemake.input.published))
typeset.write_csv(table, snakemake.output.csv)
panels.write_figure(figures.reproduction, snakemake.output.svg, snakemake.output.pdf, table)
manifests.record(snakemake, __file__)
