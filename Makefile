# Candor: everything from a fresh clone. Research use only, not for diagnosis.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TIER ?= default

.PHONY: help setup demo serve test lint docs sbom map map-test peers bench chaos mutations clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make .venv with everything in it; again when the pins change

$(READY): pyproject.toml constraints.txt
	@tools/setup.sh "$(PYTHON)"
	@touch $@

demo: $(READY) ## a real chest radiograph from a small PACS through the node and back; shows what came
	@$(BIN)/python -W ignore tools/demo.py

serve: $(READY) ## the same, and leave the node running with its page
	@$(BIN)/python -W ignore tools/demo.py --serve

lint: $(READY) ## style, types, import rules, described parameters
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m tools.docstrings
	@$(BIN)/lint-imports --no-logo > .lint-imports.log 2>&1 || { cat .lint-imports.log; exit 1; }

peers: ## install the independent DICOM validators where that is possible
	@tools/peers.sh

test: $(READY) peers lint ## lint, then the tests; TIER=full adds the long ones
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(if $(filter full,$(TIER)),--full) --cov --cov-report=term:skip-covered

bench: $(READY) ## the measurements side by side, in one run
	@$(BIN)/python -m benchmarks.spine

chaos: $(READY) ## the fault bench: a node under one fault after the other, for 15 minutes
	@$(BIN)/python -W ignore -m benchmarks.node.chaos

mutations: $(READY) ## changes of the node's code that no test notices; OPTIONS="--most 60 --seconds 1800"
	@$(BIN)/python -m tools.mutations $(OPTIONS)

docs: $(READY) ## the documentation as a site, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "candor: open site/index.html"

sbom: $(READY) ## the bill of materials of what is shipped (CycloneDX), in candor.cdx.json; checks its licences
	@$(BIN)/python -m tools.licences --check
	@$(BIN)/python -m tools.sbom candor.cdx.json

map: ## build the MAP with docker, podman or buildah; OPTIONS="--target gateway" builds the node, --cuda for a GPU
	@$(PYTHON) -m deploy.map.build $(OPTIONS)

map-test: $(READY) map ## run the MAP on a real radiograph: non-root, read-only, without a network
	@$(BIN)/python -m pytest --full tests/map

clean: ## remove what the targets above made, but the environment
	rm -rf build demo dist site candor.cdx.json .mypy_cache .ruff_cache .pytest_cache .coverage .lint-imports.log
