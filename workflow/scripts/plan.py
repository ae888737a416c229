from restage import log, plan, typeset

log.start(snakemake.log[0], "plan")
table = plan.plan(snakemake.config)
typeset.write_csv(table, snakemake.output[0])
settings = snakemake.config["plan"]
text = typeset.plan_text(plan.summary(table), settings["device"], settings["share_of_peak"])
print(f"\n{text}\n\nJob by job: {snakemake.output[0]}")
