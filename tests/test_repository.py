"""What is written down twice about working on detrun agrees: make targets, hooks, CI."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def recipe(target: str) -> list[str]:
    """The commands of a make target."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found, target
    return [line.strip() for line in found[1].splitlines()]


def test_the_commit_hooks_run_what_make_lint_runs() -> None:
    hooks = re.findall(r"^ +entry: (.+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert hooks == recipe("lint")


def test_public_ci_calls_the_targets_of_ci_run() -> None:
    workflow = re.findall(r"- run: (make .+)$", (ROOT / ".github/workflows/ci.yml").read_text(), re.MULTILINE)
    assert workflow == ["make setup", *re.findall(r"^make .+$", (ROOT / ".ci/run").read_text(), re.MULTILINE)]
