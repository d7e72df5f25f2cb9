# LeukoLens. `make demo` and `make test` need only Python >= 3.11 and a C compiler.
PYTHON ?= python3
VENV   := .venv
comma  := ,
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Debian and macOS without Node of their own get npm from PyPI.
SERVE  := $(if $(shell command -v npm 2>/dev/null),.,.[node])
FULL   := $(if $(shell command -v npm 2>/dev/null),.[torch$(comma)test],.[node$(comma)torch$(comma)test])

.PHONY: demo test lint bench client-docs screenshots assets assets-dev clean help

help:
	@echo "make demo    run the portal on this machine (PORT, DEMO_IMAGES)"
	@echo "make test    every check and test that this machine can run"
	@echo "make lint    formatting, types, imports, migrations, API schema"
	@echo "make client-docs  the reference of the Python client, to var/client-docs"
	@echo "make bench   performance ratios, printed and written to var/bench.json"

$(VENV)/.serve: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "Creating $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what the portal needs …"
	@$(PIP) --editable "$(SERVE)"
	@touch $@

$(VENV)/.full: pyproject.toml clients/python/pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "Creating $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing torch, training and test tools (about 5 GB the first time) …"
	@$(PIP) --editable "$(FULL)" --editable clients/python
	@touch $@ $(VENV)/.serve

assets: $(VENV)/.serve
	@$(BIN)/python scripts/assets.py

assets-dev: $(VENV)/.full
	@$(BIN)/python scripts/assets.py --dev

demo: $(VENV)/.serve assets
	@$(BIN)/python scripts/demo.py

lint: $(VENV)/.full assets-dev
	@sh scripts/lint.sh

test: $(VENV)/.full assets-dev
	@$(BIN)/python scripts/test.py

$(VENV)/.bench: $(VENV)/.full
	@echo "Installing LitServe, to compare with …"
	@$(PIP) --editable ".[bench]"
	@touch $@

bench: $(VENV)/.bench assets-dev
	@$(BIN)/python scripts/bench.py

client-docs: $(VENV)/.full
	@$(BIN)/python scripts/client_docs.py

screenshots: $(VENV)/.full assets-dev
	@$(BIN)/python scripts/screenshots.py

clean:
	rm -rf $(VENV) node_modules static/vendor staticfiles var
