from restage import log
from restage.evaluate.tables import group_table
from restage.evaluate.values import load
from restage.grid import manifests
from restage.report import pages, typeset

log.start(snakemake.log[0], f"table {snakemake.wildcards.group}")
params, files = snakemake.params, snakemake.output
statistics = params.statistics
values = load(snakemake.input.first_stages, snakemake.input.models)
table = group_table(values, params.order, statistics, params.seed)
typeset.write_csv(table.drop(columns="significant"), files.csv)
typeset.write_text(files.md, typeset.markdown(table))
typeset.write_text(files.tex, typeset.latex(table))
typeset.write_text(files.html, pages.group_page(table))
manifests.record(snakemake, __file__)
