# Passages, queries and qrels, from ir_datasets or a folder, into stores.


localrules:
    fetch,
    pin,


rule fetch:
    output:
        touch(FETCHED),
    log:
        FETCHED.log,
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
        directory(TEXTS),
    log:
        TEXTS.log,
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        source=lambda w: source_of(w.kind, w.name),
    script:
        "../workflow/scripts/text_store.py"


rule pin:
    output:
        PINNED,
    log:
        PINNED.log,
    conda:
        "../envs/model.yaml"
    resources:
        mem_mb=2000,
        runtime=600,
    params:
        model=lambda w: grid.models[w.model],
        uses=lambda w: uses_of(grid.models[w.model]),
    script:
        "../workflow/scripts/pin.py"


rule token_store:
    input:
        unpack(lambda w: files_of_model(grid.models[w.tokenizer], tokenizer_files)),
        texts=TEXTS,
    output:
        directory(TOKENS),
    log:
        TOKENS.log,
    conda:
        "../envs/model.yaml"
    threads: grid.compute.threads
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        model=lambda w: grid.models[w.tokenizer],
    script:
        "../workflow/scripts/token_store.py"


rule qrels:
    input:
        lambda w: qrels_files(grid.datasets[w.dataset].source),
        passages=lambda w: judged_passages(w.dataset),
    output:
        QRELS,
    log:
        QRELS.log,
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        source=lambda w: grid.datasets[w.dataset].source,
    script:
        "../workflow/scripts/qrels.py"
