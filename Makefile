# The words a person and CI both use. `make demo` and `make test` need nothing but Python 3.11+, npm and the registries.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.locked

.PHONY: help setup demo wheel test check lint bench honest payouts money simulate simulate-full oracle incentives docs lock clean

help: ## Say what each word does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(STAMP): requirements.lock pyproject.toml
	@echo "setting up $(VENV) from requirements.lock (every file is checked against its hash)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes \
		-r requirements.lock 2>&1 | awk '/^Collecting / {n++; if (n % 20 == 0) print "  " n " packages"; next} \
		/^Installing collected/ {print "  installing " n " packages"} /ERROR|rror:/ {print}'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

setup: $(STAMP) ## Make .venv from the hashed lock file

demo: $(STAMP) ## The main job: seven nodes, real photos, a report in build/demo
	@$(BIN)/gridlight demo --out build/demo

wheel: $(STAMP) ## Build the wheel that volunteers install, into dist/
	@$(BIN)/python -m hatchling build --target wheel --directory dist

test: $(STAMP) ## Everything that CI asks: the checks, then the whole suite
	@.ci/packages
	@$(MAKE) --no-print-directory lint
	@echo "the whole suite in two processes, with the branches of core and messages counted: all must be taken"
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report term-missing:skip-covered --cov-fail-under 100 </dev/null

check: lint ## What needs no network of processes: format, lint, types, import directions, the style guide's own tests
	@$(BIN)/pytest --quiet --no-header tests/tidy </dev/null

lint: $(STAMP) ## Format, lint, types and import directions
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

bench: $(STAMP) ## Measure, as ratios to the raw loop of the same run
	@for file in $$(grep -l __main__ benchmarks/*.py); do \
		echo "== $$file"; $(BIN)/python -m benchmarks.$$(basename $$file .py) || exit 1; done

honest: $(STAMP) ## 10,000 comparisons of honest nodes' results, and forgeries beside them; about ten minutes
	@nice -n 10 $(BIN)/python -m benchmarks.honest_comparisons --comparisons 10000

payouts: $(STAMP) ## 1,000 payouts by a payer that is killed at every step; up to half an hour
	@nice -n 10 $(BIN)/python -m benchmarks.payouts --payouts 1000

money: $(STAMP) ## Kill the coordinator 50 times while seven nodes work for pay, and examine the books; fifteen minutes
	@nice -n 10 $(BIN)/python -m tests.acceptance.paid_restarts

simulate: $(STAMP) ## Run the scenarios that are short enough for every check, and write build/simulate
	@$(BIN)/gridlight simulate scenarios/smoke.toml --out build/simulate/smoke
	@for name in colluders sleepers sybil canary_aware duplicate_aware lazy cheap_model; do \
		$(BIN)/gridlight simulate scenarios/adversaries.toml --set adversary.strategy=$$name \
			--out build/simulate/short_$$name || exit 1; done

simulate-full: $(STAMP) ## Run the long scenarios, the one with 421,000 nodes last; two hours or more
	@for name in colluders sleepers sybil canary_aware duplicate_aware lazy cheap_model \
			churn latency latency_wrong_priors outage coordinator_crash full_421k; do \
		$(BIN)/gridlight simulate scenarios/$$name.toml --out build/simulate/$$name || exit 1; done

oracle: $(STAMP) ## Hold the simulated core to the recurrence that verification was derived with; an hour or more
	@$(BIN)/python -m benchmarks.oracle --all

incentives: $(STAMP) ## What each strategy of ill will earns for its CPU time, beside honesty; a quarter of an hour
	@$(BIN)/python -m benchmarks.incentives --all

docs: $(STAMP) ## Write again what is generated: schemas/ and the tables of docs/protocol.md
	@$(BIN)/python docs/generate.py

lock: ## Pin every dependency anew, with hashes, in requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --no-header --no-annotate --no-strip-extras \
		--upgrade pyproject.toml --output-file requirements.lock

clean: ## Take away .venv and all that was built; the cache of weights and photos stays
	@rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
