# make demo   train small seeds, run the whole study, write demo/report.html
# make test   the tests
# make lint   ruff and mypy
# make peers  the tests against other toolkits, which it installs
# Each makes .venv first, from constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test slow peers lint clean

demo: .venv/ready
	$(BIN)/landscape demo --out demo $(DEMO)

test: .venv/ready
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile

slow: .venv/ready
	$(BIN)/python -m pytest -q -m slow --numprocesses 2 --dist worksteal

peers: .venv/ready
	$(INSTALL) '.[peers,harness]'
	$(BIN)/python -m pytest -q tests/test_llc_peers.py tests/test_probe_harness.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give it as make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[test,lint,netcdf]'
	touch $@

clean:
	rm -rf .venv demo build *.egg-info
