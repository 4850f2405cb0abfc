# All that a developer does here. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
SEVERAL_AT_A_TIME := -n 3 --dist loadfile
ARGS ?=

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/dev ## Make or update .venv with all that the commands below need

dev: .venv/run node_modules/.package-lock.json ## Run the site on this machine. PORT and DATA_DIR choose where
	@exec $(BIN)/python manage.py dev

test: .venv/dev browser ## Run the tests. ARGS goes to pytest: make test ARGS="-k cancel"
	@exec $(PYTEST) $(SEVERAL_AT_A_TIME) $(ARGS)

test-sqlite: .venv/dev browser ## Run the tests on SQLite instead of PostgreSQL
	@DATABASE_URL=sqlite exec $(PYTEST) $(SEVERAL_AT_A_TIME) $(ARGS)

chaos: .venv/dev ## Run the tests that kill workers, brokers and databases, in their long form
	@CHAOS=long exec $(PYTEST) -m chaos -s -o faulthandler_timeout=3600 $(ARGS)

check: .venv/dev ## Lint, formats, imports, types, migrations, templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy
	@$(BIN)/python manage.py check
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/djlint --quiet --lint .

format: .venv/dev ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

bench-%: .venv/dev ## Run one of the benchmarks, such as bench-latency
	@exec $(BIN)/python -m benchmarks.$* $(ARGS)

browser: .venv/dev ## Install a Chromium for the tests, where there is none
	@exec $(BIN)/python -m tests.browser

.venv/dev: requirements.txt requirements-dev.txt | .venv
	@echo "Installing what requirements-dev.txt lists, once"
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch .venv/run .venv/dev

.venv/run: requirements.txt | .venv
	@echo "Installing what requirements.txt lists, once"
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch .venv/run

# Without it the pages do without: uploads are plain forms, which do not go on after a broken line.
node_modules/.package-lock.json: package-lock.json
	@if command -v npm >/dev/null; then echo "Installing what package.json lists, once"; npm ci --silent --omit=dev || true; fi

.venv:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Nightshift needs Python 3.11 or newer. Say where it is: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@$(PYTHON) -c "import ensurepip" 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.PHONY: help install dev test test-sqlite chaos check format browser
