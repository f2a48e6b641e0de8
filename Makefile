# Two environments: .venv serves (no torch), .venv-dev has everything that tests, checks and training need. A third,
# .venv-tritonclient, is a peer's: its protobuf is older than ours. NODE has the packages of the Node client.
PYTHON ?= python3
SERVE := .venv/bin
DEV := .venv-dev/bin
TRITON := .venv-tritonclient/bin
NODE := clients/node/node_modules
MODELS ?= models

.PHONY: help demo serve test check pipeline protos clean

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | column -ts:

demo: .venv/installed  ## three sentences through a real server on a free port
	$(SERVE)/python -m demos.translate --models $(MODELS)

serve: .venv/installed  ## the bundled model on 127.0.0.1:50051
	$(SERVE)/python -m server --models $(MODELS)

test: .venv-dev/installed .venv/installed .venv-tritonclient/installed $(NODE)/installed  ## all tests
	$(DEV)/python -m pytest

check: .venv-dev/installed  ## linters, types, import contracts, generated code
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	PYTHON=$(CURDIR)/$(DEV)/python protos/check.sh

pipeline: .venv-dev/installed  ## train, export, verify, serve and translate, from nothing
	$(DEV)/python -m demos.pipeline

protos: .venv-dev/installed  ## generates protos/python
	PYTHON=$(CURDIR)/$(DEV)/python protos/generate.sh

clean:  ## removes what make made
	rm -rf .venv .venv-dev .venv-tritonclient runs $(NODE) clients/node/dist clients/node/build clients/node/src/generated

PACKAGED := pyproject.toml protos/python/pyproject.toml clients/python/pyproject.toml

.venv/installed: $(PACKAGED)
	$(PYTHON) -m venv .venv
	$(SERVE)/pip install --quiet --disable-pip-version-check '.[cpu]' -e protos/python -e 'clients/python[load]'
	touch $@

.venv-dev/installed: $(PACKAGED)
	$(PYTHON) -m venv .venv-dev
	$(DEV)/pip install --quiet --disable-pip-version-check '.[cpu,training,bench,dev]' -e protos/python -e 'clients/python[load]'
	touch $@

.venv-tritonclient/installed: tests/peers/tritonclient-requirements.txt
	$(PYTHON) -m venv .venv-tritonclient
	$(TRITON)/pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(NODE)/installed: clients/node/package.json clients/node/package-lock.json clients/node/.npmrc
	cd clients/node && npm ci --loglevel=error
	touch $@
