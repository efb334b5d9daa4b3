# The verbs that everyone uses. They need Python 3.11 or newer and nothing else: the first one that is called makes
# a virtual environment in .venv and installs everything there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test test-all test-quick check protos bench bench-all bench-accuracy clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-input -c constraints.txt -e '.[dev]'
	@touch $@

install: $(INSTALLED)  ## the virtual environment alone

demo: $(INSTALLED)  ## train, split, serve with eight processes, kill four of them
	$(BIN)/nonn demo

test: $(INSTALLED)  ## the tests, but for those that take minutes
	$(BIN)/python -m pytest

test-all: $(INSTALLED)  ## every test; those of containers where there is a Docker engine
	$(BIN)/python -m pytest --heavy

test-quick: $(INSTALLED)  ## the tests that take no more than a few seconds each
	$(BIN)/python -m pytest -m "not slow"

check: $(INSTALLED)  ## style, types, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python protos/generate.py --check

protos: $(INSTALLED)  ## generate the code of the .proto file again
	$(BIN)/python protos/generate.py

bench: $(INSTALLED)  ## every benchmark, shortened to some minutes in all
	$(BIN)/python -m benchmarks.fanout --fan-outs 1 8 64 --rounds 3 --scale 0.3
	$(BIN)/python -m benchmarks.idle --rounds 3 --repeats 100
	$(BIN)/python -m benchmarks.throughput --rounds 2 --images 768
	$(BIN)/python -m benchmarks.recovery --kills 50 --rounds 2
	$(BIN)/python -m benchmarks.soak --minutes 1
	$(BIN)/python -m benchmarks.memory --requests 10
	$(BIN)/python -m benchmarks.traffic --rounds 2 --requests 100 --idle-seconds 10

bench-all: $(INSTALLED)  ## every benchmark at full length, two hours, into benchmarks/results
	$(BIN)/python -m benchmarks.fanout --save fanout
	$(BIN)/python -m benchmarks.fanout --older-engine --save fanout-same-engine
	$(BIN)/python -m benchmarks.idle --save idle
	$(BIN)/python -m benchmarks.throughput --save throughput
	$(BIN)/python -m benchmarks.recovery --save recovery
	$(BIN)/python -m benchmarks.soak --minutes 60 --save soak
	$(BIN)/python -m benchmarks.memory --save memory
	$(BIN)/python -m benchmarks.traffic --louvain --save traffic
	$(BIN)/python -m benchmarks.report

bench-accuracy: $(INSTALLED)  ## the accuracy table on CIFAR-100: hours, resumable; into benchmarks/results
	$(BIN)/python -m benchmarks.accuracy --ideas
	$(BIN)/python -m benchmarks.accuracy.partitions
	$(BIN)/python -m benchmarks.accuracy.merging
	$(BIN)/python -m benchmarks.accuracy.recipes
	$(BIN)/python -m benchmarks.distillation --save distillation
	$(BIN)/python -m benchmarks.report

clean:  ## remove the virtual environment and what builds leave
	rm -rf $(VENV) build *.egg-info
