from restage import log
from restage.collections.texts import TextStore
from restage.collections.tokens import write_tokens
from restage.grid import manifests
from restage.grid.layout import TOKENS
from restage.model.hub import at_revision
from restage.model.names import load_tokenizer

log.start(snakemake.log[0], f"tokens of {snakemake.wildcards.name}")
model = at_revision(snakemake.params.model, snakemake.input.get("pinned"))
write_tokens(
    snakemake.output[0],
    TextStore(snakemake.input.texts),
    load_tokenizer(model),
    processes=snakemake.threads,
    others=TOKENS.others(snakemake.output[0], "tokenizer"),
)
manifests.record(snakemake, __file__)
