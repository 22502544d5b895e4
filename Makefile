# Every target does its own set-up in .venv with pip alone; nothing has to be typed first.
#
#   make demo            write a synthetic study, read it, show the findings; then the same through the service
#   make test            all tests that need neither real data nor other programs
#   make system          install the Debian programs that test-interop compares with (root or sudo)
#   make test-interop    tests against those programs
#   make lint            ruff, mypy, import-linter
#   make soak            75 kills, and hostile input in 10,000 cases of each kind (an hour and a half; KILLS, FUZZ_CASES)
#   make bench           time stages, network, whole studies and their growth against named references (an hour)
#   make lock            pin what is shipped and what builds our wheel with digests: requirements.lock and
#                        requirements-build.lock, from pyproject.toml and constraints.txt
#   make sbom            bill of materials (CycloneDX) and licences of what is shipped: dist/sbom.cdx.json, dist/licences.md
#   make bundle          all that an installation without a network needs: dist/bundle (BUNDLE_KEY=key.pem signs it)
#   make clean           remove what these targets made
#
# PYTHON=python3.12 make ...   chooses another interpreter (3.11 or newer) for a new .venv.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# where Debian puts Orthanc
export PATH := $(PATH):/usr/sbin
# Where Python may not keep what it compiles, each of the hundred processes that the tests start compiles all our modules.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PROGRAMS := dciodvfy dcm2niix dcmdump openssl Orthanc pdftotext pkcs11-tool psql rsyslogd softhsm2-util strace
PACKAGES := dcm2niix dcmtk dicom3tools opensc openssl orthanc orthanc-dicomweb poppler-utils postgresql rsyslog \
	rsyslog-gnutls softhsm2 strace

.PHONY: demo test system test-interop lint soak bench lock sbom bundle clean
.DELETE_ON_ERROR:

demo: .venv/runtime.stamp
	rm -rf demo
	mkdir demo
	$(BIN)/zweitblick sample demo/study
	$(BIN)/zweitblick read demo/study --out demo/results
	$(BIN)/python deploy/round_trip.py demo/study demo/service

# Three processes for two cores, since many tests wait, and one thread in each, since threads that outnumber the cores
# wait for one another. A file's tests stay in one process, since they share what they wrote; files come in their order and
# not those with most tests first, which leaves the few that take minutes to the end.
PROCESSES := $(shell echo $$(( $$(nproc) * 3 / 2 )))
test: .venv/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

system:
	@for program in $(PROGRAMS); do command -v $$program > /dev/null || missing="$$missing $$program"; done; \
	if [ -z "$$missing" ]; then echo "present already: $(PROGRAMS)"; exit 0; fi; \
	command -v apt-get > /dev/null || { echo "no apt-get here; install by hand:$$missing" >&2; exit 1; }; \
	if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
	set -ex; \
	$$sudo apt-get update -qq; \
	DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(PACKAGES)

test-interop: .venv/dev.stamp
	$(BIN)/pytest -n auto --dist loadfile -o addopts="--import-mode=importlib --strict-markers --strict-config -ra" tests/interop

lint: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

FUZZ_CASES ?= 10000
KILLS ?= 50

soak: .venv/dev.stamp
	$(BIN)/pytest -o addopts="--import-mode=importlib --strict-markers --strict-config -ra" \
	  tests/interop/test_kills.py --kills $(KILLS) --timeout 0
	$(BIN)/pytest -n auto --dist load --timeout 0 tests/attacks --fuzz-cases $(FUZZ_CASES)

BENCHMARKS := benchmarks benchmarks.network benchmarks.end_to_end benchmarks.linearity benchmarks.many_studies \
	benchmarks.sealing benchmarks.receive

bench: .venv/bench.stamp
	rm -f benchmarks/figures.jsonl
	for one in $(BENCHMARKS); do echo "$$one"; $(BIN)/python -m $$one || exit 1; done
	if [ -d ../shared/data/brats ]; then for one in agreement registration repeatability; do \
	  echo "benchmarks.$$one"; $(BIN)/python -m benchmarks.$$one ../shared/data || exit 1; done; fi
	$(BIN)/python -m benchmarks.figures

