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

.PHONY: help run test test-alerts test-page test-ray test-kubernetes screenshots check check-native check-asan check-tsan \
	format docs docs-site figures bench lock install clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

run: $(VENV)/.serve  ## serve on http://localhost:8000
	@exec $(BIN)/haste serve

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest

test-alerts: $(VENV)/.dev  ## check and test the alert rules and the metrics; needs promtool (Debian: prometheus)
	@command -v promtool >/dev/null || { echo "promtool is missing: apt-get install --no-install-recommends prometheus"; exit 1; }
	$(BIN)/python -m pytest tests/deploy/test_rules.py tests/app/test_operation.py -k "promtool or rule"

test-page: $(VENV)/.browser  ## test the page in a real browser; needs Chromium (Debian: chromium)
	@command -v chromium >/dev/null || { echo "chromium is missing: apt-get install --no-install-recommends chromium"; exit 1; }
	$(BIN)/python -m pytest tests/browser

screenshots: $(VENV)/.browser  ## take docs/images/page-*.png of a real service; needs Chromium (Debian: chromium)
	@command -v chromium >/dev/null || { echo "chromium is missing: apt-get install --no-install-recommends chromium"; exit 1; }
	$(BIN)/python scripts/draw_page.py

test-ray: $(VENV)/.fleet  ## a fleet on Ray Serve under load: kill, scale, steer, update; no request may be lost (minutes)
	$(BIN)/python scripts/prove_ray.py

test-kubernetes: $(VENV)/.fleet  ## build and validate the manifests against the schemas; needs kubectl
	@command -v kubectl >/dev/null || { echo "kubectl is missing: apt-get install kubectl, or see kubernetes.io/docs/tasks/tools"; exit 1; }
	$(BIN)/python -m pytest tests/deploy/test_kubernetes.py

check: $(VENV)/.dev  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check-native: check-asan check-tsan  ## the native engine under the sanitizers, on random networks

check-asan: SANITIZERS := address,undefined
check-asan: CHECKS := -D_GLIBCXX_ASSERTIONS -D_GLIBCXX_SANITIZE_VECTOR
check-asan: NETWORKS := 100
check-tsan: SANITIZERS := thread
check-tsan: NETWORKS := 30
check-tsan: UNDER = $(shell setarch -R true 2>/dev/null && echo setarch -R)  # where addresses are too random for tsan
check-asan check-tsan: $(VENV)/.dev
	$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN))/ninja" -S haste/csrc -B build/$@ -DHASTE_CHECK=ON \
		-DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_CXX_FLAGS="-fsanitize=$(SANITIZERS) -fno-sanitize-recover=all -fno-omit-frame-pointer $(CHECKS)"
	$(BIN)/cmake --build build/$@
	TSAN_OPTIONS=halt_on_error=1 $(UNDER) build/$@/check/haste_check $(NETWORKS)

format: $(VENV)/.dev  ## rewrite the sources as `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev  ## write the generated pages and the generated blocks of others
	$(BIN)/python scripts/make_docs.py

docs-site: $(VENV)/.dev  ## build site/ from the pages: warnings are errors, links and anchors are checked, nothing is fetched
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -b html . site
	$(BIN)/python scripts/check_site.py site

figures: $(VENV)/.dev  ## draw docs/images from benchmarks/results
	$(BIN)/python scripts/draw_figures.py

# DATA=FILE.npz: labelled images that tell what a level costs; without them no row may be quoted as a speed-up.
bench: $(VENV)/.bench  ## race against other runtimes; writes build/race.json
	@mkdir -p build
	$(BIN)/haste bench --threads 1,2 --batch 1,8 --peers $(if $(DATA),--data $(DATA) --limit 2000) --json build/race.json

lock: $(VENV)/.dev  ## resolve pyproject.toml anew into requirements/*.lock
	$(LOCK) --upgrade pyproject.toml --extra serve --extra figures --extra dev -o requirements/dev.lock
	$(LOCK) pyproject.toml --extra serve --constraint requirements/dev.lock -o requirements/serve.lock
	$(LOCK) pyproject.toml --extra serve --extra dev --extra browser --constraint requirements/dev.lock -o requirements/browser.lock
	$(LOCK) pyproject.toml --extra bench --constraint requirements/dev.lock -o requirements/bench.lock
	$(LOCK) pyproject.toml --extra serve --extra ray --extra kubernetes --constraint requirements/dev.lock \
		--constraint requirements/bench.lock -o requirements/fleet.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) - --constraint requirements/dev.lock -o requirements/build.lock

install: $(VENV)/.dev  ## create the environment and install everything, development tools included

clean:  ## remove caches and build results (neither the environment nor state/)
	rm -rf build site dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find haste app scripts tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

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

$(VENV)/.fleet: $(VENV)/.dev requirements/fleet.lock
	$(PIP) --require-hashes -r requirements/fleet.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.serve requirements/bench.lock
	$(PIP) --require-hashes -r requirements/bench.lock
	@touch $@

$(VENV)/.browser: $(VENV)/.dev requirements/browser.lock
	$(PIP) --require-hashes -r requirements/browser.lock
	@touch $@
