# The doors of this project. `make` alone lists them.
#
#   VIDEO=film.mp4 POINTS=points.json    make demo: your own footage; without points it ends where you are asked for them
#   TESTS="tests/stages -k log"          make test: some of the tests
#   WORKERS=1                            make test: how many files of tests run side by side (3, or 0 for TESTS)
#   BENCH=orchestration                  make bench: one of the benchmarks
#   KILLS=200                            make chaos: how many kills
#   PYTHON=/opt/python3.12/bin/python3   the Python that .venv is made with

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TESTS ?=
# Most tests wait for services and stages more than they compute. Those of one file share what they have started.
WORKERS ?= $(if $(TESTS),0,3)
KILLS ?= 100
PYTHON ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup demo up test check bench chaos docs images lint lock

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv with everything that is locked (the others do it first, too)
	@PATH=$${PATH//"$(CURDIR)/.venv/bin:"/}; \
	for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	    if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	        exec "$$python" deploy/venv.py; \
	    fi; \
	done; \
	echo >&2 'Python 3.11, 3.12 or 3.13 is needed, and none was found. On Debian and Ubuntu: apt-get install python3-venv'; \
	exit 2

demo: ## the main job, from a pipeline file to trajectories.csv, on a short video
	@deploy/demo.sh $(if $(VIDEO),--video '$(VIDEO)') $(if $(POINTS),--reference-points '$(POINTS)')

up: setup ## the web interface, until Ctrl-C
	@winslow up

test: setup ## the tests; WINSLOW_TEST_REQUIRE=docker,java,postgres,s3 makes missing services a failure
	@python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

lint: setup ## lint, format, types, import rules
	ruff check .
	ruff format --check .
	mypy
	cd tracker_application && mypy
	lint-imports

check: lint test ## all of it: lint, and the tests

bench: setup ## measure; one line of JSON a figure
	@python -m bench $(BENCH)

chaos: setup ## kill everything many times; many projects; random sequences of actions
	WINSLOW_CHAOS_KILLS=$(KILLS) WINSLOW_MANY_PROJECTS=200 WINSLOW_SEQUENCES=1000 \
	    python -m pytest tests/chaos tests/stories/test_many_projects.py tests/projects/test_sequences.py --timeout=0

docs: setup ## write what is generated again: pages of docs/, the schema of pipelines
	@python -m docs.generate
	@python -m winslow_dagster.pipelines.schema.reference_page docs/pipelines.md pipeline_configs/pipeline.schema.json

images: ## build the stage image of the TrackerApplication (needs Docker)
	@deploy/images/build.sh

lock: setup ## resolve the dependencies anew
	export UV_CUSTOM_COMPILE_COMMAND='make lock'; \
	compile="uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --quiet"; \
	$$compile pyproject.toml -o requirements.lock; \
	$$compile pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
	@$(MAKE) --no-print-directory -C tracker_application lock
