# On a fresh Debian: python3, python3-venv and make are all that this needs.

PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install

.PHONY: demo test lint check matrix clean

# A broker and two peers on this machine, talking directly.
demo: .venv/installed
	@$(BIN)/p2phole demo

# Everything that this machine can run; what is skipped is listed with the reason.
test: .venv/installed-test
	@$(BIN)/python -m pytest

lint: .venv/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/mypy

check: lint test

# Pairs of networks in the laboratory, as root, in a quarter of an hour: docs/nat-matrix.*, and what pages say.
matrix: .venv/installed-bench
	@$(BIN)/python -m benchmarks.matrix

clean:
	rm -rf .venv build dist

# An editable install follows the sources by itself: only pyproject.toml makes another one necessary.
.venv/installed: pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(PIP) -e .
	@touch $@

.venv/installed-test: .venv/installed
	@$(PIP) -e '.[test]' build hatchling  # one test builds the wheel
	@touch $@

.venv/installed-bench: .venv/installed
	@$(PIP) -e '.[bench]'
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) -e '.[dev]'
	@touch $@
