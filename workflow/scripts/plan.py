from restage import log
from restage.first_stage import ENGINES
from restage.grid.build import build
from restage.ranked_lists import FORMATS
from restage.report import plan, typeset

log.start(snakemake.log[0], "plan")
grid = build(snakemake.config, ENGINES, FORMATS)
again = {path.partition("/")[2]: why for path, why in snakemake.params.again.items()}
table = plan.plan(grid, {path: reason for path, (_, reason) in again.items()})
typeset.write_csv(table, snakemake.params.table)
text = typeset.plan_text(plan.summary(table), grid.plan.device, grid.plan.share_of_peak)
why = typeset.reasons_text(plan.reasons(table, again))
print(f"\n{text}\n\n{why}\n\nJob by job: {snakemake.params.table}")
