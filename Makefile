# make run and make test need nothing before them: they create $(VENV) and install what they need, once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The address of an index that holds torch's CPU wheels; empty: torch comes from pip's own sources.
TORCH_INDEX_URL ?=
LOCK := $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-annotate --no-header --no-emit-package torch --constraint requirements/torch.txt

.PHONY: help run test check format docs figures lock install clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

run: $(VENV)/.serve  ## serve on http://localhost:8000
	@exec $(BIN)/haste serve

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest

check: $(VENV)/.dev  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## rewrite the sources as `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev  ## write the generated pages and README's results
	$(BIN)/python scripts/make_docs.py

figures: $(VENV)/.dev  ## draw docs/images from benchmarks/results
	$(BIN)/python scripts/draw_figures.py

lock: $(VENV)/.dev  ## resolve pyproject.toml anew into requirements/*.lock
	$(LOCK) --upgrade pyproject.toml --all-extras -o requirements/dev.lock
	$(LOCK) pyproject.toml --extra serve --constraint requirements/dev.lock -o requirements/serve.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) - --constraint requirements/dev.lock -o requirements/build.lock

install: $(VENV)/.dev  ## create the environment and install everything, development tools included

clean:  ## remove caches and build results (neither the environment nor state/)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find haste app scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version): make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "venv is missing: apt-get install python3-venv"; exit 1; }

$(VENV)/.torch: requirements/torch.txt | $(BIN)/python
	@$(if $(TORCH_INDEX_URL),,echo "torch: from pip's own sources (TORCH_INDEX_URL=... names an index of CPU wheels)")
	$(PIP) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) -r requirements/torch.txt
	@touch $@

$(VENV)/.serve: $(VENV)/.torch requirements/serve.lock requirements/build.lock pyproject.toml
	$(PIP) --require-hashes -r requirements/serve.lock -r requirements/build.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.serve requirements/dev.lock
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@
