from restage import log, tables, typeset

log.start(snakemake.log[0], f"table {snakemake.wildcards.group}")
values = tables.load(snakemake.input.first_stages, snakemake.input.models)
order, statistics, seed = (snakemake.params[key] for key in ("order", "statistics", "seed"))
table = tables.group_table(values, order, statistics, seed)
typeset.write_group_table(table, **dict(snakemake.output.items()))
