# `make demo` and `make test` do their own set-up: Python 3.11 or newer, git and make are enough.

SHELL := /bin/sh
.DEFAULT_GOAL := demo
.PHONY: setup test check soak demo clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
CANDIDATES := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python

setup: $(STAMP)

# torch comes first and alone, so that pip takes a CPU wheel where one is at hand.
$(STAMP): pyproject.toml constraints.txt
	@chosen=; for python in $(CANDIDATES); do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	    2>/dev/null; then chosen="$$python"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
	  echo "Expected Python 3.11 or newer with the venv module, found none." >&2; \
	  echo "Install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	test -x $(BIN)/python || "$$chosen" -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# One thread a test process: two processes share the cores, and tests never need the network.
test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2

check: test

# Kills, flipped bits, full disks and the like at their full counts: a quarter of an hour on two cores.
soak: setup
	$(BIN)/python -m experiments.soak

demo: setup
	$(BIN)/kalm run demo

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf envs/clevr/__pycache__
