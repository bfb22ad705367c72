# One command each; every one does its own set-up. `make help` lists them.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
# Two cores are what CI has.
JOBS ?= 2
# The tests start hundreds of interpreters, which else compile the package each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types unit e2e servers pythons fuzz bench docs format clean

help: ## What there is
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "leadtrace needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV) (about a minute the first time) …'
	@$(RUN) pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(RUN) compileall -qq -j 0 -x '/tests?/' $(VENV)/lib src || true  # on all cores, and without the tests of others
	@touch $@

install: $(VENV)/.installed ## A virtual environment with everything in it

demo: install ## The example pipeline, the server, the first timelines
	@$(BIN)/leadtrace demo

test: install ## What must pass before anything lands
	@$(MAKE) --no-print-directory -j 2 lint types unit

lint: install
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/lint-imports --no-cache | tail -n 12

types: install
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright --warnings

unit: install
	@$(RUN) pytest -n $(JOBS) --dist loadfile

servers: ## Build the real Collector and Jaeger (minutes the first time, then reused)
	@scripts/real-servers.sh

e2e: install servers ## The example through the real Collector, Jaeger and server
	@$(RUN) pytest -n $(JOBS) --dist loadfile -m slow
	@$(RUN) pytest tests/e2e

pythons: ## The tests on each Python that is given: make pythons PYTHONS='python3.12 python3.13'
	@for one in $(PYTHONS); do $(MAKE) --no-print-directory unit VENV=.venv-$$(basename $$one) PYTHON=$$one || exit 1; done

fuzz: install ## Properties with examples drawn anew, then a million inputs against a real server, ten minutes at most
	@$(RUN) pytest -n $(JOBS) --dist loadfile -m hypothesis --hypothesis-profile anew
	@LEADTRACE_FUZZ_INPUTS=1000000 LEADTRACE_FUZZ_S=560 $(RUN) pytest tests/receiver/test_receiver_fuzz.py -s --timeout 900

bench: install ## The ratios of bench/RESULTS.md, made anew
	@$(BIN)/python bench/words.py

docs: install ## Write anew what is generated from the catalogue
	@$(BIN)/leadtrace catalogue --write docs

format: install ## Put the code into its form
	@$(BIN)/ruff check --quiet --fix . && $(BIN)/ruff format --quiet .

clean: ## Remove what the commands above made, the servers' cache aside
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
