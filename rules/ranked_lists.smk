# Training data: ranked lists from files, mined by a first stage or ranked by a teacher, as stores.


rule lists:
    input:
        expand(LISTS, lists=grid.ranked_lists),


localrules:
    lists,
    download,


rule download:
    output:
        DOWNLOAD,
    log:
        DOWNLOAD.log,
    wildcard_constraints:
        lists=lists_of_kind(lambda form: form.files),
        part=named({part for lists in grid.ranked_lists.values() for part in lists.format.files}),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=600,
    params:
        file=lambda w: grid.ranked_lists[w.lists].format.files[w.part],
    script:
        "../workflow/scripts/download.py"


rule ranked_lists:
    input:
        unpack(lambda w: files_of_lists(w.lists)),
        queries=lambda w: queries_of_lists(w.lists),
        passages=lambda w: TEXTS.of(kind="collections", name=grid.ranked_lists[w.lists].collection),
        qrels=lambda w: qrels_files(grid.ranked_lists[w.lists].qrels),
    output:
        directory(LISTS),
    log:
        LISTS.log,
    wildcard_constraints:
        lists=lists_of_kind(lambda form: not form.taught),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        lists=lambda w: grid.ranked_lists[w.lists],
    script:
        "../workflow/scripts/ranked_lists.py"


rule teacher_lists:
    input:
        unpack(lambda w: tokens_of_lists(teacher_model(w.lists), w.lists)),
        unpack(lambda w: files_of_teacher(w.lists)),
        lists=lambda w: LISTS.of(lists=grid.ranked_lists[w.lists].format.taught.ranked_lists),
        model=lambda w: ranked_by(w.lists)[0],
    output:
        directory(LISTS),
    log:
        LISTS.log,
    wildcard_constraints:
        lists=lists_of_kind(lambda form: form.taught),
    conda:
        "../envs/model.yaml"
    threads: grid.compute.threads
    resources:
        gpu=grid.compute.gpus_per_scoring,
        mem_mb=growing(16000),
        runtime=growing(2880),
    params:
        taught=lambda w: grid.ranked_lists[w.lists].format.taught,
        # None: as the teacher's tokenizer does.
        segment_ids=lambda w: getattr(ranked_by(w.lists)[1], "segment_ids", None),
        precision=grid.compute.precision,
        state=on_disk(LISTS.state),
    script:
        "../workflow/scripts/teacher_lists.py"
