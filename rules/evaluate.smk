# Measures per query of every run, and the tables made from them.


localrules:
    tables,
    measure_first_stages,
    measure,
    group_table,
    comparisons,


# The tables are asked for with their runs and measures: without that Snakemake would let tables
# stand whose run or measures have been deleted.
rule tables:
    input:
        all_runs(),
        *all_measures(grid.datasets.values()).values(),
        expand(GROUP_TABLE, group=grid.groups, format=TABLE_FORMATS),
        expand(TABLE, table=further_tables()),


if grid.first_stages:

    rule measure_first_stages:
        input:
            runs=expand(FIRST_STAGE_RUN, first_stage=grid.first_stages, allow_missing=True),
            qrels=QRELS,
        output:
            expand(FIRST_STAGE_MEASURES, first_stage=grid.first_stages, allow_missing=True),
        log:
            FIRST_STAGE_MEASURES.over("first_stage").log,
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            measures=lambda w: grid.datasets[w.dataset].measures,
        script:
            "../workflow/scripts/measure.py"

    use rule measure_first_stages as measure with:
        input:
            runs=expand(RUN, first_stage=grid.first_stages, allow_missing=True),
            qrels=QRELS,
        output:
            expand(MEASURES, first_stage=grid.first_stages, allow_missing=True),
        log:
            MEASURES.over("first_stage").log,


rule group_table:
    input:
        unpack(lambda w: all_measures(grid.groups[w.group])),
    output:
        csv=GROUP_TABLE.of(group="{group}", format="csv"),
        md=GROUP_TABLE.of(group="{group}", format="md"),
        tex=GROUP_TABLE.of(group="{group}", format="tex"),
        html=in_report(
            PAGE.of(page="{group}"), "group", EFFECTIVENESS, what="table", group="{group}"
        ),
    log:
        GROUP_TABLE.log,
    wildcard_constraints:
        group=named(grid.groups),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        order=lambda w: grid.order(grid.groups[w.group]),
        statistics=grid.statistics,
        seed=grid.seeds[0],
    script:
        "../workflow/scripts/group_table.py"


rule comparisons:
    input:
        **all_measures(grid.datasets.values()),
    output:
        significance=TABLE.of(table="significance"),
        equivalence=TABLE.of(table="equivalence"),
        verdicts=in_report(PAGE.of(page="verdicts"), "verdicts", ON_PAR, what="answer"),
    log:
        TABLE.of(table="comparisons").log,
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        order=grid.order(grid.datasets.values()),
        statistics=grid.statistics,
        seed=grid.seeds[0],
    script:
        "../workflow/scripts/comparisons.py"
