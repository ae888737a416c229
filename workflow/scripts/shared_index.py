from dataclasses import replace
from pathlib import Path

from restage import log
from restage.collections.texts import TextStore
from restage.first_stage import ENGINES, packages_of
from restage.grid import manifests
from restage.grid.settings import Compute

log.start(snakemake.log[0], f"index of {snakemake.wildcards.collection}")
engine, passages = ENGINES[snakemake.wildcards.engine], TextStore(snakemake.input[0])
compute = replace(Compute.of(snakemake.config["compute"]), threads=snakemake.threads)
with packages_of(engine):
    engine.share(passages, Path(snakemake.output[0]), compute)
manifests.record(snakemake, __file__)
