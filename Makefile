# Two commands to know: `make up` and `make test`. The others are beside them for those who change things.
PYTHON ?= python3
PORT   ?= 8080
DATA   ?= .sellable
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: reconcile-proof reconcile-large up test test-tier check bench faults loadtest test-redis proof clean

up: $(VENV)/.up
	@$(BIN)/sellable up --port $(PORT) --data-dir $(DATA)

# Three processes with servers of their own: much of the time is spent waiting for processes to start.
test: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist loadfile

# Heavier tests, which .ci/run runs after `make test`; those that need Debian's Redis or Postgres say so where they are absent.
test-tier: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile -m tier --timeout 600

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# More than the defaults: make bench ARGS="--quick --only a,c" (python -m bench --help lists them).
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

SECONDS ?= 60
loadtest: $(VENV)/.dev
	$(BIN)/python -m loadtests --seconds $(SECONDS) $(ARGS)

# Breaks every part under load, for half an hour, and writes docs/faults.md; SHORT=1 takes 5 and writes nothing.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults $(if $(SHORT),--short,--write docs/faults.md) $(ARGS)

proof: $(VENV)/.dev
	$(BIN)/python -m tests.properties.proof --steps $(or $(STEPS),1000000)
	SELLABLE_PROOF_EXAMPLES=$(or $(EXAMPLES),10000) $(BIN)/pytest --timeout 7200 tests/properties/test_machine.py
	$(BIN)/python -m tests.mutants
	$(BIN)/pytest -m long

# 30 planted differences among SKUS (100,000) under live traffic, 20 times: each found, none invented.
reconcile-proof: $(VENV)/.dev
	SKUS=$(or $(SKUS),100000) $(BIN)/pytest -m long -s tests/reconciling

# A million SKUs and 1,140,000 orders in the ledger, reconciled: make reconcile-large ARGS="--skus 100000 --orders 114000".
reconcile-large: $(VENV)/.dev
	$(BIN)/python -m tests.reconciling.large $(ARGS)

test-redis: $(VENV)/.dev
	@test -n "$(SERVER)" || { echo "say which server: make test-redis SERVER=/path/to/redis-server"; exit 2; }
	SELLABLE_TEST_REDIS_SERVER=$(SERVER) $(BIN)/pytest

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: '$(PYTHON)' was not found."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older (try: make PYTHON=python3.12 …)."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv is needed (on Debian: apt-get install python3-venv)."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.up: $(VENV)/bin/python pyproject.toml
	@echo "Installing into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "Installing into $(VENV), with the tools for tests and checks …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.up

clean:
	rm -rf $(VENV) $(DATA) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
