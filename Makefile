# make          the targets
# make demo     the platform with a sample application, on a machine that has only Python 3.11+, make and git
# make test     installs what the tests need and runs all of them

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell scripts/find-python)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SKYPANEL_DATA_DIR ?= $(CURDIR)/.demo
export SKYPANEL_DATA_DIR
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup demo test check fix bench up clean packages test-packages

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(STAMP) ## Install the platform and its tools into .venv

$(STAMP): pyproject.toml constraints.txt scripts/setup
	@scripts/setup "$(PYTHON)" "$(VENV)"
	@touch $@

packages: ; @scripts/packages run

test-packages: ; @scripts/packages test

demo: packages setup ## Start the platform and deploy a sample application; Ctrl-C ends both
	@exec $(BIN)/skypanel demo

up: packages setup ## Start the platform alone
	@exec $(BIN)/skypanel up

test: test-packages setup ## Run every test
	@unset $${!SKYPANEL_@}; exec $(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup ## Formatting, lint, types and import contracts; writes nothing
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy --cache-dir=/dev/null
	$(BIN)/lint-imports --no-cache

fix: setup ## Format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: packages setup ## Measure speed and cost; results in bench/results
	@exec $(BIN)/python -m bench

clean: ## Stop the demo and remove what make made
	@if [ -x $(BIN)/skypanel ] && [ -d "$(SKYPANEL_DATA_DIR)" ]; then $(BIN)/skypanel down --apps || true; fi
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
