# Passages, queries and qrels, from ir_datasets or a folder, into stores.


localrules:
    fetch,


rule fetch:
    output:
        touch("<results>/downloads/ir_datasets/{id}.fetched"),
    log:
        "<logs>/downloads/ir_datasets/{id}.log",
    wildcard_constraints:
        id=".+",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=600,
    script:
        "../workflow/scripts/fetch.py"


rule text_store:
    input:
        lambda w: files_of(w.kind, w.name),
    output:
        directory("<stores>/texts/{kind}/{name}"),
    log:
        "<logs>/texts/{kind}/{name}.log",
    benchmark:
        "<benchmarks>/texts/{kind}/{name}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        source=lambda w: source_of(w.kind, w.name),
    script:
        "../workflow/scripts/text_store.py"


rule token_store:
    input:
        "<stores>/texts/{kind}/{name}",
    output:
        directory("<stores>/tokens/{tokenizer}/{kind}/{name}"),
    log:
        "<logs>/tokens/{tokenizer}/{kind}/{name}.log",
    benchmark:
        "<benchmarks>/tokens/{tokenizer}/{kind}/{name}.tsv"
    conda:
        "../envs/model.yaml"
    threads: config["compute"]["threads"]
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        model=lambda w: model_of(w.tokenizer),
    script:
        "../workflow/scripts/token_store.py"


rule qrels:
    input:
        lambda w: qrels_files(config["datasets"][w.dataset]),
    output:
        "<stores>/qrels/{dataset}.parquet",
    log:
        "<logs>/qrels/{dataset}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        source=lambda w: config["datasets"][w.dataset],
    script:
        "../workflow/scripts/qrels.py"
