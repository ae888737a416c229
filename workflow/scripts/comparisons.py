from restage import log, tables, typeset

log.start(snakemake.log[0], "comparisons")
values = tables.load(snakemake.input.first_stages, snakemake.input.models)
given = [snakemake.params[key] for key in ("order", "statistics", "seed")]
typeset.write_csv(tables.significance_table(values, *given), snakemake.output.significance)
equivalence = tables.equivalence_table(values, *given)
typeset.write_csv(equivalence, snakemake.output.equivalence)
page = typeset.verdict_page(equivalence, snakemake.params.statistics)
typeset.write_text(snakemake.output.verdicts, page)
