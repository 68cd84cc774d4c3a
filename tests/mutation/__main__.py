"""``python -m tests.mutation``: a sample of mutants of each core module against the tests of that module.

Each mutant is written into a copy of the tree, so that an interrupted run leaves the checkout as it was. The tests of
the module (`modules.py`) run up to the first that fails, in a process forked from this one, which has imported the
libraries but nothing of the tree; a mutant that makes them take more than five times as long as they take without it
counts as noticed. What survives is printed with its place, for a test to be written, or because it changes nothing that
anything could notice: such *equivalent* mutants are listed in `modules.py` with the reason, and are left out of the
sample.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path

# Imported once for all mutants; pytest and hypothesis take longer than most modules' tests.
import greenlet  # noqa: F401
import hypothesis  # noqa: F401
import msgpack  # noqa: F401
import pytest
import trio  # noqa: F401

from tests.mutation.modules import EQUIVALENT, MODULES
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
TREES = ("detrun", "detrun_pytest", "recorder", "scheduler", "scenarios", "tests")
SECONDS = itertools.count(1_000_000_000)  # times of written files, no two of which are the same
SLOWER = 5.0  # times as long as without a mutant, and ten seconds


def sample(source: str, module: str, count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of a module, the same for one seed and source; equivalent ones left out."""
    known = frozenset(EQUIVALENT.get(module, ()))
    candidates = [
        one for one in mutants_of(source) if known.isdisjoint((one.described(source), one.in_its_line(source)))
    ]
    draw = random.Random(f"{module} {seed}")
    return sorted(draw.sample(candidates, min(count, len(candidates))), key=lambda one: one.start)


def run_tests(tree: Path, tests: tuple[str, ...], seconds: float) -> bool:
    """Whether the tests pass, and do so in time."""
    child = os.fork()
    if child == 0:
        try:
            code = tested_here(tree, tests)
        except BaseException:
            code = 3
        os._exit(code)
    ends = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        if time.monotonic() > ends:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.01)


def tested_here(tree: Path, tests: tuple[str, ...]) -> int:
    """Run tests of the copied tree in this process, a fork that has imported nothing of it; pytest's exit code."""
    os.setpgid(0, 0)  # what the tests start ends with them
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.chdir(tree)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    found_in = [str(tree / part) for part in ("", "recorder", "scheduler", "scenarios")]
    sys.path[:] = [*found_in, *(one for one in sys.path if Path(one).resolve() != ROOT)]
    os.environ |= {"PYTHONPATH": ":".join(found_in), "HYPOTHESIS_PROFILE": "mutants"}
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))


def write(file: Path, text: str) -> None:
    """Write a module, with a time that it has not had: by that and its size Python knows which bytecode is stale."""
    file.write_text(text)
    written = next(SECONDS)
    os.utime(file, (written, written))


def copied_tree(target: Path) -> Path:
    """The sources and tests, and what pytest is told by pyproject.toml, in ``target``."""
    for name in TREES:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    for file in ROOT.iterdir():
        if file.is_file() and file.suffix in (".toml", ".md", ".py", ".txt"):
            shutil.copy(file, target / file.name)
    return target


def main() -> int:
    """Print the score of each module, and what survived."""
    options = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    options.add_argument("modules", nargs="*", help="paths of modules; all core modules by default")
    options.add_argument("-n", "--count", type=int, default=20, help="mutants of each module (20)")
    options.add_argument("--seed", type=int, default=0, help="of the sample (0)")
    given = options.parse_args()
    chosen = given.modules or list(MODULES)
    unknown = [name for name in chosen if name not in MODULES]
    if unknown:
        options.error(f"{unknown[0]} has no entry in tests/mutation/modules.py; there are {', '.join(MODULES)}")
    for plugin in entry_points(group="pytest11"):
        if plugin.name != "detrun":  # which is of the tree
            plugin.load()
    gc.freeze()  # the forks collect their own garbage only
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="detrun-mutants-") as directory:
        tree = copied_tree(Path(directory))
        for module in chosen:
            survivors += check_module(tree, module, given.count, given.seed)
    return 1 if survivors else 0


def check_module(tree: Path, module: str, count: int, seed: int) -> int:
    """Print the score of one module; how many mutants survived."""
    file, tests = tree / module, MODULES[module]
    source = file.read_text()
    began = time.monotonic()
    if not run_tests(tree, tests, 600.0):
        print(f"{module}: the tests fail without any mutant: {' '.join(tests)}", flush=True)
        return 1
    limit = SLOWER * (time.monotonic() - began) + 10.0
    mutants = sample(source, module, count, seed)
    survived = []
    try:
        for mutant in mutants:
            write(file, mutant.applied(source))
            if run_tests(tree, tests, limit):
                survived.append(mutant)
                print(f"  {module}:{mutant.line}  {mutant.described(source)}", flush=True)
    finally:
        write(file, source)
    noticed = len(mutants) - len(survived)
    share = 100 * noticed / max(len(mutants), 1)
    print(f"{module}: {noticed} of {len(mutants)} noticed, {share:.0f} %", flush=True)
    return len(survived)


if __name__ == "__main__":
    sys.exit(main())
