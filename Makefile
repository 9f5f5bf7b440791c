# The front door. `make run` runs the main job and `make test` passes the tests, each from a fresh checkout:
# what they need is installed first, into .venv, at the versions of requirements/test.lock. Files named
# .venv/.done-* remember what is installed, so that the next run does not look again.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header

# What waits for brokers and browsers runs beside what computes; ARGS="-n0" runs one test after the other. Each
# process has a broker of its own, so there are not as many as a large machine has cores.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

# Tests start hundreds of workers, each of which would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test check simulate lint format bench schemas lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.done-setup ## Make .venv with everything that running and testing need

run: setup ## Run the main job here: Kafka, mail page, all roles, a recorded history. ARGS="--seconds 60"
	$(BIN)/brimful run $(ARGS)

test: check ## Check the code, then run all tests. ARGS="tests/unit -k windows"
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

simulate: setup ## Run the real applications under faults, by seeds, over all cores. ARGS="--seed 174"
	$(BIN)/python -m tests.simulation $(ARGS)

check: lint ## Lint, types, and whether generated files and ready-made journeys are in order
	$(BIN)/mypy
	$(BIN)/brimful schemas export --check
	$(BIN)/brimful schemas check
	for journeys in deploy/workspaces/*/; do $(BIN)/brimful lint --strict "$$journeys" || exit 1; done

lint: setup ## Format and lint rules, in a second; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## Measure speed, memory and disk beside other engines. ARGS="--help" lists the choices
	$(BIN)/python -m tests.bench.run $(ARGS)

schemas: setup ## Write the JSON Schemas and the AsyncAPI document from the models
	$(BIN)/brimful schemas export

lock: $(VENV)/.done-uv ## Choose the newest versions that pyproject.toml allows, and write them down
	$(COMPILE) --upgrade --output-file requirements/run.lock
	$(COMPILE) --upgrade --extra test --extra demo --output-file requirements/test.lock

clean: ## Stop the local Kafka, then remove .venv, local data and caches; measurements stay
	if [ -x $(BIN)/brimful ]; then $(BIN)/brimful kafka stop; fi
	rm -rf $(VENV) .brimful .mypy_cache .ruff_cache .pytest_cache .hypothesis build brimful.egg-info
	find schemas tests workers -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.done-venv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' || \
		{ echo "Python 3.11 or newer is needed. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.done-locked: requirements/test.lock $(VENV)/.done-venv
	$(PIP) install --quiet --require-hashes --requirement requirements/test.lock
	touch $@

$(VENV)/.done-setup: pyproject.toml $(VENV)/.done-locked
	$(PIP) install --quiet --no-deps --editable .
	touch $@

$(VENV)/.done-uv: $(VENV)/.done-venv
	$(PIP) install --quiet uv
	touch $@
