# Re-ranking: a model scores the union of all first stages' candidates; runs are cut from that.


rule runs:
    input:
        all_runs(),


localrules:
    runs,
    rerank,


rule score:
    input:
        unpack(lambda w: tokens_of_dataset(grid.backbones[w.backbone].model, w.dataset)),
        model=MODEL,
        runs=expand(FIRST_STAGE_RUN, first_stage=grid.first_stages, allow_missing=True),
        query_texts=TEXTS.of(kind="datasets", name="{dataset}"),
        passage_texts=lambda w: collection_of(w.dataset),
    output:
        SCORES,
    log:
        SCORES.log,
    conda:
        "../envs/model.yaml"
    threads: grid.compute.threads
    resources:
        gpu=grid.compute.gpus_per_scoring,
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        rerank=grid.rerank,
        segment_ids=lambda w: grid.backbones[w.backbone].segment_ids,
        precision=grid.compute.precision,
        state=on_disk(SCORES.state),
        kept=on_disk(KEPT),
        parsed=on_disk(PARSED),
    script:
        "../workflow/scripts/score.py"


if grid.first_stages:

    # One job for all first stages: most of a job is its start.
    rule rerank:
        input:
            candidates=expand(FIRST_STAGE_RUN, first_stage=grid.first_stages, allow_missing=True),
            scores=SCORES,
        output:
            expand(RUN, first_stage=grid.first_stages, allow_missing=True),
        log:
            RUN.over("first_stage").log,
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=growing(2000),
            runtime=growing(30),
        params:
            depth=grid.rerank.depth,
        script:
            "../workflow/scripts/rerank.py"
