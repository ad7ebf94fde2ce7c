# Two commands to know: `make up` and `make test`. The others are beside them for those who change things.
# PORT=9000 DATA=dir make up, or make up PORT=9000 DATA=dir; without them 8080 and .sellable.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# By its path: the code of this folder, wherever an environment that was copied or moved leads to.
OURS   := exec "$(BIN)/python" -P app/__main__.py

# Recipes take what a user gives from the environment, as it is: a blank, a quote, a `;` or a `$` in it is only that.
override PYTHON := $(value PYTHON)
override PORT   := $(value PORT)
override DATA   := $(value DATA)
override SERVER := $(value SERVER)
export PYTHON PORT DATA SERVER
# These would lead Python and pip to other code than this.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX

.PHONY: reconcile-proof reconcile-large up test test-tier check audit lock fuzz bench faults loadtest test-redis proof clean reset-data

up: $(VENV)/.up
	@$(OURS) up $${PORT:+--port="$$PORT"} $${DATA:+--data-dir="$$DATA"}

# Deletes what `make up` has kept in DATA, after a question; with CONFIRM=yes without one.
reset-data: $(VENV)/.up
	@$(OURS) reset-data $${DATA:+--data-dir="$$DATA"} $(if $(filter yes,$(CONFIRM)),--yes)

# Three processes with servers of their own: much of the time is spent waiting for processes to start.
test: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist loadfile

# Heavier tests; those that need Debian's Redis or Postgres are skipped, with the reason, where they are absent.
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

# Schemathesis with all of its checks against a whole service, without keys and with them: make fuzz SECONDS=60
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),300) $(ARGS)

loadtest: $(VENV)/.dev
	$(BIN)/python -m loadtests --seconds $(or $(SECONDS),60) $(ARGS)

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
	@test -n "$$SERVER" || { echo "say which server: make test-redis SERVER=/path/to/redis-server"; exit 2; }
	SELLABLE_TEST_REDIS_SERVER="$$SERVER" $(BIN)/pytest

$(VENV)/bin/python:
	@command -v "$$PYTHON" >/dev/null || { echo "Python 3.11 or newer is needed: '$$PYTHON' was not found."; exit 1; }
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; '$$PYTHON' is older (try: make PYTHON=python3.12 …)."; exit 1; }
	@"$$PYTHON" -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv is needed (on Debian: apt-get install python3-venv)."; exit 1; }
	@mkdir -p "$(VENV)" 2>/dev/null && test -w "$(VENV)" \
	  || { echo "$(VENV) cannot be written here: make VENV=/a/folder/of/yours DATA=/another …"; exit 1; }
	@rm -f "$(VENV)"/bin/python* "$(VENV)/.up" "$(VENV)/.dev" # what is left of one whose Python is gone
	@"$$PYTHON" -m venv "$(VENV)"

# Exactly the versions of requirements/, and only files with the hashes there, from whatever index pip is set to.
# UNLOCKED=yes: the newest versions that fit pyproject.toml, for an index that has not got those.
LOCK_OF = $(if $(filter yes,$(UNLOCKED)),,$(wildcard requirements/$(1).txt))
PIP = "$(BIN)/python" -m pip install --quiet --disable-pip-version-check
# $(call INSTALL,lock,extra)
define INSTALL
	@lock="$(call LOCK_OF,$(1))"; \
	if [ -z "$$lock" ]; then $(PIP) --editable '.[$(2)]'; \
	elif $(PIP) --require-hashes --requirement "$$lock"; \
	then $(PIP) --no-deps --no-build-isolation --editable .; \
	else echo "What $$lock names could not be installed; UNLOCKED=yes takes other versions that fit." >&2; exit 1; fi
endef

$(VENV)/.up: $(VENV)/bin/python pyproject.toml $(wildcard requirements/up.txt)
	@echo "Installing into $(VENV) …"
	$(call INSTALL,up,embedded)
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml $(wildcard requirements/dev.txt)
	@echo "Installing into $(VENV), with the tools for tests and checks …"
	$(call INSTALL,dev,dev)
	@touch $@ $(VENV)/.up

# Known weaknesses of what `make up` and the image install. Without a way to a source of them it says so, and passes.
audit: $(VENV)/.dev
	@$(BIN)/python -m tests.audit requirements/up.txt

# The locks anew, from pyproject.toml; needs uv (https://docs.astral.sh/uv). UPGRADE=yes: with newer versions.
LOCKS = base: up:embedded dev:dev
lock:
	@command -v uv >/dev/null || { echo "uv is needed to make the locks (pip install uv)"; exit 2; }
	@for lock in $(LOCKS); do extra="$${lock#*:}"; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	    --custom-compile-command "make lock" $(if $(filter yes,$(UPGRADE)),--upgrade) \
	    --extra building $${extra:+--extra "$$extra"} --output-file "requirements/$${lock%%:*}.txt" pyproject.toml \
	  || exit 1; done

# What can be made again; never data, wherever it was put.
clean:
	@for place in "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build; do \
	  if [ -n "$$(find "$$place" -name members.lock 2>/dev/null | head -n 1)" ]; \
	  then echo "kept $$place: it holds data of Sellable (make reset-data deletes that)"; \
	  else rm -rf "$$place"; fi; done
