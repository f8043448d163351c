# One command tells the truth: `make check` and `make test` are what CI runs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := packages/protos packages/runtime packages/simulator packages/cli \
           services/registry services/targeting services/dispatcher services/feedback
CODE := packages/runtime packages/simulator packages/cli services tests benchmarks scripts
STUBS := packages/protos/nuncio packages/protos/buf
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

.PHONY: help setup lock gen gen-check proto-check proto-baseline vendor-protos docs docs-check fmt fmt-check lint \
        type compiled unit test test-conformance itest e2e fuzz bench check demo up clean

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

# --- set-up ------------------------------------------------------------------------------------

setup: $(VENV)/.installed  ## Make .venv and install everything into it (again only on change)

$(VENV)/.third-party: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing third-party packages (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.third-party $(MEMBERS:%=%/pyproject.toml)
	@echo "installing nuncio's packages ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation $(MEMBERS:%=--editable %)
	@touch $@

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(foreach m,$(notdir $(MEMBERS)),--no-emit-package nuncio-$(m))

lock:  ## Resolve requirements*.in into requirements*.lock (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@$(COMPILE) requirements.in --output-file requirements.lock
	@$(COMPILE) requirements-services.in --constraint requirements.lock \
	  --output-file requirements-services.lock

# --- contracts ---------------------------------------------------------------------------------

gen: setup  ## Generate the stubs in packages/protos from the contracts
	@rm -rf $(STUBS:%=%/*/)
	@$(BIN)/buf generate

gen-check: setup  ## Prove that the committed stubs are fresh
	@PATH="$(BIN):$$PATH" scripts/gen_check.sh

proto-check: setup  ## Lint and format the contracts, and refuse breaking changes
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code protos
	@$(BIN)/buf breaking --against protos/baseline.binpb

proto-baseline: setup  ## Release the contracts as they are: later changes must keep to them
	@$(BIN)/buf build --exclude-source-info --output protos/baseline.binpb

vendor-protos: setup  ## Renew third_party/protos after an upgrade of protovalidate
	@$(BIN)/python scripts/vendor_validate_proto.py > third_party/protos/buf/validate/validate.proto

docs: setup  ## Write docs/settings.md and docs/errors.md from the code
	@$(BIN)/python scripts/reference_docs.py

docs-check: setup
	@$(BIN)/python scripts/reference_docs.py --check

# --- checks ------------------------------------------------------------------------------------

fmt: setup  ## Format code and contracts
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix-only --quiet $(CODE)
	@$(BIN)/buf format --write protos

fmt-check: setup
	@$(BIN)/ruff format --check $(CODE)

lint: setup
	@$(BIN)/ruff check $(CODE)

type: setup
	@$(BIN)/mypy $(CODE)

check: fmt-check lint type proto-check gen-check docs-check  ## Everything that is checked without running it

# --- tests -------------------------------------------------------------------------------------

# The tests start some hundred programs, sooner when they are compiled; where Python is kept from
# writing what it compiles, each of them would do that anew.
compiled: setup
	@$(BIN)/python -m compileall -q packages services

unit: setup  ## Tests without sockets or database
	@$(PYTEST) -n $(WORKERS) tests/unit tests/test_architecture.py

itest: compiled  ## Storage, migration and integration tests
	@$(PYTEST) -n $(WORKERS) --dist loadgroup tests/storage tests/migration tests/integration

e2e: compiled  ## The four processes and the simulator
	@$(PYTEST) tests/e2e

test: compiled  ## Every test, but for those that take minutes
	@$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not thorough"

test-conformance: setup  ## The engine against outside servers that are installed; names the others
	@$(PYTEST) tests/conformance

SECONDS_OF_FUZZ ?= 60
fuzz: setup  ## Fuzz the HTTP/2 engine for a while, if atheris is installed
	@$(BIN)/python scripts/fuzz_http2.py -max_total_time=$(SECONDS_OF_FUZZ)

# --- running -----------------------------------------------------------------------------------

demo: setup  ## Start everything, import 10,000 installations, send two campaigns, show the books
	@$(BIN)/nuncio demo

up: setup  ## Start everything on this machine, with the simulator, until Ctrl-C
	@$(BIN)/nuncio up --with-simulator

BENCH ?= main-road
bench: setup  ## Run a benchmark: make bench BENCH=main-road
	@$(BIN)/nuncio bench $(BENCH)

clean:  ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis out
