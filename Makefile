# Every target does the set-up it needs into .venv, once: stamp files there say what is done.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
JOBS ?= 2
SECONDS ?= 60

# The first Python of at least 3.11.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

NATIVE := CMakeLists.txt pyproject.toml $(shell find native -name '*.cpp' -o -name '*.h')

# models/ lies beside jpegfreq/ but is jpegfreq.models: mypy sees both through links that lie as the modules do.
types: $(STAMPS)/everything $(STAMPS)/package $(STAMPS)/tools
	rm -rf build/types && mkdir -p build/types/jpegfreq
	ln -s $(CURDIR)/jpegfreq/* $(CURDIR)/models build/types/jpegfreq/
	MYPYPATH=build/types $(VENV)/bin/mypy --explicit-package-bases build/types/jpegfreq

.PHONY: demo test types check check-long bench fuzz clean
.DEFAULT_GOAL := test

# PHOTOS=<folder> shows your own photographs. The page to look at is demo/report.html.
demo: $(STAMPS)/demo $(STAMPS)/package
	$(PY) -m bench.demo $(if $(PHOTOS),--photos "$(PHOTOS)")

# Format, lint, types, tests.
test: $(STAMPS)/everything $(STAMPS)/package $(STAMPS)/tools
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(MAKE) types
	$(PY) -m pytest -n $(JOBS)

check: test

check-long: test
	$(PY) -m pytest -m long
	$(MAKE) fuzz SECONDS=600

bench: $(STAMPS)/everything $(STAMPS)/package $(STAMPS)/tools
	$(PY) -m bench

fuzz: $(STAMPS)/everything $(STAMPS)/package $(STAMPS)/tools
	tests/fuzz/run.sh $(SECONDS)

clean:
	rm -rf build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with the venv module was found: set PYTHON=..."; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

# $(call install,EXTRAS): the build's requirements, the package's own, and those of its extras.
define install
	$(PY) .ci/requirements.py $(1) > $(VENV)/requirements.txt
	$(PY) -m pip install --disable-pip-version-check -r $(VENV)/requirements.txt
endef

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	$(call install,train demo)
	touch $@

$(STAMPS)/everything: $(STAMPS)/venv pyproject.toml
	$(call install,train plot ray bench dev demo)
	touch $@ $(STAMPS)/demo

# Editable, and without build isolation, so that a change to native code is compiled in seconds.
$(STAMPS)/package: $(NATIVE) | $(STAMPS)/venv
	test -e $(STAMPS)/demo || $(MAKE) $(STAMPS)/demo
	$(PY) -m pip install --disable-pip-version-check --no-build-isolation --no-deps -Ceditable.rebuild=false -e .
	touch $@

# Programs of the system that tests lean on; those tests say so where they are missing.
$(STAMPS)/tools: | $(STAMPS)/venv
	.ci/install-tools
	touch $@
