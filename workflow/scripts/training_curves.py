import pandas as pd

from restage import figures, log

log.start(snakemake.log[0], "figure training")
curves = [
    pd.read_csv(f"{folder}/training.csv").assign(**about)
    for folder, about in zip(snakemake.input, snakemake.params.about, strict=True)
]
files = snakemake.output.svg, snakemake.output.pdf
figures.write_figure(figures.training_curves, *files, pd.concat(curves))
