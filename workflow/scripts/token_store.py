from pathlib import Path

from restage import log
from restage.texts import TextStore
from restage.tokens import load_tokenizer, write_tokens

log.start(snakemake.log[0], f"tokens of {snakemake.wildcards.name}")
_, kind, name = snakemake.wildcards
write_tokens(
    snakemake.output[0],
    TextStore(snakemake.input[0]),
    load_tokenizer(snakemake.params.model),
    processes=snakemake.threads,
    others=sorted(Path(snakemake.output[0]).parents[2].glob(f"*/{kind}/{name}")),
)
