# make demo: learn the two-circle mixture and draw it.   make test: the tests but the slowest.   make test-all: all.
# make docs: the site under build/site, whose examples are run; docs-all: the costly ones too.   GALLERY=quick
# make docs: the quick ones alone, as in CI.   make wheel: a wheel under dist.
# All need only make and a Python of 3.11 or later, which PYTHON names.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
DOCS_READY := .venv/docs-ready

.PHONY: demo test test-all lint docs docs-all wheel lock clean

demo: $(READY)
	$(BIN)/python -m experiments.paper.fig4_two_circles --out runs/demo --replace

test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(DOCS_READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "build/site/index.html"

docs-all:
	GALLERY=all $(MAKE) docs

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/it." >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(READY)

$(DOCS_READY): $(READY) docs/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $(DOCS_READY)

# Pins every package for every supported Python; needs uv, and nothing else here does.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra test --no-header --no-annotate --no-emit-index-url pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --extra test --extra docs --no-header --no-annotate --no-emit-index-url --constraint requirements.txt pyproject.toml --output-file docs/requirements.txt

clean:
	rm -rf .venv .cache runs build
