from restage import log
from restage.grid import manifests
from restage.report import pages, typeset

log.start(snakemake.log[0], "pages")
for name, table, page in zip(
    snakemake.params.pages, snakemake.input, snakemake.output, strict=True
):
    typeset.write_text(page, pages.csv_page(name, table))
manifests.record(snakemake, __file__)
