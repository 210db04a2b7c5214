# Two commands do everything: `make demo` shows the engine at work, `make test` checks and tests it.
# Each makes the environment it needs (.venv, from the hashed lock) by itself; the second run finds it ready.

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
# An engine is five processes, and the tests start dozens: each would compile anew what it imports, a tenth of a second
# to a third. `make clean` removes what is written.
unexport PYTHONDONTWRITEBYTECODE
READY := .venv/.ready
MUTANTS_READY := .venv-mutants/.ready
COMPILE := pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-config

.DEFAULT_GOAL := help
.PHONY: help demo test check mutants format up docs lock clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Play one market session through the whole engine and prove every outcome
	@$(BIN)/khata demo $(ARGS)

test: check ## Check everything, then run the whole test suite
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: $(READY) ## Format, lint, types and the layers between the packages; changes nothing
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

mutants: $(MUTANTS_READY) ## Plant faults in the account's decider and count those that the tests find (half an hour; not in CI)
	@$(BIN)/python -m infra.mutants $(ARGS)

format: $(READY) ## Format the code and mend what the linter can mend by itself
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

up: $(READY) ## Start the engine: databases, broker simulator, API (Ctrl-C stops it)
	@$(BIN)/khata up

docs: $(READY) ## Write the documentation pages that are generated from the code
	@$(BIN)/khata docs

lock: $(READY) ## Resolve the dependencies anew and pin them with their hashes
	@$(BIN)/uv $(COMPILE) --upgrade --group dev pyproject.toml --output-file requirements.lock
	@echo uv | $(BIN)/uv $(COMPILE) --upgrade - --output-file requirements-uv.lock
	@echo cosmic-ray | $(BIN)/uv $(COMPILE) --upgrade - --output-file requirements-mutants.lock

clean: ## Remove the environment and every cache; the engine's own data stays
	@rm -rf .venv .venv-mutants .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -I infra/environment.py $(READY)

# What plants the faults has an environment of its own, so that the project's does not grow for it.
$(MUTANTS_READY): $(READY) requirements-mutants.lock
	@$(PYTHON) -m venv --clear .venv-mutants
	@.venv-mutants/bin/pip install --quiet --require-hashes --requirement requirements-mutants.lock
	@touch $@
