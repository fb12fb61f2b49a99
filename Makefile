# Every target sets up what it needs: nothing but Python 3.11 and make is asked of the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BUILT  := $(VENV)/.built
# The modules that are compiled: changing one means compiling again (FIVEWAYS_PURE=1 make …: never).
HOT    := $(addprefix src/,$(shell sed -n 's/^  "\(fiveways\/.*\.py\)",$$/\1/p' pyproject.toml))

.DEFAULT_GOAL := help
.PHONY: help install demo demo-once test test-long lint format docs bench bench-gateway bench-messaging bench-transformation bench-exchange bench-bulk bench-realtime lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(BUILT) ## make .venv with Fiveways and everything its tests, docs and benches use

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fiveways needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)

$(BUILT): $(STAMP) hatch_build.py $(HOT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src tests    # once, for whoever has told Python to write no bytecode: each start would compile all
	@touch $(BUILT)

demo: install ## the platform with a demo deployment, a story played against it, then yours to try
	$(BIN)/fiveways demo

demo-once: install ## the story alone; exit code 0 only if every step came out as expected
	$(BIN)/fiveways demo --once

test: install ## everything CI runs: style, types, import direction, docs, and the tests, which play the demo's stories too
	$(MAKE) -j2 lint docs
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -m "not long" -n 5 --dist loadfile --no-loadscope-reorder --durations 10

test-long: install ## what is large or slow: 2 GiB bodies, long property runs
	$(BIN)/python -m pytest -m long --timeout 1800

lint: install ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## put the code into its shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install ## build the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: bench-gateway bench-messaging bench-transformation bench-exchange bench-bulk bench-realtime ## every benchmark

bench-gateway: install ## CPU per request of the gateway against Caddy, Envoy, nginx and HAProxy; promises against PostgreSQL
	$(BIN)/python -m bench.gateway
	$(BIN)/python -m bench.promises

bench-messaging: install ## messages a second of the mailboxes against mesh-sandbox, and with a million stored
	$(BIN)/python -m bench.messaging

bench-transformation: install ## parsing HL7 v2 against hl7kit and hl7; messages a second of an MLLP feed
	$(BIN)/python -m bench.transformation

bench-exchange: install ## what waiting costs: idle long polls, their wake-up, and a client that polls thousands of jobs
	$(BIN)/python -m bench.exchange

bench-bulk: install ## SFTP against OpenSSH's own server; quality control against bare DuckDB and Polars
	$(BIN)/python -m bench.bulk

bench-realtime: install ## messages a second to a thousand sockets, beside Node's ws, Python's websockets and nats-server
	$(BIN)/python -m bench.realtime

lock: install ## pin the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --all-extras --group dev --group docs --group bench pyproject.toml -o requirements.lock

clean: ## remove what was made
	find src -name "*.so" -delete
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache
