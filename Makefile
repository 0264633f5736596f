# make demo   the main job, with all set-up          make test    the test suite, with all set-up
# make check  style, types, arrows between rooms     make bench   ratios of time and memory
# make study  the demo with 7 seeds and 1,200 steps  make test-all  with the long tests

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-all check bench study clean

demo: $(VENV)/.installed
	$(BIN)/cacr demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not gpu"

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench

study: $(VENV)/.installed
	$(BIN)/cacr demo --full

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
