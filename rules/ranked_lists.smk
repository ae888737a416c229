# Training data: ranked lists from files or mined by a first stage, as column stores.


rule lists:
    input:
        expand("<results>/ranked_lists/{lists}", lists=config["ranked_lists"]),


localrules:
    lists,
    download,


rule download:
    output:
        "<results>/downloads/{lists}/{part}",
    log:
        "<logs>/downloads/{lists}/{part}.log",
    wildcard_constraints:
        lists=list_format("trec_run", "rankgpt"),
        part="source|permutations|candidates",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=600,
    params:
        url=lambda w: config["ranked_lists"][w.lists][w.part]["url"],
    script:
        "../workflow/scripts/download.py"


rule ranked_lists_from_run:
    input:
        unpack(lambda w: what_lists_refer_to(w.lists)),
        run=lambda w: (
            f"<results>/mined/{w.lists}.run.gz"
            if config["ranked_lists"][w.lists]["format"] == "first_stage"
            else local_file(w.lists, "source")
        ),
    output:
        directory("<results>/ranked_lists/{lists}"),
    log:
        "<logs>/ranked_lists/{lists}.log",
    benchmark:
        "<benchmarks>/ranked_lists/{lists}.tsv"
    wildcard_constraints:
        lists=list_format("trec_run", "first_stage"),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        settings=lambda w: list_settings(w.lists),
    script:
        "../workflow/scripts/ranked_lists.py"


use rule ranked_lists_from_run as ranked_lists_from_rankgpt with:
    input:
        unpack(lambda w: what_lists_refer_to(w.lists)),
        permutations=lambda w: local_file(w.lists, "permutations"),
        candidates=lambda w: local_file(w.lists, "candidates"),
    wildcard_constraints:
        lists=list_format("rankgpt"),


rule ranked_lists_from_model:
    input:
        unpack(lambda w: tokens_of_lists(teacher(w.lists)["tokenizer"], w.lists)),
        lists=lambda w: f"<results>/ranked_lists/{config['ranked_lists'][w.lists]['ranked_lists']}",
        model=lambda w: teacher(w.lists)["path"],
    output:
        directory("<results>/ranked_lists/{lists}"),
    log:
        "<logs>/ranked_lists/{lists}.log",
    benchmark:
        "<benchmarks>/ranked_lists/{lists}.tsv"
    wildcard_constraints:
        lists=list_format("model"),
    conda:
        "../envs/model.yaml"
    threads: config["compute"]["threads"]
    resources:
        gpu=config["compute"]["gpus_per_scoring"],
        mem_mb=growing(16000),
        runtime=growing(2880),
    params:
        settings=lambda w: list_settings(w.lists),
        segment_ids=lambda w: teacher(w.lists)["segment_ids"],
        state=lambda w: state_of("ranked_lists", w),
    script:
        "../workflow/scripts/teacher_lists.py"
