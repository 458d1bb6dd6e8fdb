PYTHON ?= python3
RUN := .venv/bin
PIP := $(RUN)/python -m pip --disable-pip-version-check

.PHONY: help run install test test-all test-newest chaos parity reproduce same bench bench-quick bench-finetune bench-accuracy bench-roofline bench-growth bench-gpu lint format types site wheel

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

run: .venv/installed  ## train on a small embedded data set, about a minute
	$(RUN)/vit-train experiment=quickstart

install: .venv/installed-dev  ## make .venv with what the commands below need

test: .venv/installed-dev  ## run the tests, five minutes on 2 cores; VIT_TRAIN_DATA=FOLDER adds those on the real CIFAR files
	$(RUN)/pytest -n 2 --dist worksteal -m "not slow" --durations=25

test-all: .venv/installed-dev  ## run the slow ones, too: converters, kills at random, PyTorch, two devices
	$(RUN)/pytest -n 2 --dist worksteal --durations=25

# Each extra as a user gets it, without constraints.txt, and the tests of what it is for.
EXTRAS ?= jax torch export heif parquet optuna slurm tensorboard,mlflow,wandb
TESTS_jax := tests/end_to_end/test_backends.py -k jax
TESTS_torch := tests/end_to_end/test_backends.py -k torch
TESTS_export := tests/runs/test_export.py
TESTS_heif := tests/data/test_image_files.py
TESTS_parquet := tests/data/test_arrow.py
TESTS_optuna := tests/sweep/test_search.py
TESTS_slurm := tests/sweep/test_launchers.py
TESTS_tensorboard,mlflow,wandb := tests/report/test_loggers.py

test-newest: $(EXTRAS:%=newest-%)  ## test each extra with the newest releases that its range allows; EXTRAS="heif jax"

newest-%:
	$(PYTHON) -m venv --clear .venv-newest/$*
	.venv-newest/$*/bin/python -m pip install --quiet --upgrade pip
	.venv-newest/$*/bin/python -m pip install --quiet --upgrade '.[$*]' pytest pytest-timeout hypothesis
	.venv-newest/$*/bin/python -m pytest -W default $(TESTS_$*)
	rm -rf .venv-newest/$*

chaos: .venv/installed-dev  ## kill runs at random KILLS times and compare what they end with
	$(RUN)/python tests/chaos.py $(or $(KILLS),200)

parity: .venv-parity/installed .venv-mml/installed .venv-pretrained/installed .venv-hub/installed  ## write the golden vectors again, with each original in an environment of its own
	.venv-parity/bin/python tests/parity/adamw.py tests/golden/adamw.npz
	.venv-mml/bin/python tests/parity/matmul_free.py tests/golden/matmul_free.npz
	.venv-pretrained/bin/python tests/parity/pretrained.py tests/golden/pretrained
	KERAS_BACKEND=tensorflow .venv-hub/bin/python tests/parity/keras_hub_presets.py tests/golden/pretrained
	.venv-pretrained/bin/python tests/parity/saved_by_datasets.py tests/golden/hf

same: .venv/installed-dev  ## train five recipes with this checkout and with BASE, and compare their bits; DATA=FOLDER
	$(RUN)/python benchmarks/same_results.py $(or $(BASE),HEAD) $(and $(DATA),--data $(DATA))

reproduce: .venv/installed-dev  ## measure a row of docs/results.md: make reproduce ROW=keras_mml [ARGS="--seeds 1,2"]
	$(RUN)/python -m benchmarks.reproduce $(ROW) $(ARGS)

bench: .venv/installed-dev .venv-bench/installed  ## measure docs/performance.md beside what else one would run, 25 minutes on idle cores
	$(RUN)/python -m benchmarks.bench throughput recipes pipeline start end $(ARGS)

bench-quick: .venv/installed-dev  ## whether this checkout trains faster or slower than BASE, in turns; one or two minutes a shape
	$(RUN)/python -m benchmarks.quick $(or $(BASE),HEAD) $(ARGS)

bench-finetune: .venv/installed-dev .venv-bench/installed  ## measure pretrained models at 224 pixels beside timm and transformers
	$(RUN)/python -m benchmarks.bench finetune $(ARGS)

bench-accuracy: .venv/installed-dev  ## write how long the recipes of docs/results.md take to 40 to 65 %, beside the baseline
	$(RUN)/python -m benchmarks.time_to_accuracy

bench-roofline: .venv/installed-dev  ## how near training comes to what the machine can do, by operation; five minutes
	$(RUN)/python -m benchmarks.roofline $(ARGS)

bench-growth: .venv/installed-dev  ## measure time and memory as depth, tokens, width, batch and data set grow
	$(RUN)/python -m benchmarks.bench growth $(ARGS)

bench-gpu: .venv/installed-dev .venv-bench/installed  ## measure training on a GPU, with JAX; pip install '.[jax-gpu]' into .venv first
	$(RUN)/python -m benchmarks.bench gpu $(ARGS)

lint: .venv/installed-dev  ## check style and format
	$(RUN)/ruff check
	$(RUN)/ruff format --check

format: .venv/installed-dev  ## fix what lint complains of, as far as ruff can
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

types: .venv/installed-dev  ## check types
	$(RUN)/mypy

site: .venv-site/installed  ## build the documentation as pages, build/site/index.html; warnings are errors
	NO_MKDOCS_2_WARNING=1 .venv-site/bin/mkdocs build --strict --quiet

wheel: .venv/installed-dev  ## build dist/*.whl, by way of the source archive
	rm -rf dist
	$(RUN)/python -m build --quiet

# The stamps are newer than pyproject.toml and constraints.txt while the environment matches them.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("vit-train needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is %d.%d; name another one, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --constraint constraints.txt --group dev
	@touch $@

# PyTorch, and nothing of ours: it is only what the benchmarks compare with.
.venv-bench/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	.venv-bench/bin/python -m pip install --constraint constraints.txt --group bench
	@touch $@

.venv-site/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip install --quiet --upgrade pip
	.venv-site/bin/python -m pip install --quiet --constraint constraints.txt --group site
	@touch $@

.venv-parity/installed: pyproject.toml
	python3.11 -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --upgrade pip
	.venv-parity/bin/python -m pip install --group parity
	@touch $@

.venv-pretrained/installed: pyproject.toml
	python3.11 -m venv .venv-pretrained
	.venv-pretrained/bin/python -m pip install --quiet --upgrade pip
	.venv-pretrained/bin/python -m pip install --group parity-pretrained
	@touch $@

.venv-hub/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-hub
	.venv-hub/bin/python -m pip install --quiet --upgrade pip
	.venv-hub/bin/python -m pip install --constraint constraints.txt --group parity-hub
	@touch $@

# keras-matmulless excludes this TensorFlow though it runs on it, so its dependencies are left out for the group.
.venv-mml/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-mml
	.venv-mml/bin/python -m pip install --quiet --upgrade pip
	.venv-mml/bin/python -m pip install --constraint constraints.txt --group parity-mml
	.venv-mml/bin/python -m pip install --no-deps keras-matmulless==0.1.2
	@touch $@
