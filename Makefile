# What people type. Everything is set up on first use in .venv; nothing else is needed but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHMARKS := fanout latency connections reconnect hearing_speed ingest accuracy history quality
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: run test check fuzz soak bench format clean

run: $(VENV)/.run
	@$(BIN)/python -m alertsite.firstrun
	@exec $(BIN)/python manage.py run

test: $(VENV)/.dev
	@sh tests/machine.sh
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m tests.with_production_settings -m mypy
	$(BIN)/python -m tests.with_production_settings manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.with_production_settings manage.py check --deploy --fail-level WARNING

fuzz: $(VENV)/.dev
	FUZZ_MESSAGES=$${FUZZ_MESSAGES:-200000} $(BIN)/python -m pytest -s tests/socket/test_fuzz.py

soak: $(VENV)/.dev
	$(BIN)/python -m benchmarks.endurance $(ARGS)

bench: $(VENV)/.bench
	@for name in $(BENCHMARKS); do \
		test ! -f benchmarks/$$name.py || { echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS); } || exit 1; \
	done

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) var

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "alertsite needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "This Python has no venv. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "Installing what the server needs into $(VENV) ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/.run

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	@echo "Installing what benchmarks are measured beside into $(VENV) ..."
	@$(PIP) -r requirements-bench.txt
	@$(PIP) --no-deps 'silero-vad>=6.2,<7'
	@$(PIP) 'pesq>=0.0.4,<0.1' || echo "Without a C compiler there is no pesq, and no benchmarks.quality." >&2
	@touch $@
