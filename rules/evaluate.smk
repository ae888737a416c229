# Measures per query of every run, and the tables made from them.


localrules:
    tables,
    measure_first_stage,
    measure,
    group_table,
    comparisons,


# The tables are asked for with their runs: without that Snakemake would let tables and measures
# stand whose run has been deleted.
rule tables:
    input:
        all_runs(config["datasets"]),
        expand("<results>/tables/{group}.{format}", group=groups(), format=["csv", "md", "tex"]),
        expand("<results>/tables/{name}.csv", name=further_tables()),


rule measure_first_stage:
    input:
        run=FIRST_STAGE_RUN,
        qrels="<stores>/qrels/{dataset}.parquet",
    output:
        FIRST_STAGE_MEASURES,
    log:
        "<logs>/measures/{first_stage}/{dataset}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        measures=lambda w: config["datasets"][w.dataset]["measures"],
    script:
        "../workflow/scripts/measure.py"


use rule measure_first_stage as measure with:
    input:
        run=RUN,
        qrels="<stores>/qrels/{dataset}.parquet",
    output:
        MEASURES,
    log:
        "<logs>/measures/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.log",


rule group_table:
    input:
        first_stages=lambda w: evaluated(FIRST_STAGE_MEASURES, dataset=datasets_of(w.group)),
        models=lambda w: evaluated(MEASURES, dataset=datasets_of(w.group)),
    output:
        csv="<results>/tables/{group}.csv",
        md="<results>/tables/{group}.md",
        tex="<results>/tables/{group}.tex",
        html=report(
            "<results>/pages/{group}.html",
            caption="../workflow/report/group.rst",
            category=EFFECTIVENESS,
            labels={"what": "table", "group": "{group}"},
        ),
    log:
        "<logs>/tables/{group}.log",
    wildcard_constraints:
        group=named(groups()),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        order=lambda w: table_order(datasets_of(w.group)),
        statistics=config["statistics"],
        seed=config["seeds"][0],
    script:
        "../workflow/scripts/group_table.py"


rule comparisons:
    input:
        first_stages=evaluated(FIRST_STAGE_MEASURES),
        models=evaluated(MEASURES),
    output:
        significance="<results>/tables/significance.csv",
        equivalence="<results>/tables/equivalence.csv",
        verdicts=report(
            "<results>/pages/verdicts.html",
            caption="../workflow/report/verdicts.rst",
            category=ON_PAR,
            labels={"what": "answer", "group": "all"},
        ),
    log:
        "<logs>/tables/comparisons.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        order=table_order(config["datasets"]),
        statistics=config["statistics"],
        seed=config["seeds"][0],
    script:
        "../workflow/scripts/comparisons.py"