# What the image holds beside the Python of its base; see the Dockerfile.
SHIPPED := --extra hsm --extra openvino --extra postgres --extra telemetry
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-options --constraint constraints.txt
lock: .venv/dev.stamp
	$(COMPILE) $(SHIPPED) --output-file requirements.lock pyproject.toml
	$(COMPILE) --build-deps-for wheel --only-build-deps --output-file requirements-build.lock pyproject.toml

# Our wheel: left to itself pip would fetch the newest of what builds it, and run that.
BUILD := .venv-build
WHEEL := $(BUILD)/bin/python -m pip wheel --quiet --no-build-isolation --no-index --no-deps
$(BUILD)/build.stamp: requirements-build.lock
	$(PYTHON) -m venv --clear $(BUILD)
	$(BUILD)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  --requirement requirements-build.lock
	@touch $@

SHIP := .venv-ship
BOM := .venv-bom
DIST := dist
sbom: .venv/python.stamp $(SHIP)/ship.stamp $(BOM)/bom.stamp
	mkdir -p $(DIST)
	PYTHONPATH= $(BOM)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --spec-version 1.6 --output-format JSON \
	  --output-file $(DIST)/sbom.cdx.json $(SHIP)/bin/python
	$(BIN)/python deploy/licences.py $(DIST)/sbom.cdx.json $(DIST)/licences.md

$(SHIP)/ship.stamp: requirements.lock pyproject.toml $(BUILD)/build.stamp
	$(PYTHON) -m venv --clear $(SHIP)
	$(SHIP)/bin/python -m pip install --quiet --require-hashes --only-binary :all: --requirement requirements.lock
	$(WHEEL) --wheel-dir $(SHIP)/wheel .
	$(SHIP)/bin/python -m pip install --quiet --no-index --no-deps $(SHIP)/wheel/*.whl
	@touch $@

# Apart, since the grammar that it brings takes two seconds of whatever imports jsonschema beside it, as MONAI does.
$(BOM)/bom.stamp: constraints.txt
	$(PYTHON) -m venv --clear $(BOM)
	$(BOM)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt cyclonedx-bom
	@touch $@

# The wheel of ours holds the models with their digests and signatures; SHA256SUMS, which is signed, covers all.
BUNDLE_KEY :=
bundle: .venv/python.stamp $(BUILD)/build.stamp
	rm -rf $(DIST)/bundle
	mkdir -p $(DIST)/bundle/wheels
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  --requirement requirements.lock --dest $(DIST)/bundle/wheels
	$(WHEEL) --wheel-dir $(DIST)/bundle/wheels .
	cp requirements.lock deploy/install.sh LICENSE SECURITY.md $(DIST)/bundle
	cd $(DIST)/bundle && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS
	if [ -n "$(BUNDLE_KEY)" ]; then openssl pkeyutl -sign -rawin -inkey "$(BUNDLE_KEY)" \
	  -in $(DIST)/bundle/SHA256SUMS -out $(DIST)/bundle/SHA256SUMS.sig; fi

clean:
	rm -rf .venv $(BUILD) $(SHIP) $(BOM) demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	"Python 3.11 or newer is needed, not " + sys.version.split()[0] + "; say PYTHON=python3.11 make ...")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/runtime.stamp: .venv/python.stamp pyproject.toml constraints.txt
	$(PIP) --editable '.[sample]'
	@touch $@

# torch comes first and alone, so that the constraint decides its build before anything else asks for it
.venv/dev.stamp: .venv/runtime.stamp
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	@touch $@

# a second reference for registration: 1.6 GB that nothing else needs
.venv/bench.stamp: .venv/dev.stamp
	$(PIP) --editable '.[benchmarks]'
	@touch $@
