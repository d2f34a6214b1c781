# Everything a checkout can do, one word each. Only python3 (3.11 or newer, with venv) and make must be there.

PYTHON ?= python3
VENV := .venv/bin
# For example: make test PYTEST="-n 0 -x tests/contract"
PYTEST ?= -n 2
# For example: make chaos FAULTS="--engine sqlite --seed 7"
FAULTS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run stop test histories chaos chaos-long power soak soak-faces mutants check fix docs screenshots bench wheel

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install Poetry and everything poetry.lock names into this checkout; quick when nothing has changed
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: there is no $(PYTHON)" >&2; \
	  echo "hint: install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) scripts/bootstrap.py

run: setup ## start producer, consumers and dashboard under Supervisor, and say where everything is
	@$(VENV)/python scripts/run.py start

stop: ## stop everything that `make run` started, and wait until it is gone
	@if [ -e supervisor/run/supervisord.log ]; then $(VENV)/python scripts/run.py stop; else echo "nothing is running"; fi

test: setup ## run the whole test suite
	@$(VENV)/python -m pytest $(PYTEST)

histories: setup ## compare two thousand histories on PostgreSQL with the model, too; a quarter of an hour
	@HISTORIES=2000 $(VENV)/python -m pytest $(PYTEST) tests/property/test_same_as_memory.py

chaos: setup ## kill 500 workers on each engine, and more, and write the figures into docs/reliability.md; a quarter of an hour
	@$(VENV)/python -m tests.faults --plan c2 --write $(FAULTS)

chaos-long: setup ## the same with 10,000 kills on each engine; a night
	@$(VENV)/python -m tests.faults --plan c3 --write $(FAULTS)

power: setup ## cut the power under a SQLite queue 100 times, and storm it with checkpoints; some minutes
	@$(VENV)/python -m tests.faults.power --write $(FAULTS)
	@$(VENV)/python -m tests.faults.wal --library system --write
	@$(VENV)/python -m tests.faults.wal --library safe --write

soak: setup ## let a queue work for half an hour, with long readers and backups, and see that nothing grows
	@$(VENV)/python -m tests.faults.soak --write $(FAULTS)

soak-faces: setup ## let manager and dashboard refresh for an hour beside a million jobs, and see that neither grows
	@$(VENV)/python -m tests.faults.faces --write $(FAULTS)

mutants: setup ## break the library on purpose, in one place at a time, and see that the tests notice
	@$(VENV)/python -m tests.faults.mutants --write

check: setup ## look at format, lint, types, lock file and spelling; changes nothing
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(PYTHON) scripts/bootstrap.py poetry check --lock
	@$(VENV)/codespell

fix: setup ## repair format and what else can be repaired without a person
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .
	@$(VENV)/codespell --write-changes

docs: setup ## write docs/reference/, docs/commands/ and the keys of docs/manager.md anew from the code
	@$(VENV)/python scripts/reference.py
	@$(VENV)/python -m scripts.keys
	@$(VENV)/python -m scripts.commands

screenshots: setup ## make the pictures of docs/screenshots anew; needs chromium and tmux, and some minutes
	@$(VENV)/python docs/screenshots/dashboard_shot.py
	@$(VENV)/python docs/screenshots/manager_shot.py
	@$(VENV)/python docs/screenshots/manager_recording.py

bench: setup ## measure the queue beside hand-written loops, and write BENCHMARKS.md
	@$(VENV)/python -m benchmarks --write

wheel: setup ## build the wheel into dist/ and test what is in it
	@$(VENV)/python -m build --wheel --no-isolation --outdir dist
	@$(VENV)/python -m pytest -n 0 tests/packaging
