from restage import figures, log, tables

log.start(snakemake.log[0], f"figure {snakemake.wildcards.group}_queries")
values, baseline = tables.load([], snakemake.input.models), snakemake.params.baseline
files = snakemake.output.svg, snakemake.output.pdf
figures.write_figure(figures.gains_and_losses, *files, values, against=baseline)
