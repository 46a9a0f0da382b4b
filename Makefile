# The front door of the course: `make help` lists the targets. Each calls the llmlabs command; nothing is done twice.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
# another environment to install into: make setup VENV="$CONDA_PREFIX"
VENV ?= .venv
BIN := $(VENV)/bin
LLMLABS := $(BIN)/llmlabs
SECTION ?= 01_neural_networks
SCALE ?= cpu
# Models and data come from packages or data/; the hub stays an option of the learner.
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: $(VENV)/.installed ## install Python packages into .venv (the other targets do it when needed)

$(VENV)/.installed: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:3]; (3, 11, 5) <= v < (3, 12) or sys.exit(f"The course needs Python 3.11 (3.11.5 or later), but {sys.executable} is {v[0]}.{v[1]}.{v[2]}.\nInstall it, then run: make PYTHON=/path/to/python3.11")'
	@echo "Setting up $(VENV): about 190 packages, 2.5 GB on disk; this happens once."
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	@echo "[1/3] torch and what its build needs"
	$(BIN)/python -m pip install --progress-bar off -c requirements.lock torch==$$(sed -nE 's/^torch==([^ ]+).*/\1/p' requirements.lock)
	@echo "[2/3] all other packages, at the versions of requirements.lock"
	$(BIN)/python -m pip install --progress-bar off --no-deps -r requirements.lock
	@echo "[3/3] the llmlabs command"
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

doctor: ## check what the course needs, one line each
	@"$(PYTHON)" llmlabs/doctor.py

demo: setup ## grade five sample submissions of a real lab and print the grade table
	@$(LLMLABS) demo

test: setup ## everything that must hold: lint, types, unit tests, build drift, every notebook, grading
	@$(LLMLABS) test

lab: setup ## open JupyterLab with nbgrader's formgrader and jupytext
	@$(LLMLABS) lab

release: setup ## build release/ from source/ (only what changed)
	@$(LLMLABS) build --no-solutions

solutions: setup ## build and execute solutions/ (only what changed); SCALE=gpu for the full size
	@$(LLMLABS) build --scale $(SCALE)

grade: setup ## grade submitted/ of one section: make grade SECTION=01_neural_networks
	@$(LLMLABS) grade $(SECTION)

data: setup ## check every file of data/ against its card
	@$(LLMLABS) data verify

mutate: setup ## put small mistakes into every solution and write docs/grader-quality.md: which do the tests miss?
	@$(LLMLABS) mutate

bench: setup ## grade a class of 40 with stock nbgrader and with the engine, and write docs/benchmarks.md (30 minutes)
	@$(BIN)/python -m benchmarks.grading

browser-test: setup ## check JupyterLab, formgrader and jupytext in a headless Chromium
	@$(BIN)/python -m pytest tests/browser --browser

lock: setup ## resolve the versions of pyproject.toml into requirements.lock
	@$(BIN)/uv pip compile --quiet --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean: ## remove caches and what the demo made; never a person's work
	@if [ -x $(LLMLABS) ]; then $(LLMLABS) clean; fi
	@rm -rf build .pytest_cache .mypy_cache .ruff_cache llmlabs.egg-info
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.PHONY: help setup doctor demo test lab release solutions grade data mutate bench browser-test lock clean
