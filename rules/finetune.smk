# Fine-tuning: one rule for every stage of every recipe.


rule models:
    input:
        for_models(MODEL),


localrules:
    models,


rule finetune:
    input:
        unpack(lambda w: tokens_of_lists(grid.backbones[w.backbone].model, lists_of(w))),
        unpack(files_of_backbone),
        start=start_of,
        lists=lambda w: LISTS.of(lists=lists_of(w)),
    output:
        directory(MODEL),
    log:
        MODEL.log,
    conda:
        "../envs/model.yaml"
    threads: grid.compute.threads
    resources:
        gpu=grid.compute.gpus_per_training,
        mem_mb=growing(16000),
        runtime=growing(2880),
    params:
        backbone=lambda w: grid.backbones[w.backbone],
        objective=lambda w: grid.stage(w.recipe).objective,
        precision=grid.compute.precision,
        state=on_disk(MODEL.state),
        events=on_disk(EVENTS),
    script:
        "../workflow/scripts/finetune.py"
