import pandas as pd

from restage import log
from restage.grid import manifests
from restage.report import figures, panels

log.start(snakemake.log[0], "figure training")
about = ["backbone", "recipe", "seed", "last_loss"]
curves = [
    pd.read_csv(f"{folder}/training.csv").assign(**dict(zip(about, model, strict=True)))
    for folder, model in zip(snakemake.input, snakemake.params.models, strict=True)
]
files = snakemake.output.svg, snakemake.output.pdf
panels.write_figure(figures.training_curves, *files, pd.concat(curves))
manifests.record(snakemake, __file__)
