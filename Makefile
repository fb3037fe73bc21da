# Entry points of the project. Run `make` to list the targets.
#
#   VIDEO=film.mp4 POINTS=points.json    make demo: use your own footage; without points the demo stops when it needs them
#   TESTS="tests/stages -k log"          make test, make test-all: run only these tests
#   WORKERS=1                            the same two: number of test files run in parallel (default 4, or 0 with TESTS)
#   BENCH=orchestration                  make bench: run one benchmark
#   TABLE=1                              make bench: also write the figures into docs/benchmarks.md
#   KILLS=200                            make chaos: number of processes, or groups of them, to kill or stop
#   PYTHON=/opt/python3.12/bin/python3   Python to create .venv with

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TESTS ?=
# Most tests wait rather than compute.
WORKERS ?= $(if $(TESTS),0,4)
# The tests of one file share the services they start. The files come in the order of tests/conftest.py: the long ones first.
PYTEST := python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
KILLS ?= 100
PYTHON ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without compiled modules, every process of the tests compiles what it imports, and pytest rewrites all assertions anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test test-all check bench chaos docs images lint lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## create .venv with the locked packages (other targets do this if needed)
	@PATH=$${PATH//"$(CURDIR)/.venv/bin:"/}; \
	for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        exec "$$python" deploy/venv.py; \
	    fi; \
	done; \
	echo >&2 'Python 3.11, 3.12 or 3.13 is required, but none was found. On Debian and Ubuntu: apt-get install python3-venv'; \
	exit 2

demo: ## run the traffic analysis on a short video, and print the address of the project with its results
	@deploy/demo.sh $(if $(VIDEO),--video '$(VIDEO)') $(if $(POINTS),--reference-points '$(POINTS)')

up: setup ## start the web interface; Ctrl-C stops it
	@winslow up

test: setup ## run the quick tests
	@$(PYTEST) -m 'not slow' $(TESTS)

test-all: setup ## run all tests; with WINSLOW_TEST_REQUIRE=chromium,docker,java,nginx,postgres,s3,slurm missing services are failures
	@$(PYTEST) $(TESTS)

lint: setup ## check lint, format, types and import rules
	ruff check .
	ruff format --check .
	mypy
	cd tracker_application && mypy
	lint-imports

check: lint test ## run lint and the quick tests

bench: setup ## run the benchmarks; prints one line of JSON per figure
	@python -m bench $(if $(TABLE),--table) $(BENCH)

chaos: setup ## test with random kills, outages, many projects and random sequences of actions
	WINSLOW_CHAOS_KILLS=$(KILLS) WINSLOW_CHAOS_OUTAGE_S=120 WINSLOW_MANY_PROJECTS=200 WINSLOW_SEQUENCES=1000 \
	    python -m pytest tests/chaos tests/stories/test_many_projects.py tests/projects/test_sequences.py --timeout=0

docs: setup ## regenerate the generated pages of docs/ and the JSON Schema of pipelines
	@python -m docs.generate
	@python -m winslow_dagster.pipelines.schema.reference_page docs/pipelines.md pipeline_configs/pipeline.schema.json

images: ## build the stage image of the TrackerApplication (needs Docker)
	@deploy/images/build.sh

lock: setup ## update the pinned dependencies
	export UV_CUSTOM_COMPILE_COMMAND='make lock'; \
	compile="uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --quiet"; \
	$$compile pyproject.toml -o requirements.lock; \
	$$compile pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@$(MAKE) --no-print-directory -C tracker_application lock
