# make demo    set up, train a small model on the bundled clips, evaluate it, write runs/demo/report.html
# make test    set up, compile torch-scatter where there is a C++ compiler, run the tests
# make notebooks    opens JupyterLab with everything installed (options of it: JUPYTER_ARGS="--no-browser --allow-root")
# make lint    style and types        make bench  speed        make clean  remove what these made
#
# Needs Python 3.10 or newer, make and PyPI. Another Python: make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
GRAPHPOSE := $(VENV)/bin/graphpose
INSTALLED := $(VENV)/.installed
TORCH := $(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
SCATTER := $(shell sed -n 's/^torch-scatter==\([0-9.]*\).*/\1/p' constraints.txt)
# Named after both versions: another torch needs another build, another pyproject.toml does not.
SCATTERED := $(VENV)/.torch-scatter-$(SCATTER)-for-torch-$(TORCH)
PYTEST_ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup scatter demo notebooks test lint bench clean
.DELETE_ON_ERROR:

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(INSTALLED)

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "make: expected Python 3.10 or newer (got $$($(PYTHON) --version 2>&1)); name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python$$v-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(PY)
	@echo "== installing into $(VENV) (a few minutes, once)"
	$(PY) -m pip install -c constraints.txt -e ".[analysis,c3d,mat,store,diffusion,rerun,dev]"
	@touch $@

# Also tries again without pip's cache: a wheel in it may have been built for another torch.
scatter: $(INSTALLED)
	@if [ -e $(SCATTERED) ]; then exit 0; fi; \
	if $(PY) -c 'import torch_scatter' 2>/dev/null; then touch $(SCATTERED); exit 0; fi; \
	if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null; then \
		echo "== no C++ compiler: testing without torch-scatter, the edge path through PyTorch Geometric alone"; exit 0; \
	fi; \
	echo "== compiling torch-scatter $(SCATTER) (about 7 minutes, once)"; \
	install="$(PY) -m pip install --no-build-isolation --no-deps --force-reinstall torch-scatter==$(SCATTER)"; \
	for cache in "" --no-cache-dir; do \
		if $$install $$cache && $(PY) -c 'import torch_scatter'; then touch $(SCATTERED); exit 0; fi; \
	done; \
	$(PY) -m pip uninstall --yes --quiet torch-scatter; \
	echo "== torch-scatter could not be compiled (see above): testing without it"

demo: $(INSTALLED)
	rm -rf runs/demo
	$(GRAPHPOSE) train --config demo --data data/samples --output runs/demo
	$(GRAPHPOSE) evaluate runs/demo/best.safetensors --data data/samples --out runs/demo/evaluation --report runs/demo/report.html --poster runs/demo/poster.png
	@echo "== look at runs/demo/report.html and runs/demo/poster.png"

notebooks: $(INSTALLED)
	$(PY) -m pip install -q -c constraints.txt -e ".[notebooks]"
	$(PY) -m jupyter lab $(JUPYTER_ARGS) notebooks

# One thread a process: the tests run in several processes at once.
test: scatter
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 8 $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: scatter
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(PY) $$script $$(case $$script in *readers*) echo data/samples;; esac) || exit 1; done

clean:
	rm -rf $(VENV) runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find graphpose tests data -name __pycache__ -type d -prune -exec rm -rf {} +
