# Everything a fresh machine needs beyond Python 3.11+ and make is installed by these targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python -m cosim
SCENARIO ?= scenarios/winter_stress.yaml
# one process per core for the tests; a core more does not help
WORKERS ?= auto

.PHONY: run test test-all check lint bench train clean

run: $(VENV)/run.done
	$(RUN) run $(SCENARIO)

test: $(VENV)/test.done
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS)

test-all: $(VENV)/test.done
	$(BIN)/python -m pytest -n $(WORKERS)

check: lint test

lint: $(VENV)/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check cosim agents
	$(BIN)/mypy

bench: $(VENV)/test.done
	$(BIN)/python tools/benchmark.py

train: $(VENV)/test.done
	$(RUN) train agents/trained/shared_ppo/training.yaml --policy learner --algorithm ppo \
		--config agents/trained/shared_ppo/settings.yaml --out shared_ppo --steps 4000000 \
		--judged-days 101 --licence MIT

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.done: $(BIN)/python requirements.lock setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/test.done: $(VENV)/run.done requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.lock
	touch $@
