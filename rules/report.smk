# Figures, pages and provenance: what the report consists of; the plan; what other code made.


localrules:
    figures,
    pages,
    group_figures,
    training_curves,
    learning_rate,
    reproduction,
    provenance,
    table_pages,
    plan,
    stale,
    accept,
    reject,


rule figures:
    input:
        expand(GROUP_FIGURE, group=grid.groups, figure=group_figures(), format=FIGURE_FORMATS),
        expand(FIGURE, figure=single_figures(), format=FIGURE_FORMATS),


rule pages:
    input:
        expand(PAGE, page=[*grid.groups, "verdicts", *table_pages()]) if grid.groups else [],


rule group_figures:
    input:
        table=GROUP_TABLE.of(group="{group}", format="csv"),
        equivalence=TABLE.of(table="equivalence"),
        models=lambda w: all_measures(grid.groups[w.group])["models"],
    output:
        svg=[
            in_report(
                GROUP_FIGURE.of(group="{group}", figure=name, format="svg"),
                name,
                *GROUP_FIGURES[name],
                group="{group}",
            )
            for name in group_figures()
        ],
        pdf=[
            GROUP_FIGURE.of(group="{group}", figure=name, format="pdf") for name in group_figures()
        ],
    log:
        FIGURE.of(figure="{group}", format="svg").log,
    wildcard_constraints:
        group=named(grid.groups),
    conda:
        "../envs/data.yaml"
    params:
        figures=group_figures(),
        baseline=grid.statistics.baseline_recipe,
        margin=grid.statistics.equivalence_margin,
    script:
        "../workflow/scripts/group_figures.py"


rule training_curves:
    input:
        for_models(MODEL),
    output:
        **figure_of("training", MADE, "training curves"),
    log:
        FIGURE.of(figure="training", format="svg").log,
    conda:
        "../envs/data.yaml"
    params:
        models=[(*model, grid.stage(model.recipe).objective.loss) for model in grid.evaluated],
    script:
        "../workflow/scripts/training_curves.py"


rule learning_rate:
    input:
        groups=expand(GROUP_TABLE, group=grid.groups, format="csv"),
        equivalence=TABLE.of(table="equivalence"),
    output:
        **figure_of("learning_rate", LEARNING_RATE, "figure"),
        csv=TABLE.of(table="learning_rate"),
    log:
        TABLE.of(table="learning_rate").log,
    conda:
        "../envs/data.yaml"
    params:
        sweep=grid.sweep,
    script:
        "../workflow/scripts/learning_rate.py"


rule reproduction:
    input:
        groups=expand(GROUP_TABLE, group=grid.groups, format="csv"),
        published=workflow.source_path("../workflow/published/in_domain.csv"),
    output:
        **figure_of("reproduction", REPRODUCTION, "figure"),
        csv=TABLE.of(table="reproduction"),
    log:
        TABLE.of(table="reproduction").log,
    conda:
        "../envs/data.yaml"
    script:
        "../workflow/scripts/reproduction.py"


# It reads the manifests beside the outputs, which are not declared: one that is lost must not make a
# model train again.
rule provenance:
    input:
        rules.tables.input,
    output:
        provenance=PROVENANCE.of(table="provenance"),
        runtimes=PROVENANCE.of(table="runtimes"),
    log:
        PROVENANCE.of(table="provenance").log,
    conda:
        "../envs/data.yaml"
    params:
        manifests=on_disk(MANIFESTS),
    script:
        "../workflow/scripts/provenance.py"


if table_pages():

    rule table_pages:
        input:
            [PAGES[name].table.of(table=name) for name in table_pages()],
        output:
            [
                in_report(PAGE.of(page=name), "page", PAGES[name].category, what=name)
                for name in table_pages()
            ],
        log:
            PAGE.of(page="tables").log,
        conda:
            "../envs/data.yaml"
        params:
            pages=table_pages(),
        script:
            "../workflow/scripts/table_pages.py"


rule plan:
    log:
        TABLE.of(table=PLAN).log,
    conda:
        "../envs/model.yaml"
    params:
        again=lambda w: standing.again(),
        table=on_disk(TABLE.of(table=PLAN)),
    script:
        "../workflow/scripts/plan.py"


rule stale:
    log:
        TABLE.of(table="stale").log,
    conda:
        "../envs/data.yaml"
    params:
        manifests=on_disk(MANIFESTS),
        modules=lambda w: standing.by_other_code(),
    script:
        "../workflow/scripts/stale.py"


rule accept:
    log:
        TABLE.of(table="accept").log,
    conda:
        "../envs/data.yaml"
    params:
        code=lambda w: standing.code_of_stale(),
    script:
        "../workflow/scripts/accept.py"


rule reject:
    log:
        TABLE.of(table="reject").log,
    conda:
        "../envs/data.yaml"
    params:
        code=lambda w: standing.code_of_stale(),
    script:
        "../workflow/scripts/reject.py"
