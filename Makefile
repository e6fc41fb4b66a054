# The project's verbs. As root on Debian 12 or Ubuntu 24.04 each verb installs what it needs; see CONTRIBUTING.md.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# More words for pytest and for the fuzzers: make test PYTEST="-k memif"
PYTEST ?=
FUZZ ?=
# make stdlib MODULES="test_socket test_ssl" K=testRecv; BASELINE=1 measures plain CPython and stock gevent too.
MODULES ?=
K ?=
BASELINE ?=
SANITIZED = $(wildcard tests/unit tests/tcp tests/sim)

.DEFAULT_GOAL := help
.PHONY: help venv build demo test stdlib programs apps oracle docs lint type asan fuzz table bench wheel dist dist-test clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: setup.cfg setup.py pyproject.toml
	@.ci/packages $(PYTHON)
	@echo "make: installing into $(VENV) and compiling the engine, once: a minute or two" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@

venv: $(VENV)/.installed ## make .venv with greendpdk in it, editable

build: venv ## compile the C engine in place
	@$(BIN)/python -m greendpdk._build

demo: build ## show unmodified apps over DPDK, in a network namespace of its own
	@$(BIN)/python examples/demo.py

test: build $(VENV)/.docs ## run all tests, and build the documents
	@$(BIN)/python -m pytest $(PYTEST)

stdlib: build ## run CPython's and gevent's own socket tests over the stack's loopback (MODULES=, K=, BASELINE=1)
	@$(BIN)/python tests/stdlib/run.py $(if $(BASELINE),--baseline) $(if $(K),-k $(K)) $(MODULES)

$(VENV)/.programs: setup.cfg tests/skips.py | venv
	@.ci/packages $(PYTHON) $$($(BIN)/python -c 'import sys; sys.path.append("tests"); import skips; print(*skips.PROGRAMS.values())')
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,apps]"
	@touch $@

programs: $(VENV)/.programs ## install the foreign programs that tests/apps runs (Django, MariaDB, sshd, ...)

apps: build programs ## run those programs over the stack and write docs/compat.md's table
	@$(BIN)/python -m pytest tests/apps --ignore tests/apps/test_applications.py --table $(PYTEST)

oracle: build ## play the .pkt scripts against Linux as well (root; minutes)
	@$(BIN)/python -m pytest tests/tcp --oracle -m oracle $(PYTEST)

$(VENV)/.docs: setup.cfg | venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,docs]"
	@touch $@

docs: venv $(VENV)/.docs ## write the documents as a site to build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: venv ## check the style of the Python files
	@$(BIN)/ruff check .

type: venv ## check the types of the Python files
	@$(BIN)/mypy

# libstdc++ comes first with libasan, since greenlet throws C++ exceptions, which ASan wants to see. Leaks are counted
# out: CPython keeps much until the end on purpose.
asan: venv ## run the engine's tests under AddressSanitizer and UBSan
	@$(BIN)/python -m greendpdk._build --asan
	@env GREENDPDK_SANITIZE=1 GREENDPDK_WITHOUT_DPDK=1 PYTHONPATH=build/asan PYTHONMALLOC=malloc \
	    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so.6)" \
	    $(BIN)/pytest $(SANITIZED) $(PYTEST)

# clang and its libFuzzer are for this alone: make test replays what was found with gcc.
fuzz: venv ## fuzz the engine with libFuzzer (FUZZ="tcp net --seconds 600"); what breaks is kept in tests/fuzz/corpus
	@.ci/packages $(PYTHON) clang libclang-rt-dev
	@$(BIN)/python tests/fuzz/fuzz.py $(FUZZ)

table: build ## write the throughput table of tests/sim anew
	@$(BIN)/python tests/sim/table.py

bench: build ## measure round trips and throughput
	@$(BIN)/python benchmarks/bench.py

wheel: venv ## make dist/*.whl, for Pythons without a compiler; DPDK stays the system's
	@.ci/dist $(BIN) --wheel

dist: venv ## make the sdist as well, and check both
	@.ci/dist $(BIN)

dist-test: dist ## install both, and a fresh clone, as root and as an ordinary user, and run them (minutes)
	@$(BIN)/python -m pytest tests/fresh --fresh $(PYTEST)

clean: ## remove what was built, and .venv
	@rm -rf build dist $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -f greendpdk/_native.c greendpdk/_native.*so
	@find . -name __pycache__ -prune -exec rm -rf {} +
