# `make demo` and `make test` set up what they need; everything is made in .venv.
PYTHON ?= python3
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores all --quiet rules host

.PHONY: setup demo report test test-failures test-slurm lint bench paper clean

setup: .venv/ready

# Everything is pinned in requirements.lock. For another build of torch (CUDA, ROCm) install it into
# .venv afterwards.
.venv/ready: requirements.lock pyproject.toml
	@echo "Setting up .venv with $$($(PYTHON) --version); about 2 GB and two to five minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: setup
	@$(BIN)/python -m restage.demo.gazetteer results/demo/data
	@$(SNAKEMAKE) --configfile config/demo.yaml
	@$(BIN)/python -m restage.report.typeset results/demo/tables/in_domain.csv

# One page with tables, figures and what made them; it needs no network.
report: demo
	@$(SNAKEMAKE) --configfile config/demo.yaml --report results/demo/report.html
	@echo "Open results/demo/report.html in a browser."

# On all cores, the rooms that take longest first. The tests of a file stay together, for they share
# what the first of them makes.
LONG := tests/workflow/ tests/finetune/
OTHERS := $(filter-out $(LONG) tests/__pycache__/,$(wildcard tests/*/)) $(wildcard tests/test_*.py)

test: setup
	$(BIN)/pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(LONG) $(OTHERS)

# What docs/failures.md promises: kills, full disks, moved results; about ten minutes.
test-failures: setup
	$(BIN)/pytest -m failures tests/workflow/test_failures.py

# The workflow on a real SLURM of two nodes on this machine; about eleven minutes. It needs root;
# without the packages or the right to install them it skips.
test-slurm: setup
	@command -v slurmctld >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; } \
	    || echo "slurm-wlm and munge could not be installed"
	$(BIN)/pytest -m slurm tests/workflow/test_slurm.py -s

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules workflow/Snakefile
	$(BIN)/snakemake --lint
	$(BIN)/mypy

# Speed and memory against the usual ways, each pair in one run; about fifty minutes.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	$(BIN)/python benchmarks/ranked_lists.py
	$(BIN)/python benchmarks/tokens.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/training.py --lists 32 --size 20 --padded 8
	$(BIN)/python benchmarks/training.py --memory
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/retrieval.py

# The paper's whole grid: needs GPUs (GPUS=2 for two), the network and days.
GPUS ?= 1
paper: setup
	$(SNAKEMAKE) --resources gpu=$(GPUS)

# What the other targets made, and nothing that took days: results/ keeps the rest.
clean:
	rm -rf results/demo .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache
