# The one door for every chore. Needs python3 (3.11 or newer, with its venv module) and make.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/stamp

# What a target takes: make run UPSTREAM=3000, make fuzz SECONDS=600, make test ARGS="-k hello -x"
UPSTREAM  ?=
SECONDS   ?= 60
ARGS      ?=

# Test processes. Two are quicker than one on two cores and stay steady; see CONTRIBUTING.md.
JOBS ?= 2

# Hundreds of processes are started by the tests, each of which would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test check bench fuzz fuzz-corpus soak lock conformance reference format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## start service, agent and a demo; UPSTREAM=3000 fronts your own service instead
	@$(PY) -m examples.demo $(if $(UPSTREAM),--upstream $(UPSTREAM))

test: $(READY)  ## run the tests; ARGS goes to pytest
	@$(PY) -m pytest -q -n $(JOBS) --dist loadgroup $(ARGS)

check: $(READY)  ## everything that CI runs: format, lint, types, guards, then the tests
	@$(PY) -m ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(PY) -m ruff check --quiet .
	@$(PY) -m basedpyright
	@$(PY) tools/conformance.py --check
	@$(PY) tools/reference.py --check
	@$(MAKE) --no-print-directory test

bench: $(READY)  ## CPU seconds and memory beside a minimal relay; PROTOTYPE=path adds one more
	@$(PY) -m bench $(ARGS)

fuzz: $(READY)  ## each fuzz target for SECONDS seconds; ARGS="url wire" chooses some
	@$(PY) -m fuzz --seconds $(SECONDS) $(ARGS)

fuzz-corpus: $(READY)  ## bring what fuzzing has found on this machine into fuzz/corpus
	@$(PY) -m fuzz --keep $(ARGS)

soak: $(READY)  ## what takes long: the tests marked long, then fuzzing for ten minutes a target
	@$(PY) -m pytest -q -m long --timeout 3600 $(ARGS)
	@$(MAKE) --no-print-directory fuzz SECONDS=600 ARGS=

lock: $(READY)  ## resolve requirements/*.in anew into the locked, hashed requirements/*.txt
	@set -e; for set in base server dev ngrok-api; do \
	  $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-emit-index-url --no-annotate --no-header requirements/$$set.in -o requirements/$$set.txt; \
	done; git --no-pager diff --stat -- requirements

conformance: $(READY)  ## write docs/conformance.md from the tests' markers
	@$(PY) tools/conformance.py

reference: $(READY)  ## write docs/reference from the program's own help
	@$(PY) tools/reference.py

format: $(READY)  ## format, and mend what the linter can mend
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean:  ## remove what the targets made, the environment too
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis dist build tests/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements/dev.txt pyproject.toml tools/setup.py
	@$(PYTHON) tools/setup.py
