from snakemake.utils import min_version

min_version("9.14")

# A --configfile of one's own replaces the paper's grid instead of being merged into it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"


pathvars:
    results=grid.roots.results,
    study=grid.roots.study,


include: "rules/collections.smk"
include: "rules/ranked_lists.smk"
include: "rules/first_stage.smk"
include: "rules/finetune.smk"
include: "rules/rerank.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


# Snakemake knows by file times alone what to make again, and knows nothing where its own notes are
# lost. The manifests tell by content: what no longer fits is made again, as if by --forcerun, where
# a target needs it.
if workflow.is_main_process:
    try:
        standing.refuse(grid.study)
    except InputError as error:
        sys.exit(f"error: {error}")
    standing.settle()
    for maker in map(workflow.get_rule, {rule for rule, _ in standing.changed}):
        maker.set_input(partial(made_again, maker))
    tell_of_other_code(standing)


onstart:
    mend_times()


onsuccess:
    release(grid.roots, {str(path) for job in workflow.dag.jobs for path in job.output})
    tell_of_other_code(as_it_stands())


onerror:
    tell_of_other_code(as_it_stands())


wildcard_constraints:
    backbone=r"[^/]+",
    collection=r"[^/]+",
    dataset=r"[^/]+",
    engine=r"[^/]+",
    first_stage=r"[^/]+",
    kind="collections|datasets|ranked_lists",
    lists=r"[^/]+",
    model=r"[^/]+",
    name=r"[^/]+",
    recipe=r"[^/]+",
    seed=r"\d+",
    tokenizer=r"[^/]+",


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.models.input,
        rules.runs.input,
        rules.lists.input,
        rules.figures.input,
        rules.pages.input,
