# make demo        train small seeds, run the whole study, write demo/report.html
# make test        the fast tests, and what they took
# make slow        the others
# make typed       doctests, and the fast tests with every annotation and shape checked as they run
# make faults      plant small faults one by one: which do the fast tests see?
# make validation  simulated coverage, level and power, in short; `make validation LONG=1` writes the tables of the docs
# make docs        the documentation as a site, in build/site; warnings are errors
# make lint        ruff and mypy
# make dist        a wheel and an sdist in build/dist, checked by twine and installed in a bare environment
# make lock        requirements.lock: the pinned versions with hashes, for installations that verify them
# make peers       the tests against other toolkits, which it installs
# Each makes .venv first, from constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
EXTRAS := test lint netcdf ray submitit
PYTEST := $(BIN)/python -m pytest -q --numprocesses 2
TYPED := -m 'not slow and not untyped' --jaxtyping-packages=landscape,beartype.beartype --doctest-modules tests landscape cli figures

# Bytecode is kept, out of the sources: without it each of the many processes of the tests compiles everything anew.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE

.PHONY: dist lock demo test slow typed faults validation peers docs lint clean

demo: .venv/ready
	$(BIN)/landscape demo --out demo $(DEMO)

test: .venv/ready
	$(PYTEST) --dist loadfile --durations 10 --durations-min 1

slow: .venv/ready
	$(PYTEST) --dist worksteal -m slow --durations 10

typed: .venv/ready
	$(PYTEST) --dist loadfile $(TYPED)

faults: .venv/ready
	$(BIN)/python tests/faults $(FAULTS)

validation: .venv/ready
	printf '%s\n' llc associations stages barriers | xargs -P 2 -I{} $(BIN)/python validation/{}.py $(if $(LONG),,--short)

peers: .venv/ready
	$(INSTALL) --editable '.[peers,harness]'
	$(BIN)/python -m pytest -q tests/test_llc_peers.py tests/test_probe_harness.py tests/test_adapters.py

docs: .venv/ready
	$(INSTALL) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir build/site

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give it as make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(INSTALL) torch
	$(INSTALL) --editable '.[test,lint,netcdf,ray,submitit]'
	touch $@

dist:
	$(PYTHON) -m venv --clear build/tools
	build/tools/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build twine
	rm -rf build/dist
	build/tools/bin/python -m build --outdir build/dist .
	build/tools/bin/twine check --strict build/dist/*
	$(PYTHON) -m venv --clear build/bare
	build/bare/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build/dist/*.whl
	cd build/bare && bin/landscape --help && bin/landscape columns barrier && bin/python -m pip check

# torch is left out, and with it what only its builds for GPUs bring: which build fits is a matter of the machine.
LOCK ?= --torch-backend cpu
lock:
	$(PYTHON) -m venv --clear build/tools
	build/tools/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	build/tools/bin/uv pip compile --quiet pyproject.toml $(patsubst %,--extra %,$(EXTRAS)) --constraint constraints.txt \
		--generate-hashes --no-emit-package torch --python-version 3.11.5 --no-annotate \
		--custom-compile-command "make lock" $(LOCK) --output-file requirements.lock

clean:
	rm -rf .venv demo build *.egg-info
