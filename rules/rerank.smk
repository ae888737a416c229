# Re-ranking: a model scores the union of all first stages' candidates; runs are cut from that.


rule runs:
    input:
        all_runs(config["datasets"]),


localrules:
    runs,
    rerank,


rule score:
    input:
        unpack(lambda w: tokens_of_dataset(config["backbones"][w.backbone]["model"], w.dataset)),
        model=MODEL,
        runs=expand(FIRST_STAGE_RUN, first_stage=config["first_stages"], allow_missing=True),
        query_texts="<stores>/texts/datasets/{dataset}",
        passage_texts=lambda w: collection_of(w.dataset),
    output:
        "<results>/scores/{backbone}/{recipe}/{seed}/{dataset}.parquet",
    log:
        "<logs>/scores/{backbone}/{recipe}/{seed}/{dataset}.log",
    benchmark:
        "<benchmarks>/scores/{backbone}/{recipe}/{seed}/{dataset}.tsv"
    conda:
        "../envs/model.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=config["compute"]["gpus_per_scoring"],
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        rerank=config["rerank"],
        segment_ids=lambda w: config["backbones"][w.backbone]["segment_ids"],
        state=lambda w: state_of("scores", w),
    script:
        "../workflow/scripts/score.py"


rule rerank:
    input:
        candidates=FIRST_STAGE_RUN,
        scores="<results>/scores/{backbone}/{recipe}/{seed}/{dataset}.parquet",
    output:
        RUN,
    log:
        "<logs>/runs/{backbone}/{recipe}/{seed}/{first_stage}/{dataset}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        depth=config["rerank"]["depth"],
    script:
        "../workflow/scripts/rerank.py"
