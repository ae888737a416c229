from restage import log
from restage.evaluate.comparisons import equivalence_table, significance_table
from restage.evaluate.values import load
from restage.grid import manifests
from restage.report import pages, typeset

log.start(snakemake.log[0], "comparisons")
params, files = snakemake.params, snakemake.output
statistics = params.statistics
values = load(snakemake.input.first_stages, snakemake.input.models)
significance = significance_table(values, params.order, statistics, params.seed)
equivalence = equivalence_table(values, params.order, statistics, params.seed)
typeset.write_csv(significance, files.significance)
typeset.write_csv(equivalence, files.equivalence)
typeset.write_text(files.verdicts, pages.verdict_page(equivalence, statistics))
manifests.record(snakemake, __file__)
