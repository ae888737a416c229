# First stages: an index per collection, a run per dataset, and runs to mine ranked lists from.


localrules:
    import_run,


rule shared_index:
    input:
        TEXTS.of(kind="collections", name="{collection}"),
    output:
        directory(SHARED_INDEX),
    log:
        SHARED_INDEX.log,
    wildcard_constraints:
        engine=named(name for name, engine in ENGINES.items() if engine.shares_index),
    conda:
        "../envs/retrieval.yaml"
    threads: grid.compute.threads
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
    script:
        "../workflow/scripts/shared_index.py"


rule index:
    input:
        unpack(lambda w: files_of_encoder(w.first_stage)),
        passages=TEXTS.of(kind="collections", name="{collection}"),
        shared=lambda w: shared_index(w.first_stage, w.collection),
    output:
        directory(INDEX),
    log:
        INDEX.log,
    wildcard_constraints:
        first_stage=first_stages(indexes=True),
    conda:
        "../envs/retrieval.yaml"
    threads: grid.compute.threads
    resources:
        gpu=lambda w: retrieval_gpus(w.first_stage),
        # Where the bulk is shared, little is left.
        mem_mb=lambda w, attempt: (
            attempt * (8000 if shared_index(w.first_stage, w.collection) else 32000)
        ),
        runtime=growing(1440),
    params:
        engine=lambda w: grid.first_stages[w.first_stage].engine.for_index(),
        precision=lambda w: retrieval_precision(w.first_stage),
        state=on_disk(INDEX.state),
    script:
        "../workflow/scripts/index.py"


rule retrieve:
    input:
        unpack(lambda w: files_of_encoder(w.first_stage)),
        index=lambda w: INDEX.of(
            first_stage=w.first_stage, collection=grid.datasets[w.dataset].collection
        ),
        queries=TEXTS.of(kind="datasets", name="{dataset}"),
    output:
        FIRST_STAGE_RUN,
    log:
        FIRST_STAGE_RUN.log,
    wildcard_constraints:
        first_stage=first_stages(indexes=True),
    conda:
        "../envs/retrieval.yaml"
    threads: grid.compute.threads
    resources:
        gpu=lambda w: retrieval_gpus(w.first_stage),
        mem_mb=growing(16000),
        runtime=growing(240),
    params:
        engine=lambda w: grid.first_stages[w.first_stage].engine,
        # One deeper where a query's own passage is left out afterwards.
        depth=lambda w: (
            grid.first_stages[w.first_stage].depth + grid.datasets[w.dataset].leave_out_own
        ),
        leave_out_own=lambda w: grid.datasets[w.dataset].leave_out_own,
        precision=lambda w: retrieval_precision(w.first_stage),
    script:
        "../workflow/scripts/retrieve.py"


use rule retrieve as mine with:
    input:
        unpack(lambda w: files_of_encoder(grid.ranked_lists[w.lists].format.first_stage)),
        index=lambda w: INDEX.of(
            first_stage=grid.ranked_lists[w.lists].format.first_stage,
            collection=grid.ranked_lists[w.lists].collection,
        ),
        queries=lambda w: queries_of_lists(w.lists),
    output:
        MINED,
    log:
        MINED.log,
    wildcard_constraints:
        lists=lists_of_kind(lambda form: form.first_stage),
    resources:
        gpu=lambda w: retrieval_gpus(grid.ranked_lists[w.lists].format.first_stage),
        mem_mb=growing(16000),
        runtime=growing(1440),
    params:
        engine=lambda w: grid.first_stages[grid.ranked_lists[w.lists].format.first_stage].engine,
        depth=lambda w: grid.ranked_lists[w.lists].format.deepest,
        leave_out_own=False,
        precision=lambda w: retrieval_precision(grid.ranked_lists[w.lists].format.first_stage),


rule import_run:
    input:
        run=lambda w: grid.first_stages[w.first_stage].engine.path_of(w.dataset),
        qrels=QRELS,
        # To measure a run takes no text; to re-rank it does.
        passages=lambda w: collection_of(w.dataset) if grid.evaluated else [],
    output:
        FIRST_STAGE_RUN,
    log:
        FIRST_STAGE_RUN.log,
    wildcard_constraints:
        first_stage=first_stages(indexes=False),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depth=lambda w: grid.first_stages[w.first_stage].depth,
        leave_out_own=lambda w: grid.datasets[w.dataset].leave_out_own,
    script:
        "../workflow/scripts/import_run.py"
