# For people and for CI. `make` lists what there is.

VENV ?= .venv
DATA ?= data
PORT ?= 8181
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?=

# The newest Python of 3.11 or later that is installed; PYTHON=... picks another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)

BIN := $(VENV)/bin

# Kernels are compiled once a machine: before the tests, not by each of their processes at the same time.
COMPILE := from headrace.storage.warm_up import warm_up as storage; from headrace.wal.line_protocol import warm_up as wal; wal(); storage()

PACKAGES := wal storage query processing api

.DEFAULT_GOAL := help
.PHONY: help serve demo test soak bench lint style typecheck layers format types docs wheel clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 18

serve: $(VENV)/.installed ## Install, start a server on ./data with sample data and a plugin, keep serving
	$(BIN)/python examples/demo.py --data $(DATA) --port $(PORT)

demo: $(VENV)/.installed ## The same on a temporary directory and a free port, then stop
	$(BIN)/python examples/demo.py --once

test: $(VENV)/.test ## Install the test extras and run the whole suite
	$(BIN)/python -c '$(COMPILE)'
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

soak: $(VENV)/.test ## The long runs: crash rounds by the hundred
	$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

bench: $(VENV)/.bench ## The benchmarks
	$(BIN)/python -m pytest bench $(PYTEST_ARGS)

lint: style typecheck layers ## Style, formatting, types, and the direction of imports

style: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.lint types
	MYPYPATH=build/types $(BIN)/mypy

layers: $(VENV)/.lint
	$(BIN)/lint-imports

format: $(VENV)/.lint ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The import name headrace.wal lives in the folder wal: links show mypy the tree as it is imported.
types:
	@mkdir -p build/types/headrace
	@for package in $(PACKAGES); do ln -sfn ../../../$$package build/types/headrace/$$package; done

docs: $(VENV)/.installed ## Write the generated pages of docs/ anew
	$(BIN)/python -m headrace.api.cli.reference > docs/cli.md
	$(BIN)/python -m headrace.api.settings_page > docs/configuration.md

wheel: $(VENV)/.installed ## Build the wheel into dist/
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## Remove what was built; ./data stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found; name one with PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test $(VENV)/.bench $(VENV)/.lint: $(VENV)/.%: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@
