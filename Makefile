# Every target sets up what it needs: on a fresh clone `make demo` and `make test` are enough, and the second call is
# instant. An environment is brought up to date when pyproject.toml or constraints.txt change.

.PHONY: setup demo test test-long lint bench docs site coverage mutants wheel-check release-check

PYTHON := .venv/bin/python
READY := .venv/ready
READY_3_13 := .venv-3.13/ready
READY_OLDEST := .venv-trio-oldest/ready
OLDEST_TRIO = $(shell sed -n 's/^ *"trio>=\([0-9.]*\),.*/trio==\1.*/p' pyproject.toml)
INPUTS := pyproject.toml constraints.txt .ci/setup

setup: $(READY)

demo: $(READY)
	$(PYTHON) -m detrun_scenarios.key_value.demo

# 3.13 runs without torch, at the same time, and is shown afterwards. Where there is no working python3.13 this says so
# and is content with 3.11.
test: $(READY) $(READY_3_13)
	@if [ -x .venv-3.13/bin/python ]; then $(PYTHON) .ci/test_side_by_side.py $(PYTHON) .venv-3.13/bin/python; \
	else $(PYTHON) .ci/test_side_by_side.py $(PYTHON) && \
	echo "make test: no working python3.13 on this machine; ran on one Python only" && \
	echo "(rm -r .venv-3.13 to look for one again)"; fi

# Everything, with many more examples, and the scheduler and trio's own tests on the oldest trio we allow as well.
test-long: $(READY) $(READY_OLDEST)
	HYPOTHESIS_PROFILE=long $(PYTHON) -m pytest -m "slow or not slow" --timeout 1800
	.venv-trio-oldest/bin/python -m pytest tests/scheduler tests/external

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: $(READY)
	$(PYTHON) -m benchmarks

docs: $(READY)
	$(PYTHON) -m pytest docs

# The documentation site, into build/site; a warning, such as a dangling link, is an error.
site: $(READY)
	$(PYTHON) docs/site/build.py

# Under coverage three tests fail: two say that sys.gettrace() is None outside a run, where it is coverage's tracer; one
# says that nothing has imported greenlet, which coverage imports.
UNTRACED := not test_nothing_is_left_of_preemption_after_a_run and not test_a_failed_run_leaves_nothing_either \
	and not test_a_project_that_has_no_marked_test_imports_nothing

coverage: $(READY)
	$(PYTHON) -m coverage erase
	$(PYTHON) -m coverage run -m pytest --timeout 600 -k '$(UNTRACED)'
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage report

# Twenty mutants of each core module: how many its tests notice, and the lines of those that survive. About an hour.
mutants: $(READY)
	$(PYTHON) -m tests.mutation

# What is built from this tree, tried out in an empty environment; release-check also compares version, changelog and tag.
wheel-check: $(READY)
	$(PYTHON) .ci/check_wheel.py

release-check: $(READY)
	$(PYTHON) .ci/check_version.py
	$(PYTHON) .ci/check_wheel.py

$(READY): $(INPUTS)
	@.ci/setup .venv 3.11+ || { status=$$?; [ $$status -ne 3 ] || echo "setup: detrun needs Python 3.11 or newer with venv; none works here" >&2; exit $$status; }
	@touch $@

$(READY_3_13): $(INPUTS)
	@.ci/setup .venv-3.13 3.13 || [ $$? -eq 3 ]
	@mkdir -p $(@D) && touch $@

$(READY_OLDEST): $(INPUTS)
	@.ci/setup .venv-trio-oldest 3.11+ '$(OLDEST_TRIO)'
	@touch $@
