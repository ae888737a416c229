# First stages: an index per collection, a run per dataset, and runs to mine ranked lists from.


localrules:
    import_run,
    model_index_pisa,


rule index_pisa:
    input:
        "<stores>/texts/collections/{collection}",
    output:
        directory("<results>/indexes/pisa/{collection}"),
    log:
        "<logs>/indexes/pisa/{collection}.log",
    benchmark:
        "<benchmarks>/indexes/pisa/{collection}.tsv"
    conda:
        "../envs/retrieval.yaml"
    threads: config["compute"]["threads"]
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
    script:
        "../workflow/scripts/index_pisa.py"


rule model_index_pisa:
    input:
        "<results>/indexes/pisa/{collection}",
    output:
        directory("<results>/indexes/{first_stage}/{collection}"),
    log:
        "<logs>/indexes/{first_stage}/{collection}.log",
    benchmark:
        "<benchmarks>/indexes/{first_stage}/{collection}.tsv"
    wildcard_constraints:
        first_stage=engine("pisa"),
    conda:
        "../envs/retrieval.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        settings=lambda w: index_settings(w.first_stage),
    script:
        "../workflow/scripts/model_index_pisa.py"


rule index:
    input:
        "<stores>/texts/collections/{collection}",
    output:
        directory("<results>/indexes/{first_stage}/{collection}"),
    log:
        "<logs>/indexes/{first_stage}/{collection}.log",
    benchmark:
        "<benchmarks>/indexes/{first_stage}/{collection}.tsv"
    wildcard_constraints:
        first_stage=engine("terrier", "dense", "late_interaction"),
    conda:
        "../envs/retrieval.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=lambda w: retrieval_gpus(w.first_stage),
        mem_mb=growing(32000),
        runtime=growing(1440),
    params:
        settings=lambda w: index_settings(w.first_stage),
        state=lambda w: state_of("indexes", w),
    script:
        "../workflow/scripts/index.py"


rule retrieve:
    input:
        index=lambda w: (
            f"<results>/indexes/{w.first_stage}/{config['datasets'][w.dataset]['collection']}"
        ),
        queries="<stores>/texts/datasets/{dataset}",
    output:
        "<results>/first_stage/{first_stage}/{dataset}.run.gz",
    log:
        "<logs>/first_stage/{first_stage}/{dataset}.log",
    benchmark:
        "<benchmarks>/first_stage/{first_stage}/{dataset}.tsv"
    wildcard_constraints:
        first_stage=engine("pisa", "terrier", "dense", "late_interaction"),
    conda:
        "../envs/retrieval.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=lambda w: retrieval_gpus(w.first_stage),
        mem_mb=growing(16000),
        runtime=growing(240),
    params:
        settings=lambda w: retrieval_settings(w),
        leave_out_own=lambda w: config["datasets"][w.dataset]["leave_out_own"],
    script:
        "../workflow/scripts/retrieve.py"


use rule retrieve as mine with:
    input:
        index=lambda w: (
            "<results>/indexes/{first_stage}/{collection}".format(
                **config["ranked_lists"][w.lists]
            )
        ),
        queries=lambda w: f"<stores>/texts/ranked_lists/{queries_of(config, w.lists)}",
    output:
        "<results>/mined/{lists}.run.gz",
    log:
        "<logs>/mined/{lists}.log",
    benchmark:
        "<benchmarks>/mined/{lists}.tsv"
    wildcard_constraints:
        lists=list_format("first_stage"),
    resources:
        gpu=lambda w: retrieval_gpus(config["ranked_lists"][w.lists]["first_stage"]),
        mem_mb=growing(16000),
        runtime=growing(1440),
    params:
        settings=lambda w: mining_settings(w.lists),
        leave_out_own=False,


rule import_run:
    input:
        run=lambda w: config["first_stages"][w.first_stage]["path"].format(dataset=w.dataset),
        qrels="<stores>/qrels/{dataset}.parquet",
        # To measure a run takes no text; to re-rank it does.
        passages=lambda w: collection_of(w.dataset) if config["backbones"] else [],
    output:
        "<results>/first_stage/{first_stage}/{dataset}.run.gz",
    log:
        "<logs>/first_stage/{first_stage}/{dataset}.log",
    benchmark:
        "<benchmarks>/first_stage/{first_stage}/{dataset}.tsv"
    wildcard_constraints:
        first_stage=engine("run"),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        depth=lambda w: config["first_stages"][w.first_stage]["depth"],
        leave_out_own=lambda w: config["datasets"][w.dataset]["leave_out_own"],
    script:
        "../workflow/scripts/import_run.py"
