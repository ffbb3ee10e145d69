# The two commands of a newcomer: `make demo` and `make test`. `make help` lists all.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
# One more than two processors: the tests of the real chain mostly wait for its next slot, and so come first.
TEST_PROCESSES ?= 3

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## virtual environment with the pinned packages (every target does it first)
	@$(PYTHON) tools/bootstrap.py

.PHONY: demo
demo: setup ## a simulated fleet, a fault, the alerts that follow (FAULT=NAME, FAULT=list)
ifeq ($(FAULT),list)
	@$(BIN)/stakewatch demo --list
else
	@$(BIN)/stakewatch tools --install promql prometheus promtool alertmanager
	@$(BIN)/stakewatch demo $(if $(FAULT),--fault $(FAULT))
endif

.PHONY: tools
tools: setup ## find or build every pinned program
	@$(BIN)/stakewatch tools --install

.PHONY: test
test: tools ## every test, the real chain included
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder tests/e2e tests/integration tests/unit $(PYTEST_ARGUMENTS)

.PHONY: unit
unit: setup ## the tests that start no program but our parser
	@$(BIN)/stakewatch tools --install promql
	@$(BIN)/python -m pytest tests/unit $(PYTEST_ARGUMENTS)

.PHONY: e2e
e2e: tools ## a real chain on loopback, our exporter and rules on it (report e2e)
	@$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGUMENTS)

.PHONY: build
build: setup ## what machines load, into build/, and what is generated in dashboards/json, docs and loki
	@$(BIN)/stakewatch tools --install promql
	@$(BIN)/stakewatch build
	@$(BIN)/stakewatch dashboards
	@$(BIN)/stakewatch alerts
	@$(BIN)/stakewatch logs render

.PHONY: check
check: setup ## static checks of rules, tests, dashboards and catalogue (report rules)
	@$(BIN)/stakewatch tools --install promql prometheus promtool promtool2 amtool
	@$(BIN)/stakewatch check --report

.PHONY: rules-test
rules-test: setup ## promtool unit tests of the rules on both majors
	@$(BIN)/stakewatch tools --install promql prometheus promtool promtool2
	@$(BIN)/stakewatch test

.PHONY: coverage
coverage: setup ## which cases of each alert its tests prove (report coverage)
	@$(BIN)/stakewatch tools --install promql promtool promtool2
	@$(BIN)/stakewatch coverage --report

.PHONY: mutate
mutate: setup ## which small changes of the rules the tests notice (report mutate)
	@$(BIN)/stakewatch tools --install promql promtool promtool2
	@$(BIN)/stakewatch mutate --min-score 95 --report

.PHONY: edits
edits: setup ## how long mutate takes after one rule was edited; the first measurement comes before (report edits)
	@$(BIN)/stakewatch tools --install promql promtool promtool2
	@$(BIN)/python -m tests.bench.edits

# Measures: minutes each, on loopback only, and they end by themselves. Each writes build/reports/<target>.json.
.PHONY: bench
bench: setup ## the exporter at mainnet scale: cost, delay, every figure against the truth
	@$(BIN)/stakewatch tools --install promql
	@$(BIN)/python -m tests.bench.exporter

.PHONY: faults
faults: setup ## every endpoint of a node broken in every way, and mended
	@$(BIN)/stakewatch tools --install promql
	@$(BIN)/python -m tests.bench.faults

.PHONY: soak
soak: setup ## a day of the chain in a quarter of an hour, with faults
	@$(BIN)/stakewatch tools --install promql
	@$(BIN)/python -m tests.bench.soak

.PHONY: bench-rules
bench-rules: setup ## what one round of all rules costs with 10,000 keys
	@$(BIN)/stakewatch tools --install promql prometheus ruleclock
	@$(BIN)/python -m tests.bench.rules.speed

.PHONY: quiet-day
quiet-day: setup ## a healthy day of 10,000 keys: nothing may page, every ticket has its cause
	@$(BIN)/stakewatch tools --install promql ruleclock promtool
	@$(BIN)/python -m tests.bench.rules.quiet_day

.PHONY: storm
storm: setup ## a shared beacon node dies, then lives sick: one page, the right node
	@$(BIN)/stakewatch tools --install promql ruleclock promtool alertmanager
	@$(BIN)/python -m tests.bench.rules.storm

.PHONY: replay
replay: setup ## known incidents on the whole rule set: when each is detected, and who stays silent
	@$(BIN)/stakewatch tools --install promql ruleclock promtool
	@$(BIN)/stakewatch replay --report

.PHONY: defects
defects: setup ## thirty real defects of public rule sets, each named by a check, coverage or mutate
	@$(BIN)/stakewatch tools --install promql prometheus promtool promtool2
	@$(BIN)/python -m tests.bench.defects

.PHONY: dashboards
dashboards: setup ## every panel of every board on the demo's fleet
	@$(BIN)/stakewatch tools --install promql prometheus promtool alertmanager
	@$(BIN)/python -m tests.bench.dashboards

.PHONY: screenshots
screenshots: setup ## pictures of the boards for docs/pictures (needs Chromium; Debian: chromium)
	@$(BIN)/stakewatch tools --install promql prometheus promtool alertmanager loki
	@$(BIN)/python -m tests.bench.screenshots

.PHONY: publish-test
publish-test: setup ## publishing interrupted, refused and repeated, against strict fakes (report publish)
	@$(BIN)/stakewatch tools --install promql promtool
	@$(BIN)/python -m tests.bench.publish

.PHONY: logs-e2e
logs-e2e: setup ## lines through a real shipper and Loki to an alert, under load and broken
	@$(BIN)/stakewatch tools --install promql prometheus alertmanager loki promtail
	@$(BIN)/python -m tests.bench.logs

# Writes to what stakewatch.yaml names under `publish`; shows the plan and asks first, or takes
# APPLY_ARGUMENTS=--yes where nobody can answer.
.PHONY: publish
publish: check rules-test ## check, test, then plan and apply to every target under publish in stakewatch.yaml
	@$(BIN)/stakewatch plan || test $$? -eq 2
	@$(BIN)/stakewatch apply $(APPLY_ARGUMENTS)

.PHONY: report
report: setup ## all reports side by side
	@$(BIN)/stakewatch report

.PHONY: lint
lint: setup ## formatter, ruff, mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

.PHONY: format
format: setup ## write the formatter's result
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: lock
lock: ## renew requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --all-extras --upgrade pyproject.toml -o requirements.lock

.PHONY: clean
clean: ## remove what was built (keeps .venv and .tools)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache
