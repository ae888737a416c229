from restage import log
from restage.texts import TextStore
from restage.tokens import load_tokenizer, write_tokens

log.start(snakemake.log[0], f"tokens of {snakemake.wildcards.name}")
store = TextStore(snakemake.input[0])
tokenizer = load_tokenizer(snakemake.params.model)
write_tokens(snakemake.output[0], (texts for _, texts in store.batches()), tokenizer, len(store))
