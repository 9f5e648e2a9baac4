# `make help` lists what there is. Needs GNU make, Python 3.11 or newer with its venv module, and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
export PYTHON

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## set up, start monitord with a private Postgres and example monitors, and show what it sees
	@.ci/venv run
	@if [ -f .env ]; then export MONITORD_ENV_FILE="$${MONITORD_ENV_FILE:-.env}"; fi; \
	MONITORD_STATE_DIR="$${MONITORD_STATE_DIR:-state}" \
		exec .venv/bin/monitord run --demo --apply examples/monitors.yaml $(ARGS)

# One more than there are processors: many tests wait for a server that is silent on purpose.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: test
test: dev ## run all tests (ARGS="-k name" chooses)
	env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: fuzz
fuzz: dev ## feed the probers spoilt bytes for five minutes a test (FUZZ_SECONDS=60 FUZZ_SEED=x)
	FUZZ_SECONDS="$${FUZZ_SECONDS:-300}" .venv/bin/python -m pytest -n logical --dist worksteal tests/fuzz $(ARGS)

.PHONY: bench
bench: dev ## measure what the README claims (ARGS="--help" tells more)
	.venv/bin/python -m benchmarks $(ARGS)

.PHONY: lint
lint: dev ## check style, layers, protos, generated code and the Dockerfile
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports
	.venv/bin/buf lint
	.venv/bin/buf format --diff --exit-code
	.ci/protos --check
	.venv/bin/hadolint Dockerfile

.PHONY: audit
audit: dev ## look the pinned packages up among known vulnerabilities, where that data can be reached
	.venv/bin/python .ci/audit

.PHONY: types
types: dev ## check types
	.venv/bin/mypy

.PHONY: format
format: dev ## format the code and the protos
	.venv/bin/ruff check --fix
	.venv/bin/ruff format
	.venv/bin/buf format --write

.PHONY: proto
proto: dev ## generate code from proto/
	.ci/protos

.PHONY: clean
clean: ## remove what the other targets made, except ./state, which holds your data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage dist
	find src clients tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: dev
dev:
	@.ci/venv dev
