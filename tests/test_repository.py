"""What is written down twice about working on detrun agrees: make targets, hooks, CI, the numbers of a release."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.one_python import SAME_ON_EVERY_PYTHON, is_in_part

ROOT = Path(__file__).resolve().parents[1]
INSIDE_ADDRESSES = ("/determinism.md",)  # they follow `DOCUMENTATION`


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


@pytest.fixture(scope="module")
def complaints() -> Callable[[str, str, list[str], list[str]], list[str]]:
    specification = importlib.util.spec_from_file_location("check_version", ROOT / ".ci/check_version.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.complaints


RELEASED = "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-12-01)\n\n- New.\n\n## 0.1.0 (2026-11-01)\n\n- First.\n"
UNDATED = RELEASED.replace(" (2026-12-01)", "")
UNFINISHED = RELEASED.replace("Unreleased\n", "Unreleased\n\n- More.")


def test_a_release_with_one_number_passes(complaints) -> None:
    assert complaints("0.2.0", RELEASED, ["v0.2.0"], []) == []
    assert complaints("0.2.0", RELEASED.replace("## Unreleased\n\n", ""), ["nightly", "v0.2.0"], []) == []


@pytest.mark.parametrize(
    ("version", "changelog", "tags", "changed", "complaint"),
    [
        ("0.2.1", RELEASED, ["v0.2.1"], [], "the newest section of CHANGELOG.md is: 0.2.0 (2026-12-01)"),
        ("0.1.0", RELEASED, ["v0.1.0"], [], "the newest section of CHANGELOG.md is: 0.2.0 (2026-12-01)"),
        ("0.2.0", UNDATED, ["v0.2.0"], [], "the newest section of CHANGELOG.md is: 0.2.0"),
        ("0.2.0", "# Changelog\n", ["v0.2.0"], [], "the newest section of CHANGELOG.md is: none"),
        ("0.2.0", UNFINISHED, ["v0.2.0"], [], "notes under Unreleased"),
        ("0.2.0", RELEASED, ["v0.1.0"], [], "no tag v0.2.0, its tags are: v0.1.0"),
        ("0.2.0", RELEASED, [], [], "no tag v0.2.0, its tags are: none"),
        ("0.2.0", RELEASED, ["v0.2.0"], ["README.md"], "differ from the commit: README.md"),
    ],
)
def test_a_release_with_two_numbers_is_refused(complaints, version, changelog, tags, changed, complaint) -> None:
    found = complaints(version, changelog, tags, changed)
    assert len(found) == 1
    assert complaint in found[0]


def test_no_message_points_to_a_file_that_is_not_installed() -> None:
    packages = ("detrun", "detrun_pytest", "recorder", "scheduler")
    pointing = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
        for tree in [ast.parse(path.read_text())]
        for docstrings in [docstrings_of(tree)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
        if re.search(r"(?<!/)\bdocs/\w|\.md\b", node.value) and "https://" not in node.value
        if node.value not in INSIDE_ADDRESSES
    ]
    assert pointing == []


def docstrings_of(tree: ast.Module) -> list[ast.expr]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    ]


# How two Pythons divide the tests.


def test_the_parts_of_the_tests_are_all_of_them_and_none_twice() -> None:
    files = [f"{place}/test_{number}.py" for place in SAME_ON_EVERY_PYTHON for number in range(10)]
    for parts in (1, 2, 3):
        shares = [[file for file in files if is_in_part(file, "", f"{part + 1}/{parts}")] for part in range(parts)]
        assert sorted(file for share in shares for file in share) == sorted(files)
        assert min(map(len, shares)) > len(files) / parts / 2


@pytest.mark.parametrize(
    "text",
    ["import torch\n", "    import torch", "\nfrom torch import nn\n", ">>> import torch", 'importorskip("torch")'],
)
def test_what_imports_torch_is_of_the_first_part(text: str) -> None:
    files = [f"{place}/test_{number}.py" for place in SAME_ON_EVERY_PYTHON for number in range(10)]
    assert [file for file in files if is_in_part(file, text, "2/2")] == []
    assert [file for file in files if not is_in_part(file, text, "1/2")] == []


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b", ""])
def test_a_part_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(ValueError, match="no part of a whole"):
        is_in_part("tests/test_repository.py", "", share)


def test_what_is_said_to_be_the_same_on_every_python_is_there() -> None:
    assert [place for place in SAME_ON_EVERY_PYTHON if not (ROOT / place).exists()] == []
