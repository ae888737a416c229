import pandas as pd

from restage import figures, log, tables, typeset

log.start(snakemake.log[0], "reproduction")
groups = pd.concat(map(typeset.read_csv, snakemake.input.groups))
table = tables.reproduction_table(groups, pd.read_csv(snakemake.input.published))
typeset.write_csv(table, snakemake.output.csv)
figures.write_figure(figures.reproduction, snakemake.output.svg, snakemake.output.pdf, table)
