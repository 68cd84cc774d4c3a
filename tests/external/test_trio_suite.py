"""trio's own test suite, as installed with trio, under detrun's run loop.

One pytest subprocess runs all modules, since starting pytest and importing trio's tests costs more than the tests. Its
results come back as JUnit XML and are checked module by module. `trio_under_detrun` is the subprocess's plugin;
`trio_exclusions` lists the tests that it leaves out, with reasons. Run this file as a script to print the table of
``docs/compatibility.md``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
from trio_exclusions import MODULES, exclusions  # noqa: E402

pytestmark = pytest.mark.external

# Modules that are younger than the oldest trio.
PRESENT = [module for module in MODULES if importlib.util.find_spec(f"trio.{module}")]
TIMEOUT_SECONDS = 80
PACKAGES = Path(trio.__file__).parent.parent  # the root directory, so that results are named by module


@dataclass
class ModuleResult:
    """The results of one module of trio's tests, by names of tests, parameters included."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@cache
def run_suite(strategy: str, seed: int = 0, only: str = "") -> dict[str, ModuleResult]:
    """The results of the suite by module, under a strategy of detrun or, for ``plain``, under trio's own loop."""
    modules = [only] if only else PRESENT
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, (HERE, ROOT, ROOT / "scheduler"))))
    environment.pop("PYTEST_ADDOPTS", None)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(PACKAGES), "-q", "-W", "error"]
        command += ["-p", "no:cacheprovider", "-p", "trio._tests.pytest_plugin", "-p", "trio_under_detrun"]
        # Native tracebacks: some of trio's tests fail near the recursion limit, where pytest cannot parse sources.
        command += ["--tb", "native", f"--junit-xml={report}", "-o", "junit_family=xunit1"]
        command += ["--trio-strategy", strategy, "--trio-seed", str(seed), "--pyargs"]
        command += [f"trio.{module}" for module in modules]
        finished = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert report.exists(), (
            f"pytest did not run trio's suite:\n{finished.stdout[-4000:]}\n{finished.stderr[-4000:]}"
        )
        cases = ElementTree.parse(report).getroot().iter("testcase")
        results = {module: ModuleResult() for module in modules}
        for case in cases:
            # The class name is the dotted path of the file below the root directory, then test classes if any.
            module = next(module for module in modules if f"{case.get('classname')}.".startswith(f"trio.{module}."))
            name, result = str(case.get("name")), results[module]
            if case.find("failure") is not None or case.find("error") is not None:
                result.failed.append(name)
            elif case.find("skipped") is not None:
                result.skipped.append(name)
            else:
                result.passed.append(name)
        return results


@pytest.mark.parametrize("module", PRESENT)
def test_trios_tests_pass_under_detrun_as_under_trio(module: str) -> None:
    """Every test that passes under trio's own loop passes under ours, less the exclusions.

    Trio's own loop is asked only where some test fails. A test that is skipped is so by a mark of its own, whatever the
    loop; the slow test below compares both loops whole.
    """
    ours = run_suite("fifo")[module]
    assert ours.passed or ours.skipped
    if ours.failed:
        plain = run_suite("plain", only=module)[module]
        assert [name for name in ours.failed if name not in plain.failed] == []


@pytest.mark.slow
@pytest.mark.parametrize("module", PRESENT)
def test_what_passes_under_trio_passes_under_detrun_and_what_is_skipped_is_the_same(module: str) -> None:
    ours, plain = run_suite("fifo")[module], run_suite("plain")[module]
    left_out = {name.partition("::")[2] for name in exclusions("fifo") if name.startswith(f"{module}::")}
    assert set(ours.passed) >= {name for name in plain.passed if name.partition("[")[0] not in left_out}
    assert set(ours.skipped) == set(plain.skipped)


def test_every_exclusion_names_a_test_that_exists() -> None:
    """An exclusion that matches nothing hides nothing, but it would stay in the documents for ever."""
    by_module = {module: importlib.import_module(f"trio.{module}") for module in PRESENT}
    for strategy in ("fifo", "random"):
        for name in exclusions(strategy):
            module, _, test = name.partition("::")
            # The oldest trio lacks some tests; the newest has them all.
            if module in by_module and test not in NEWER_TESTS:
                assert hasattr(by_module[module], test), name


# Tests of the exclusion list that trio 0.30 does not have.
NEWER_TESTS = {"test_as_safe_channel_multi_cancel", "test_asyncexitstack_nursery_misnest_cleanup"}


def test_the_harness_sees_a_failing_test() -> None:
    """Negative twin: without its exclusions the suite is not clean, so a failure would be seen."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, (HERE, ROOT, ROOT / "scheduler"))))
    program = (
        "import trio_exclusions, sys, pytest;"
        "trio_exclusions.exclusions = lambda strategy: {};"
        "sys.exit(pytest.main(['-c', '/dev/null', '-q', '-p', 'no:cacheprovider', '-p', 'trio._tests.pytest_plugin',"
        "'-p', 'trio_under_detrun', '--pyargs', 'trio._tests.test_scheduler_determinism']))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 1, finished.stdout
    assert "test_the_trio_scheduler_is_not_deterministic" in finished.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("strategy", ["fifo", "random", "pct"])
def test_trios_tests_pass_under_every_strategy_and_seed(strategy: str) -> None:
    """Unfair strategies leave out, in addition, the tests that assert fairness."""
    plain = run_suite("plain")
    for seed in range(4):
        for module, result in run_suite(strategy, seed).items():
            assert [name for name in result.failed if name not in plain[module].failed] == [], f"seed {seed}"


def table() -> str:
    """The table of ``docs/compatibility.md``, in Markdown."""
    plain, fifo, random = run_suite("plain"), run_suite("fifo"), run_suite("random")
    lines = ["| module | trio's loop | `fifo` | `random` |", "|---|---:|---:|---:|"]
    for module in PRESENT:
        counts = " | ".join(str(len(results[module].passed)) for results in (plain, fifo, random))
        lines.append(f"| `trio.{module}` | {counts} |")
    totals = [sum(len(result.passed) for result in results.values()) for results in (plain, fifo, random)]
    lines.append("| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
