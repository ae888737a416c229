from restage import log
from restage.first_stage import ENGINES
from restage.grid.build import build
from restage.ranked_lists import FORMATS
from restage.report import plan, typeset

log.start(snakemake.log[0], "plan")
grid = build(snakemake.config, ENGINES, FORMATS)
table = plan.plan(grid)
typeset.write_csv(table, snakemake.output[0])
text = typeset.plan_text(plan.summary(table), grid.plan.device, grid.plan.share_of_peak)
print(f"\n{text}\n\nJob by job: {snakemake.output[0]}")
