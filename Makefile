# Driplab's few commands, the same for people and for CI. Only python3 (3.11 or newer) is needed; uv is used when present.
# `make PYTHON=/path/to/python3.13 demo` chooses the interpreter for a new .venv.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
STAMP := .venv/installed
# The longer proofs: two at a time, but for what measures speed.
PROVE := $(BIN)/python -m pytest -m "slow or prove or law" --hypothesis-profile deep --durations 10
# The day that a calibration says it is of.
ON ?= $(shell date -u +%F)

# Nothing here reports home.
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never

# $(call timed,NAME,COMMANDS): run the commands, say how long they took, keep their exit code.
timed = @began=$$SECONDS; code=0; ( $(2) ) || code=$$?; \
	echo "make $(1): $$([ $$code -eq 0 ] && echo done || echo FAILED) after $$((SECONDS - began)) s"; exit $$code

.PHONY: help install demo test prove check dev bench calibrate clean

help:
	@echo "make demo       a simulated market through the real ring; installs everything first"
	@echo "make test       the tests"
	@echo "make prove      the longer proofs"
	@echo "make check      linters, types, spelling, dbt parse, drip check, marimo check"
	@echo "make dev        Dagster, the inbound server and the notebooks together, until Ctrl-C"
	@echo "make bench      speed as ratios to hand-written floors; ten million enrollments, about three quarters of an hour"
	@echo "make calibrate  the statistics on drawn data with known truth, written to docs/calibration.md"
	@echo "make clean      removes .venv and caches; never data/"

install: $(STAMP)

# The lock holds exact versions with hashes, so what runs here is what was tested, and a second run finds nothing to do.
$(STAMP): requirements.lock pyproject.toml
	@set -euo pipefail; began=$$SECONDS; \
	fits() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	python=; \
	for candidate in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11; do \
		if [ -n "$$candidate" ] && fits "$$candidate"; then python=$$(command -v "$$candidate"); break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Driplab needs Python 3.11 or newer, and found $$(python3 --version 2>/dev/null || echo 'no python3'):" \
			"install one, or name it with 'make PYTHON=/path/to/python3 ...'." >&2; exit 1; \
	fi; \
	if ! [ -x $(BIN)/python ] || ! fits $(BIN)/python; then rm -rf .venv; fi; \
	if command -v uv >/dev/null; then \
		echo "Installing into .venv with uv (the first time takes a minute) ..."; \
		[ -d .venv ] || uv venv --quiet --python "$$python" .venv; \
		uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock; \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .; \
	else \
		echo "Installing into .venv with pip (the first time takes a few minutes) ..."; \
		if ! [ -d .venv ] && ! "$$python" -m venv .venv; then \
			rm -rf .venv; \
			echo "$$python cannot create a virtual environment: on Debian, 'apt-get install python3-venv' first." >&2; \
			exit 1; \
		fi; \
		$(BIN)/python -m pip install -qq --no-deps --require-hashes --requirement requirements.lock; \
		$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --no-index --editable .; \
	fi; \
	touch $(STAMP); \
	echo "make install: done after $$((SECONDS - began)) s"

demo: $(STAMP)
	$(call timed,$@,$(BIN)/drip demo $(ARGS))

test: $(STAMP)
	$(call timed,$@,$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not prove" --durations 10 $(ARGS))

prove: $(STAMP)
	$(call timed,$@,failed=; \
		$(PROVE) -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/benchmarks $(ARGS) || failed=1; \
		$(PROVE) tests/benchmarks || failed=1; \
		[ -z "$$failed" ])

calibrate: $(STAMP)
	$(call timed,$@,$(BIN)/python -m pytest tests/analysis -m slow --durations 10 --calibrated-on $(ON) --calibration-times 2 $(ARGS))

bench: $(STAMP)
	$(call timed,$@,$(BIN)/python -m tests.benchmarks $(ARGS))

dev: $(STAMP)
	$(call timed,$@,$(BIN)/drip up $(ARGS))

# `$$names` in pipeline/ are bound parameters; dbt's models are Jinja. Every check runs, so that one run shows everything there is to mend.
check: $(STAMP)
	$(call timed,$@,failed=; \
		run() { echo "check: $$*"; "$$@" || failed+="  $$*"$$'\n'; }; \
		run $(BIN)/ruff check .; \
		run $(BIN)/ruff format --check .; \
		run $(BIN)/mypy; \
		run $(BIN)/sqlfluff lint --disable-progress-bar --templater placeholder pipeline; \
		run $(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests; \
		run $(BIN)/typos; \
		run $(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project --no-partial-parse; \
		run $(BIN)/drip check; \
		run $(BIN)/marimo check --strict notebooks/*.py; \
		[ -z "$$failed" ] || { printf 'Failed:\n%s' "$$failed"; exit 1; })

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs
