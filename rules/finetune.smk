# Fine-tuning: one rule for every stage of every recipe.


rule models:
    input:
        evaluated(MODEL),


localrules:
    models,


rule finetune:
    input:
        unpack(lambda w: tokens_of_lists(config["backbones"][w.backbone]["model"], lists_of(w))),
        start=lambda w: (
            f"<results>/models/{w.backbone}/{stage_of(w).previous}/{w.seed}"
            if stage_of(w).previous
            else []
        ),
        lists=lambda w: f"<results>/ranked_lists/{lists_of(w)}",
    output:
        directory(MODEL),
    log:
        "<logs>/models/{backbone}/{recipe}/{seed}.log",
    benchmark:
        "<benchmarks>/models/{backbone}/{recipe}/{seed}.tsv"
    conda:
        "../envs/model.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=config["compute"]["gpus_per_training"],
        mem_mb=growing(16000),
        runtime=growing(2880),
    params:
        backbone=lambda w: config["backbones"][w.backbone],
        objective=lambda w: stage_of(w).objective,
        state=lambda w: state_of("models", w),
        events=lambda w: f"{config['results']}/tensorboard/{w.backbone}/{w.recipe}/{w.seed}",
    script:
        "../workflow/scripts/finetune.py"
