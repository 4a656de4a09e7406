# Everything a developer or CI needs, from nothing but Python 3.11 and make.
#
#   make          set up what running needs, and start Faregate
#   make test     set up what testing needs, and run every test (ARGS="tests/wire -x" runs some, WORKERS= one after the other)
#   make check    format, lint, types, imports, generated pages
#   make format   put the format right
#   make docs     write the generated pages again
#   make prices   make the packaged prices again, from the genai-prices that is locked
#   make bench    measure, beside a direct call and nginx: with what every call goes through compiled, as in the image (COMPILED= without)
#   make wheel    build the wheel into dist/, of pure Python (COMPILED=1: compiled, for this platform)
#   make clean    take away what the others made

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

# The first interpreter that starts and is new enough; one that is only named, as a version manager's shim may be, does not count.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# Tests wait more than they work, so that more of them than processors run at once. WORKERS= runs them one after the other.
WORKERS ?= -n 3 --dist loadscope --no-loadscope-reorder

.PHONY: run test check format docs prices bench wheel clean

run: $(VENV)/.ready-to-run
	$(BIN)/faregate up

test: $(VENV)/.ready-to-test $(VENV)/.node-tried $(VENV)/.frameworks-tried $(VENV)/.receivers-tried
	$(BIN)/pytest $(WORKERS) $(ARGS)

check: $(VENV)/.ready-to-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -m docs._generate
	$(BIN)/lint-imports
	$(BIN)/python -m docs._generate --check

format: $(VENV)/.ready-to-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready-to-test
	$(BIN)/python -m docs._generate

prices: $(VENV)/.ready-to-test
	$(BIN)/python -m tools.price_snapshot

bench: COMPILED ?= 1
bench: $(VENV)/.ready-to-test
	@test -z "$(COMPILED)" || $(MAKE) --no-print-directory $(VENV)/.compiled || echo "It cannot be compiled here: this measures it as it is."
	@if test -n "$(COMPILED)" -a -e $(VENV)/.compiled; then BENCH_APP=$(abspath $(VENV)/compiled/faregate/_app); export BENCH_APP; fi; \
		$(BIN)/python -m bench $(ARGS)

wheel: $(UV)
	FAREGATE_COMPILE=$(COMPILED) $(UV) build --wheel --quiet

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(UV):
	@test -n "$(PYTHON)" || { echo "Faregate needs Python 3.11 or newer, and found none. Name one: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

# --inexact leaves what is not in the lock file where it is: uv itself, to begin with.
$(VENV)/.ready-to-run: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --locked --inexact --no-dev
	@touch $@

$(VENV)/.ready-to-test: $(UV) pyproject.toml uv.lock
	$(UV) sync --quiet --locked --inexact
	@touch $@ $(VENV)/.ready-to-run

# The wheel with compiled modules, unpacked.
COMPILED_FROM := $(wildcard $(foreach room,config dashboard destinations domain gateway pricing recorder routing storage,$(room)/*.py $(room)/*/*.py))

$(VENV)/.compiled: $(UV) pyproject.toml hatch_build.py tools/compiling.py $(COMPILED_FROM)
	@echo "Compiling what every call goes through; this takes minutes, and is done once."
	@rm -rf $@ $(VENV)/compiled
	@FAREGATE_COMPILE=1 $(UV) build --wheel --quiet --out-dir $(VENV)/compiled
	@$(BIN)/python -m zipfile -e $(VENV)/compiled/*.whl $(VENV)/compiled
	@touch $@

# What only the documentation's snippets need. Without npm, or without a network, the tests of theirs are skipped and say so.
NODE_LIST := tests/docs/node/package.json tests/docs/node/package-lock.json

$(VENV)/.node-tried: $(UV) $(NODE_LIST)
	@mkdir -p $(VENV)/node && cp $(NODE_LIST) $(VENV)/node
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix $(VENV)/node || echo "npm failed: tests of Node snippets are skipped"; fi
	@touch $@

$(VENV)/.frameworks-tried: $(UV) tests/docs/frameworks.txt
	@$(UV) pip install --quiet --no-deps --target $(VENV)/frameworks --requirement tests/docs/frameworks.txt \
		|| echo "The frameworks could not be installed: tests of their snippets are skipped"
	@touch $@

# Real servers of platforms that spans are sent to, and Presidio, each in an environment of its own: what they need does not go together.
RECEIVERS := phoenix mlflow presidio

$(VENV)/.receivers-tried: $(UV) $(RECEIVERS:%=tests/receivers/%.txt)
	@for name in $(RECEIVERS); do \
		{ $(UV) venv --quiet --allow-existing --python $(BIN)/python $(VENV)/receivers/$$name \
			&& $(UV) pip sync --quiet --python $(VENV)/receivers/$$name/bin/python tests/receivers/$$name.txt; } \
			|| { rm -rf $(VENV)/receivers/$$name; echo "$$name could not be installed: its tests are skipped"; }; \
	done
	@touch $@
