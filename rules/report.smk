# Figures, pages and provenance: what the report consists of; and the plan.
import time


localrules:
    figures,
    pages,
    effectiveness,
    differences,
    gains_and_losses,
    training_curves,
    learning_rate,
    reproduction,
    provenance,
    page,
    plan,


rule figures:
    input:
        expand(
            "<results>/figures/{group}_{figure}.{format}",
            group=groups(),
            figure=group_figures(),
            format=FORMATS,
        ),
        expand("<results>/figures/{name}.{format}", name=single_figures(), format=FORMATS),


rule pages:
    input:
        expand(
            "<results>/pages/{name}.html",
            name=[*groups(), "verdicts", *further_tables(), *PROVENANCE],
        )
        if groups()
        else [],


rule effectiveness:
    input:
        table="<results>/tables/{group}.csv",
    output:
        svg=report(
            "<results>/figures/{group}_effectiveness.svg",
            caption="../workflow/report/effectiveness.rst",
            category=EFFECTIVENESS,
            labels={"what": "figure", "group": "{group}"},
        ),
        pdf="<results>/figures/{group}_effectiveness.pdf",
    log:
        "<logs>/figures/{group}_effectiveness.log",
    wildcard_constraints:
        group=named(groups()),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow/scripts/effectiveness.py"


rule differences:
    input:
        table="<results>/tables/equivalence.csv",
    output:
        svg=report(
            "<results>/figures/{group}_differences.svg",
            caption="../workflow/report/differences.rst",
            category=ON_PAR,
            labels={"what": "differences", "group": "{group}"},
        ),
        pdf="<results>/figures/{group}_differences.pdf",
    log:
        "<logs>/figures/{group}_differences.log",
    wildcard_constraints:
        group=named(groups()),
    conda:
        "../envs/data.yaml"
    params:
        datasets=lambda w: datasets_of(w.group),
        baseline=config["statistics"]["baseline_recipe"],
        margin=config["statistics"]["equivalence_margin"],
    script:
        "../workflow/scripts/differences.py"


rule gains_and_losses:
    input:
        models=lambda w: evaluated(MEASURES, dataset=datasets_of(w.group)),
    output:
        svg=report(
            "<results>/figures/{group}_queries.svg",
            caption="../workflow/report/queries.rst",
            category=ON_PAR,
            labels={"what": "query by query", "group": "{group}"},
        ),
        pdf="<results>/figures/{group}_queries.pdf",
    log:
        "<logs>/figures/{group}_queries.log",
    wildcard_constraints:
        group=named(groups()),
    conda:
        "../envs/data.yaml"
    params:
        baseline=config["statistics"]["baseline_recipe"],
    script:
        "../workflow/scripts/gains_and_losses.py"


rule training_curves:
    input:
        evaluated(MODEL),
    output:
        svg=report(
            "<results>/figures/training.svg",
            caption="../workflow/report/training.rst",
            category=MADE,
            labels={"what": "training curves", "group": "all"},
        ),
        pdf="<results>/figures/training.pdf",
    log:
        "<logs>/figures/training.log",
    conda:
        "../envs/data.yaml"
    params:
        about=curves(),
    script:
        "../workflow/scripts/training_curves.py"


rule learning_rate:
    input:
        groups=expand("<results>/tables/{group}.csv", group=groups()),
        equivalence="<results>/tables/equivalence.csv",
    output:
        csv="<results>/tables/learning_rate.csv",
        svg=report(
            "<results>/figures/learning_rate.svg",
            caption="../workflow/report/learning_rate.rst",
            category=LEARNING_RATE,
            labels={"what": "figure", "group": "all"},
        ),
        pdf="<results>/figures/learning_rate.pdf",
    log:
        "<logs>/tables/learning_rate.log",
    conda:
        "../envs/data.yaml"
    params:
        sweep=sweep(config),
    script:
        "../workflow/scripts/learning_rate.py"


rule reproduction:
    input:
        groups=expand("<results>/tables/{group}.csv", group=groups()),
        published=workflow.source_path("../workflow/published/in_domain.csv"),
    output:
        csv="<results>/tables/reproduction.csv",
        svg=report(
            "<results>/figures/reproduction.svg",
            caption="../workflow/report/reproduction.rst",
            category=REPRODUCTION,
            labels={"what": "figure", "group": "all"},
        ),
        pdf="<results>/figures/reproduction.pdf",
    log:
        "<logs>/tables/reproduction.log",
    conda:
        "../envs/data.yaml"
    script:
        "../workflow/scripts/reproduction.py"


# It reads what jobs left beside their outputs, which is not declared: a benchmark that is lost must
# not make a model train again.
rule provenance:
    input:
        rules.tables.input,
    output:
        provenance="<results>/provenance/provenance.csv",
        runtimes="<results>/provenance/runtimes.csv",
    log:
        "<logs>/provenance.log",
    conda:
        "../envs/data.yaml"
    params:
        benchmarks=f"{config['results']}/benchmarks",
        logs=f"{config['results']}/logs",
    script:
        "../workflow/scripts/provenance.py"


rule page:
    input:
        lambda w: f"<results>/{'provenance' if w.name in PROVENANCE else 'tables'}/{w.name}.csv",
    output:
        report(
            "<results>/pages/{name}.html",
            caption="../workflow/report/page.rst",
            category=lambda w: PAGE_CATEGORIES[w.name],
            labels={"what": "{name}", "group": "all"},
        ),
    log:
        "<logs>/pages/{name}.log",
    wildcard_constraints:
        name=named(PAGE_CATEGORIES),
    conda:
        "../envs/data.yaml"
    script:
        "../workflow/scripts/page.py"


rule plan:
    output:
        "<results>/tables/plan.csv",
    log:
        "<logs>/tables/plan.log",
    conda:
        "../envs/data.yaml"
    params:
        # A plan tells what is done, so it is made anew whenever it is asked for.
        now=time.time(),
    script:
        "../workflow/scripts/plan.py"
