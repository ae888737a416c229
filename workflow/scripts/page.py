from restage import log, typeset

name = snakemake.wildcards.name
log.start(snakemake.log[0], f"page {name}")
typeset.write_text(snakemake.output[0], typeset.csv_page(name, snakemake.input[0]))
