# A fresh machine needs Python 3.11 (or newer), git and make: everything else is set up here.

# The first interpreter that runs and is new enough; `make PYTHON=...` names another.
ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
VENV   ?= .venv
BIN    := $(VENV)/bin

# How long `make fuzz` runs, all readers together.
SECONDS ?= 60

.PHONY: help demo test lint fuzz oclgrind intel format docs clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.run ## a trained LeNet reads handwritten digits
	$(BIN)/cnnrt demo

# A module's tests stay in one process (a class's, where there are classes): its fixtures are set up once.
test: $(VENV)/.test ## the whole suite
	$(BIN)/python -m pytest -n auto --dist loadscope $(PYTEST_ARGS)

lint: $(VENV)/.lint ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: $(VENV)/.run ## hostile files for every reader, for SECONDS=60
	$(BIN)/python -m fuzz --seconds $(SECONDS) --seed $$(date +%s)

oclgrind: $(VENV)/.test ## every OpenCL kernel with all its tunables, on a device that watches memory
	PYTHONPATH=tests $(BIN)/python -m opencl_suite.under_oclgrind $(OCLGRIND_ARGS)

intel: $(VENV)/.intel ## the OpenCL backend on Intel's runtime for processors: 0.8 GB, under Intel's own licence
	CNNRT_OPENCL=intel $(BIN)/python -m pytest tests/backends/test_opencl_intel.py $(PYTEST_ARGS)

format: $(VENV)/.lint ## put the code in its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test ## generate the layers' pages and the demo's picture anew
	$(BIN)/python -m cnnrt.layer_page docs/layers
	CNNRT_PLUGINS_BLOCK=backend.threaded,backend.opencl $(BIN)/python docs/make_demo_picture.py # as `make demo` shows it, without extras

clean: ## remove what was set up and built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer (with venv) was not found: install it, or make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One marker for each set of dependencies, renewed when pyproject.toml changes.
$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.lint: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@

$(VENV)/.intel: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,intel-runtime]'
	@touch $@
