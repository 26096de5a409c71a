# make demo · make test · make lint · make bench: each sets up what it needs, also as the first command ever typed.
#
# PYTHON   the interpreter the environment is made from (3.11 or newer)
# ARGS     passed on to the tool: make test ARGS="-k journal -x"

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# pip compiles on one core. What is written for other versions of Python does not compile, and is not needed.
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

STREAMING := .venv-streaming
STREAMING_PIP := $(STREAMING)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help env env-streaming demo test test-streaming lint format bench samples clean

help:
	@sed -n 's/^# //p' Makefile | head -4

env: $(VENV)/test-is-installed

# ensurepip is a package of its own on Debian; where it is missing and we may, it is installed.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo-is-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[tensorflow]'
	@$(COMPILE)
	@touch $@

# litdata asks for torchvision, of which there is no CPU build; it imports boto3, and torchvision only for images.
$(VENV)/test-is-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[test]' boto3
	$(PIP) --no-deps litdata
	@$(COMPILE)
	@touch $@ $(VENV)/demo-is-installed

# MosaicML Streaming asks for older transformers, numpy and xxhash than the rest of the tests, for torchvision, and for
# every cloud's client. Local files need none of these: tests/streaming has stand-ins for what it imports.
env-streaming: $(STREAMING)/is-installed

$(STREAMING)/is-installed: pyproject.toml constraints.txt tests/streaming/requirements.txt | $(BIN)/python
	$(BIN)/python -m venv $(STREAMING)
	$(STREAMING_PIP) --editable . --requirement tests/streaming/requirements.txt
	$(STREAMING_PIP) --no-deps mosaicml-streaming==0.13.0
	@touch $@

demo: $(VENV)/demo-is-installed
	$(BIN)/coverage-audit demo $(ARGS)

test: env
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadscope $(ARGS)

test-streaming: env-streaming
	$(STREAMING)/bin/python -m pytest tests/streaming $(ARGS)

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: env
	$(BIN)/python -m benchmarks $(ARGS)

# The recorded runs in sample_data/ and what the tool says about them in reports/.
samples: env
	$(BIN)/python sample_data/make.py
	$(BIN)/python reports/make.py

clean:
	rm -rf $(VENV) $(STREAMING) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo-run
