# Two commands do everything: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

RUNS := out/runs
SHARDS := out/render

.PHONY: help demo test coverage check fix wheel-test docs bench bundle clean

help:
	@echo "make demo   install, then bundled products -> images and out/demo/index.html"
	@echo "make test   install, then all tests"
	@echo "make coverage  all tests with branch coverage, which takes half as long again"
	@echo "make check  what must be green before a commit: style, types, spelling, layers"
	@echo "make wheel-test  build the wheels and make one product with each in a clean environment"
	@echo "make docs   the documentation as a site, into out/site"
	@echo "make fix    format and repair style"
	@echo "make bench  benchmarks against the peers (long)"
	@echo "make bundle renders the set and trains the bundled model again, into out/bundle (hours)"

$(STAMP): pyproject.toml bundled/pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ./bundled \
		--editable ".[dev,docs,train,curate,evaluate,ray,lab,postgres,poster]"
	$(BIN)/python -c "import pymatting"  # compiles and caches its kernels once
	touch $@

demo: $(STAMP)
	$(BIN)/cyclorama demo --out out/demo

# one thread of arithmetic per process: two busy processes of two threads each would wait for each other
# three processes for two cores, since those of servers, browsers and clusters wait half of their time
PROCESSES = $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 ))
# a file stays on one worker, so that what its tests share is made once; integration tests, the long ones, come first
# the many processes that tests start find the package compiled, whatever the environment says
test: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

coverage: $(STAMP)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

wheel-test: $(STAMP)
	$(BIN)/python -m pytest -m packaging tests/packaging

docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet --site-dir out/site

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell src tests docs benchmarks recipes *.md
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/contract

fix: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/training.py

bundle: $(STAMP)
	$(BIN)/cyclorama lab render --out $(SHARDS) --count 1944 --seed 1 --workers 2
	$(BIN)/cyclorama train base --resume --config recipes/bundled-base.yaml --out $(RUNS)/base \
		--set data.source.path=$(SHARDS)
	$(BIN)/cyclorama train autoencoder --resume --config recipes/bundled-autoencoder.yaml --out $(RUNS)/autoencoder \
		--set data.source.path=$(SHARDS) --set model.base=$(RUNS)/base/model
	$(BIN)/cyclorama train category --resume --config recipes/bundled-category.yaml --out $(RUNS)/category \
		--set data.source.path=$(SHARDS) --set model.base=$(RUNS)/base/model
	$(BIN)/cyclorama train personality --resume --config recipes/bundled-personality.yaml --out $(RUNS)/personality \
		--set data.source.path=$(SHARDS) --set model.base=$(RUNS)/category/model
	$(BIN)/cyclorama models bundle --model $(RUNS)/personality/model --autoencoder $(RUNS)/autoencoder/model \
		--aliases recipes/bundled-categories.yaml --out out/bundle

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache
