# Every target does its own set-up in .venv with pip alone; nothing has to be typed first.
#
#   make demo            write a synthetic study, read it, show the findings; then the same through the service
#   make test            all tests that need neither real data nor other programs
#   make system          install the Debian programs that test-interop compares with (root or sudo)
#   make test-interop    tests against those programs
#   make lint            ruff, mypy, import-linter
#   make soak            50 kills, and hostile input in 10,000 cases of each kind (an hour and a half; KILLS, FUZZ_CASES)
#   make bench           time stages, network, whole studies and their growth against named references (an hour)
#   make clean           remove what these targets made
#
# PYTHON=python3.12 make ...   chooses another interpreter (3.11 or newer) for a new .venv.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# where Debian puts Orthanc
export PATH := $(PATH):/usr/sbin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
PROGRAMS := dciodvfy dcm2niix dcmdump openssl Orthanc pdftotext pkcs11-tool psql rsyslogd softhsm2-util strace
PACKAGES := dcm2niix dcmtk dicom3tools opensc openssl orthanc orthanc-dicomweb poppler-utils postgresql rsyslog \
	rsyslog-gnutls softhsm2 strace

.PHONY: demo test system test-interop lint soak bench clean
.DELETE_ON_ERROR:

demo: .venv/runtime.stamp
	rm -rf demo
	mkdir demo
	$(BIN)/zweitblick sample demo/study
	$(BIN)/zweitblick read demo/study --out demo/results
	$(BIN)/python deploy/round_trip.py demo/study demo/service

# three processes for two cores, since many tests wait; a file's tests stay in one process, since they share what they wrote
PROCESSES := $(shell echo $$(( $$(nproc) * 3 / 2 )))
test: .venv/dev.stamp
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile

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

clean:
	rm -rf .venv demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

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
