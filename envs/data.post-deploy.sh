#!/usr/bin/env bash
# Snakemake runs this in the environment that it has made of the file of the same name: puts the
# library itself into it, as it is in the checkout, so that scripts and library change together.
# The checkout is where Snakemake runs, unless RESTAGE_SOURCE names another folder.
# This was tested with a stand-in for conda, whose channels were out of reach.
set -euo pipefail
pip install --quiet --no-deps --editable "${RESTAGE_SOURCE:-$PWD}"
