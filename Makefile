# make demo   the main job, with all set-up          make test    the test suite, with all set-up
# make check  style, types, arrows between rooms     make bench   docs/speed.md: ratios of time and memory
# make study  does congruence help? docs/study.md     make test-all  with the long tests
# make docs   the site in build/site                   make wheel  dist/, tried in an empty environment
# make dependencies  docs/dependencies.md: what an installation pulls, sizes, licences
# docs/trust, each about an hour or more:  make faults  commands broken and resumed    make fuzz  broken files to all readers
#                                          make mutation  do tests notice changes?    make coverage  lines run, by room
#                                          make common  transformers' own model tests, in two minutes

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# two processes of one thread each beat one of two; a file stays in one, since its fixtures are costly; the long files
# of tests/journey come early, as they are collected: sorted by their number of tests, they would run last, on one core
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-all check bench study faults fuzz mutation coverage common docs wheel dependencies clean

demo: $(VENV)/.installed
	$(BIN)/cacr demo

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow and not gpu"

test-all: $(VENV)/.installed-dev
	$(PYTEST) -m "not gpu"

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m bench

faults: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults

fuzz: $(VENV)/.installed-fuzz
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --inputs 100000 --jobs 2

mutation: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutation

coverage: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.covering

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# built, and installed alone into an empty environment in which, outside of the repository, the demo runs
wheel: $(VENV)/.installed-dev
	rm -rf dist build/alone
	$(BIN)/python -m build --outdir dist .
	$(PYTHON) -m venv build/alone
	build/alone/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	build/alone/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt dist/*.whl
	cd build/alone && bin/cacr demo --out demo

dependencies: $(VENV)/.installed-dev
	$(BIN)/python -m tests.dependencies

common: $(VENV)/.installed-common
	$(BIN)/python -m tests.common_models

study: $(VENV)/.installed
	$(BIN)/cacr study

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]"
	touch $@

$(VENV)/.installed-common: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[common]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
