# Each target installs what it needs into .venv by itself. PYTHON, PIP_ARGS and LAB_ARGS can be set on the command line.
PYTHON ?= python3
PIP_ARGS ?=
LAB_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: book smoke test test-all lint size lab clean

book: $(INSTALLED)  ## run the embedded profile and build its book
	$(BIN)/blurpaper run --profile emoji

smoke: $(INSTALLED)  ## the same in miniature, to see that everything works
	$(BIN)/blurpaper run --profile smoke

test: $(INSTALLED) lint  ## what every change must pass
	$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED) lint
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

size: ## modules, lines of code, the longest chain of imports between rooms, notebooks, tests
	$(PYTHON) tools/size.py

lab: export JUPYTER_CONFIG_DIR := $(CURDIR)/$(VENV)/jupyter
lab: export BLURPAPER_DATA ?= $(CURDIR)/data
lab: $(INSTALLED)  ## JupyterLab, in which the percent scripts of notebooks/ open as notebooks
	$(BIN)/python -m pip install -q $(PIP_ARGS) -e '.[book,lab]'
	$(BIN)/jupytext-config set-default-viewer python
	$(BIN)/jupyter lab --notebook-dir=notebooks $(LAB_ARGS)

clean: ## executed chapters and built books; results stay in the store
	rm -rf _build

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -e '.[book,test]'
	touch $@
