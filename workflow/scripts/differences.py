from restage import figures, log, typeset

log.start(snakemake.log[0], f"figure {snakemake.wildcards.group}_differences")
table = typeset.read_csv(snakemake.input.table)
table = table[table["dataset"].isin(snakemake.params.datasets)]
baseline, margin = snakemake.params.baseline, snakemake.params.margin
files = snakemake.output.svg, snakemake.output.pdf
figures.write_figure(figures.differences, *files, table, against=baseline, margin=margin)
