# Needs make and Python 3.11 or newer. The first target that needs .venv makes it from constraints.txt, and makes it
# again when that file or pyproject.toml changes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# TORCH=cpu is a fifth of the size; TORCH=cuda is what the default index serves for Linux. The environment keeps the
# choice: it need be named only once.
TORCH ?= $(if $(wildcard $(VENV)/core-cuda),cuda,cpu)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_BUILD := torch==$(TORCH_VERSION)$(if $(filter cpu-Linux,$(TORCH)-$(shell uname -s)),+cpu)

CORE := $(VENV)/core-$(TORCH)
TOOLS := $(VENV)/tools-$(TORCH)

.PHONY: help venv wheel demo serve test check format evaluate-model bench train image-check clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18

venv: $(CORE) ## the environment, .venv  (with a GPU: make venv TORCH=cuda)

wheel: $(CORE) ## a wheel in dist/: without an extra the client alone, with [server] what serves and renders
	@$(BIN)/python -m hatchling build --target wheel --directory dist

demo: $(CORE) ## a bundled avatar speaks a bundled recording through a server: demo.mp4, figures, and the page
	@$(BIN)/lipstream demo --output demo.mp4

serve: $(CORE) ## the streaming server on http://127.0.0.1:8000
	@$(BIN)/lipstream serve

test: $(TOOLS) ## all tests, under 15 minutes on two cores
	@$(BIN)/pytest

check: $(TOOLS) ## checks of every change: lint, format, types, imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(TOOLS) ## fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

evaluate-model: $(TOOLS) ## evaluate the bundled model on unseen faces, voices and sentences
	@$(BIN)/python -m lipstream_bench.evaluate_model

bench: $(TOOLS) ## measure speed and fidelity of every preset, into runs/bench
	@$(BIN)/python -m lipstream_bench

train: $(TOOLS) ## train the bundled model, from where it stopped (Debian packages: training/README.md)
	@$(BIN)/python -m lipstream_training.train

image-check: $(TOOLS) ## build the image with Docker or Podman, run it, check its files, confinement and a stream
	@$(BIN)/python -m lipstream_bench.image

clean: ## remove the environment and what the tools left
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build

# The +cpu build is never on the default index, so trying there first costs a second and cannot install CUDA; it succeeds
# where pip is configured with a local copy. PyTorch's own index comes second.
$(CORE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Lipstream needs Python 3.11 or newer, and '$(PYTHON)' is not;" \
	    "name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments here; on Debian and Ubuntu:" \
	    "sudo apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(TORCH_BUILD): once, some minutes"
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) '$(TORCH_BUILD)' $(if $(filter cpu,$(TORCH)),2>/dev/null \
	  || $(PIP) --extra-index-url $(TORCH_INDEX) '$(TORCH_BUILD)') || { \
	  echo "$(TORCH_BUILD) could not be installed for $$($(PYTHON) --version) from pip's indexes" \
	    "or from TORCH_INDEX=$(TORCH_INDEX)" >&2; exit 1; }
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable '.[server]'
	@touch $@

$(TOOLS): $(CORE)
	@echo "Adding the tools for tests, checks and training"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@
