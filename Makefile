# Two commands matter: `make demo` and `make test`. Both set up everything they need in .venv.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin

# Every supported Python that the machine has takes part in the tests; pyenv keeps those that are not "global" off PATH.
PYENV_BINS := $(shell command -v pyenv >/dev/null 2>&1 && ls -d "$$(pyenv root)"/versions/3.*/bin 2>/dev/null | tr '\n' ':')

.PHONY: demo test quick-test one coverage soak fuzz mutation lint format types bench bench-quick bench-report docs man conformance package clean help

help:
	@echo "make demo        set up, then authenticate the example messages"
	@echo "make test        set up, then lint, types, and the tests on every supported Python that is here"
	@echo "make quick-test  set up, then the tests on one Python"
	@echo "make one TEST=\"tests/spf -k redirect\"   some tests, and what they print"
	@echo "make coverage    set up, then the tests with branch coverage, which fails below the gate in pyproject.toml"
	@echo "make soak        set up, then the property tests with other input each time, for an hour (SOAK_SECONDS=...)"
	@echo "make fuzz        set up, then coverage-guided fuzzing of every entry point, a million executions (FUZZ_RUNS=...)"
	@echo "make mutation    set up, then small changes to the source, which the tests must notice (MUTATION_SAMPLE=...)"
	@echo "make bench       set up, then measure every hot path beside its peers (a quarter of an hour); results: benchmarks/results"
	@echo "make bench-quick | bench-report   the same in two minutes, for errors only | docs/benchmarks.md from the results"
	@echo "make lint | format | types | docs | man | conformance | package | clean"

# A stamp for each set of extras, so that the demo needs nothing but the run-time dependencies.
$(VENV)/.base: pyproject.toml
	@test -n "$(PYTHON)" || { echo "mailauth needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# A peer that cannot be installed is a row that says so.
$(VENV)/.bench: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@# pydnsbl wants an older aiodns than there is for our pycares: it gets an environment of its own.
	@$(PYTHON) -m venv $(VENV)/pydnsbl
	@$(VENV)/pydnsbl/bin/pip install --quiet --disable-pip-version-check pydnsbl || echo "pydnsbl cannot be installed here"
	@touch $@

# atheris has wheels for a few platforms and versions of Python only.
$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(VENV)/.release: $(VENV)/.base
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine mypy basedpyright
	@touch $@

demo: $(VENV)/.base
	@PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh
	@echo "The command is $(BIN)/mailauth."

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# What `make lint` asks for, as far as it can be done without thinking.
format: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

types: $(VENV)/.dev
	@$(BIN)/mypy

test: lint types
	@PATH="$$PATH:$(PYENV_BINS)" $(BIN)/tox run --quiet

quick-test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4

TEST ?= tests/test_architecture.py
one: $(VENV)/.dev
	@$(BIN)/python -m pytest -n 0 $(TEST)

coverage: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --cov=mailauth --cov-branch --cov-report=term:skip-covered

SOAK_SECONDS ?= 3600
soak: $(VENV)/.dev
	@$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS)

FUZZ_RUNS ?= 1000000
FUZZ_KEEP ?= build/fuzz
fuzz: $(VENV)/.fuzz
	@$(BIN)/python -m tests.fuzz --runs $(FUZZ_RUNS) --keep $(FUZZ_KEEP)

# 0 takes all of them, which lasts some hours.
MUTATION_SAMPLE ?= 300
MUTATION_PACKAGES ?= spf dkim dkim.explanation dmarc greylist
mutation: $(VENV)/.dev
	@$(BIN)/python -m tests.mutation --sample $(MUTATION_SAMPLE) $(MUTATION_PACKAGES)

bench: $(VENV)/.bench
	@$(BIN)/python -m benchmarks

# Each contender a few times, to see that all work; its figures mean nothing and go to build/bench.
bench-quick: $(VENV)/.bench
	@$(BIN)/python -m benchmarks --quick

bench-report: $(VENV)/.bench
	@$(BIN)/python -m benchmarks --report
	@echo "docs/benchmarks.md and docs/scaling.md are rendered from benchmarks/results"

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python -m docs.tools.public_names site
	@echo "site/index.html is the documentation; to read it as it changes: $(BIN)/mkdocs serve"

# The manual page, from the parser of the command; a test says when it is out of date.
man: $(VENV)/.docs
	@COLUMNS=100 $(BIN)/argparse-manpage --module mailauth.cli --function whole_parser --prog mailauth \
		--project-name mailauth --version $$($(BIN)/python -c 'import mailauth; print(mailauth.__version__)') \
		--description 'mail authentication from the command line' --manual-title mailauth \
		--author 'The mailauth maintainers' --output docs/man/mailauth.1

# The pages of docs/conformance, from the statements in the files beside them; a test says when they are out of date.
conformance: $(VENV)/.dev
	@$(BIN)/python -m docs.tools.conformance

# What would be published: built, checked, and installed into an empty environment, where the command runs, and where two
# type checkers see the public API as a user does: from the wheel, without the source and its settings.
package: $(VENV)/.release
	@rm -rf dist build/package
	@$(BIN)/python -m build --outdir dist . > build.log 2>&1 || { cat build.log; exit 1; }
	@rm -f build.log
	@$(BIN)/twine check --strict dist/*
	@$(PYTHON) -m venv build/package
	@build/package/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	@PATH="$(abspath build/package/bin):$$PATH" sh examples/demo.sh > build/package/demo.log || { cat build/package/demo.log; exit 1; }
	@for file in tests/test_readme.py docs/index.md mkdocs.yml CONTRIBUTING.md SECURITY.md CHANGELOG.md; do \
		tar -tzf dist/mailauth-*.tar.gz | grep -q "/$$file$$" || { echo "$$file is not in the sdist" >&2; exit 1; }; done
	@unzip -l dist/mailauth-*.whl | grep -q 'mailauth/py.typed'
	@test -e build/package/share/man/man1/mailauth.1
	@mkdir -p build/typing && cp tests/typing/*.py build/typing/
	@cd build/typing && printf '[mypy]\nstrict = true\n' > mypy.ini && \
		$(abspath $(BIN))/mypy --python-executable ../package/bin/python --cache-dir ../mypy_cache .
	@cd build/typing && printf '{"typeCheckingMode": "standard", "venvPath": "..", "venv": "package"}' > pyrightconfig.json && \
		$(abspath $(BIN))/basedpyright

clean:
	rm -rf $(VENV) build dist site .tox .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
