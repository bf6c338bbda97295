# Everything a newcomer needs: `make demo` and `make test` install first, which takes seconds when nothing has changed.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where Python is told to keep no bytecode, as in many container images, every process compiles everything it loads anew: seconds for each
# of the hundreds that the demo and the tests start.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench rivals

help: ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(INSTALLED) ## An environment in .venv from the lock file, with the finsync command

$(INSTALLED): deploy/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV)"
	@# uv installs the lock in seconds; where it cannot be had or does not get through, pip does the same in a minute.
	@$(BIN)/python -m pip install --quiet uv 2>/dev/null \
		&& VIRTUAL_ENV=$(VENV) UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r deploy/requirements.lock \
		|| $(BIN)/python -m pip install --quiet --require-hashes -r deploy/requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $(INSTALLED)

demo: install ## A company's past by the real engine, then the company at work, with the dashboard open
	@$(BIN)/finsync demo

test: install ## Every test; ends with pytest's summary
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: install ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: install ## Measured speed, as JSON
	@$(BIN)/finsync bench engine --json

rivals: install ## The same flow on DBOS, procrastinate, Celery and our engine, side by side, as JSON
	@echo "Adding the packages of the extra [bench] to $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r deploy/bench.lock
	@$(BIN)/finsync bench rivals --json
