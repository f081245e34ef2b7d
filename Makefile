# make demo · make test · make check · make bench      (Python >= 3.11 is all that must be there)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What the wheel is made of: when one of these is newer than the install, the wheel is built and installed again.
SOURCES := $(shell git ls-files -co --exclude-standard -- curate train pipelines 2>/dev/null || find curate train pipelines -type f)
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt

# PYTHONSAFEPATH keeps the working directory out of sys.path: what runs is the installed wheel, not this tree.
RUN := PYTHONSAFEPATH=1 $(BIN)

.PHONY: help demo test test-fast check format bench lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(f"Python >= 3.11 is needed, this is {sys.version.split()[0]}" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.deps-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) hatchling '.[pii,train]'
	@touch $@

$(VENV)/.deps-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) '.[all,dev]'
	@touch $@ $(VENV)/.deps-demo

# Not editable, on purpose: demo and tests run what a user would get.
$(VENV)/.wheel: $(SOURCES) pyproject.toml README.md
	rm -rf $(VENV)/dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w $(VENV)/dist .
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(VENV)/dist/curate-*.whl
	@touch $@

demo: $(VENV)/.deps-demo ## crawl files → documents → tokenizer → token shards → report → trained model → text
	@$(MAKE) --no-print-directory $(VENV)/.wheel
	$(RUN)/curate run pipelines/demo.yaml -o $(OUT)
	$(RUN)/curate generate $(OUT)/train --prompt "The "
	@echo
	@echo "report     $(OUT)/report/report.html"
	@echo "documents  $(OUT)/documents/"
	@echo "dropped    $(OUT)/ledger/      and why: $(BIN)/curate why $(OUT) URL"
	@echo "tokens     $(OUT)/tokens/"
	@echo "model      $(OUT)/train/"

# A worker for each core, four at most: some tests hold a gigabyte. ARGS="-n 0" runs them in one process.
test: $(VENV)/.deps-dev ## the whole test suite, against the installed wheel
	@$(MAKE) --no-print-directory $(VENV)/.wheel
	CURATE_TEST_INSTALLED=1 $(RUN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

test-fast: ARGS += -m "not slow"
test-fast: test ## the same without the tests marked slow

check: $(VENV)/.deps-dev ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.deps-dev ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.deps-dev ## from crawl to kept documents against datatrove, in the same run (benchmarks/ has more)
	@$(MAKE) --no-print-directory $(VENV)/.wheel
	$(RUN)/python benchmarks/end_to_end_against_datatrove.py $(ARGS)

lock: ## resolve .[all,dev] afresh in an empty environment and write constraints.txt
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet 'torch==2.13.0' '.[all,dev]'
	sed '/^[^#]/d' constraints.txt > build/lock/header
	build/lock/bin/python -m pip freeze --exclude curate | sed -E 's/\+cpu$$//' | cat build/lock/header - > constraints.txt

clean: ## remove what the targets made
	rm -rf $(VENV) out build dist
