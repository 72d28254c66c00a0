# `make demo` shows what Assay does, `make test` proves it, `make lint` keeps it readable.
PYTHON ?= python3
VENV ?= .venv
TORCH ?=                # `make demo TORCH=cpu` takes PyTorch's CPU build: 0.2 GB in place of 5
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(TORCH),--torch-backend $(TORCH))
export OMP_NUM_THREADS ?= 1
export PYTHONDONTWRITEBYTECODE :=   # hundreds of processes import the same modules: compile once

.PHONY: demo test lint parity study-fashion clean

demo: $(VENV)/.core
	$(BIN)/assay compare digits

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src

parity: $(VENV)/.dev
	$(BIN)/python -m assay.testing.parity_table

study-fashion: $(VENV)/.dev
	$(BIN)/python -m benchmarks.fashion_study $(if $(MODELS),--models $(MODELS)) \
	  $(if $(SEEDS),--seeds $(SEEDS)) $(if $(BUDGET),--budget $(BUDGET)) \
	  $(if $(ACCELERATOR),--accelerator $(ACCELERATOR))

clean:
	rm -rf $(VENV)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python cannot make an environment here; install its venv module: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

$(VENV)/.core: pyproject.toml | $(BIN)/uv
	$(UV) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/uv
	$(UV) --editable . --group dev
	@touch $@
