from restage import log
from restage.collections.texts import TextStore
from restage.collections.tokens import write_tokens
from restage.grid import manifests
from restage.grid.layout import TOKENS
from restage.model.names import load_tokenizer

log.start(snakemake.log[0], f"tokens of {snakemake.wildcards.name}")
write_tokens(
    snakemake.output[0],
    TextStore(snakemake.input.texts),
    load_tokenizer(snakemake.params.model),
    processes=snakemake.threads,
    others=TOKENS.others(snakemake.output[0], "tokenizer"),
)
manifests.record(snakemake, __file__)
