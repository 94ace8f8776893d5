# The one command surface, the same locally and in CI. PYTHON is a Python with the extra `dev`:
#   python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'
PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))

.PHONY: check shape format test pages schemas dist bench bench-speed

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(BIN)lint-imports

# How large the code is, by package. Fails when a bound is outgrown; SHAPE_FLAGS=--report only prints.
shape:
	$(PYTHON) -m tests.project.shape --by-package $(SHAPE_FLAGS)

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:
	$(PYTHON) -m pytest

# docs/commands.md from the commands' help, docs/errors.md from the error classes; tests compare them.
pages:
	$(PYTHON) -m typer rcc_onnx.cli.app utils docs --name rcc-onnx --title Commands --output docs/commands.md
	$(PYTHON) docs/make_errors_page.py

# rcc_onnx/output/schemas from the dataclasses of the documents; tests compare them.
schemas:
	$(PYTHON) docs/make_schemas.py

# The wheel and the source archive, into dist/: the same bytes from any clone of a commit. PYTHON is one
# with the extra `packaging`, or just the package `build`.
dist:
	$(PYTHON) -m build --outdir dist .

# How well the phantom bundle finds what was drawn, on 200 studies: about 10 minutes on two cores.
bench:
	$(PYTHON) -m benchmarks.phantom_accuracy --studies 200 --json phantom_accuracy.json

# Speed, memory and start beside other engines, with the extra `bench`: about 15 minutes.
bench-speed:
	$(PYTHON) -m benchmarks
