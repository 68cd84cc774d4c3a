"""``python -m tests.mutation``: a sample of mutants of each core module against the tests of that module.

Each mutant is written into a copy of the tree, so that an interrupted run leaves the checkout as it was. The tests of
the module (`modules.py`) run in a fresh process, up to the first that fails; a mutant that makes them take more than
five times as long as they take without it counts as noticed. What survives is printed with its place, for a test to be
written, or because it changes nothing that anything could notice: such *equivalent* mutants are listed in `modules.py`
with the reason, and are left out of the sample.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.modules import EQUIVALENT, MODULES
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
TREES = ("detrun", "detrun_pytest", "recorder", "scheduler", "scenarios", "tests")
SLOWER = 5.0  # times as long as without a mutant, and ten seconds


def sample(source: str, module: str, count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of a module, the same for one seed and source; equivalent ones left out."""
    known = EQUIVALENT.get(module, ())
    candidates = [one for one in mutants_of(source) if one.described(source) not in known]
    draw = random.Random(f"{module} {seed}")
    return sorted(draw.sample(candidates, min(count, len(candidates))), key=lambda one: one.start)


def run_tests(tree: Path, tests: tuple[str, ...], seconds: float) -> bool:
    """Whether the tests pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    path = ":".join(str(tree / part) for part in ("", "recorder", "scheduler"))
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": path, "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


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
            file.write_text(mutant.applied(source))
            if run_tests(tree, tests, limit):
                survived.append(mutant)
                print(f"  {module}:{mutant.line}  {mutant.described(source)}", flush=True)
    finally:
        file.write_text(source)
    noticed = len(mutants) - len(survived)
    share = 100 * noticed / max(len(mutants), 1)
    print(f"{module}: {noticed} of {len(mutants)} noticed, {share:.0f} %", flush=True)
    return len(survived)


if __name__ == "__main__":
    sys.exit(main())
