# The verbs that everyone uses. `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-all check protos clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED)  ## train, split, serve with eight processes, kill four of them
	$(BIN)/nonn demo

test: $(INSTALLED)  ## every quick test
	$(BIN)/python -m pytest -m "not slow"

test-all: $(INSTALLED)  ## the slow ones too
	$(BIN)/python -m pytest

check: $(INSTALLED)  ## style, types, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python protos/generate.py --check

protos: $(INSTALLED)  ## generate the code from the .proto file again
	$(BIN)/python protos/generate.py

clean:
	rm -rf $(VENV) build *.egg-info
