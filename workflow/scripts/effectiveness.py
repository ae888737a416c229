from restage import figures, log, typeset

log.start(snakemake.log[0], f"figure {snakemake.wildcards.group}_effectiveness")
table = typeset.read_csv(snakemake.input.table)
figures.write_figure(figures.effectiveness, snakemake.output.svg, snakemake.output.pdf, table)
