# Everything a fresh machine with Python, pip and make needs; each target sets up what it uses.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each part remembers its own failures, so that `make again` repeats them.
PYTEST = $(BIN)/pytest -q -o cache_dir=.pytest_cache/$@

.PHONY: help venv lint unit packaging cluster test test-cases forget again gen demo bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

venv: $(VENV)/ready ## the virtual environment, from the lock file

lint: $(VENV)/ready ## style, types, layers, Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint --failure-threshold style Dockerfile docs/own-checks/Dockerfile

unit: $(VENV)/ready ## the fast tests
	$(PYTEST) tests/unit

packaging: $(VENV)/ready ## the wheel, the source archive and the image's layers, made and used
	$(BIN)/python -m devcluster.binaries
	$(PYTEST) tests/packaging

cluster: $(VENV)/ready ## the tests against a real control plane
	$(BIN)/python -m devcluster.binaries
	$(PYTEST) tests/cluster

# The longest first: two run at a time, all to their end. The tests of the cluster wait for most of their time.
PARTS ?= cluster unit packaging

forget:
	rm -rf $(PARTS:%=.pytest_cache/%)

test: forget $(VENV)/ready lint ## everything that needs only the clone, two parts at a time
	$(BIN)/python -m devcluster.binaries
	$(MAKE) --jobs=2 --keep-going --output-sync=target $(PARTS)

test-cases: $(VENV)/ready ## labelled cases, real manifests, add-ons (IOCAUDIT_CASES, IOCAUDIT_SIGNALS, IOCAUDIT_REALWORLD, IOCAUDIT_ADDONS)
	$(BIN)/python -m devcluster.binaries
	$(PYTEST) tests/acceptance

again: $(VENV)/ready ## what failed in the last `make test`, once more and alone
	$(BIN)/python -m tests.support.again $(PARTS)

gen: $(VENV)/ready ## write the generated files
	$(BIN)/python -m devcluster.generate

demo: $(VENV)/ready ## the main job on a real local control plane (KEEP=1 leaves it running)
	$(BIN)/python -m devcluster.demo $(if $(KEEP),--keep)

bench: $(VENV)/ready ## speed, as ratios within one run
	$(BIN)/python -m tests.bench

lock: ## refresh requirements.lock from pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv
	$(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock --extra cluster --extra rego --group dev pyproject.toml
	rm -rf $(VENV)-lock

clean: ## remove what the targets made in this folder
	rm -rf $(VENV) $(VENV)-lock build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
