from restage import log, tables

log.start(snakemake.log[0], "comparisons")
values = tables.load(snakemake.input.first_stages, snakemake.input.models)
order, statistics = snakemake.params.order, snakemake.params.statistics
significance = tables.significance_table(values, order, statistics)
tables.write_csv(significance, snakemake.output.significance)
equivalence = tables.equivalence_table(values, order, statistics)
tables.write_csv(equivalence, snakemake.output.equivalence)
