"""Imports go one way, and what is private to trio stays in one file.

Each rule is a function from source text to complaints, so that it can be shown a file that breaks it: a rule that
finds nothing because it reads nothing would look the same as a clean tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCHEDULER = ROOT / "scheduler" / "detrun_scheduler"
RECORDER = ROOT / "recorder" / "detrun_recorder"
DETRUN = ROOT / "detrun"
TRIO_HOST = SCHEDULER / "trio_host"
TORCH_BRIDGE = DETRUN / "ad" / "torch_bridge.py"

IMPORTING_CALLS = ("importlib.import_module", "import_module", "__import__")
TRIO_PRIVATE = re.compile(r"\btrio\._(?!_)\w+|\bfrom trio import (?:.*, )?_(?!_)\w+|\bGLOBAL_RUN_CONTEXT\b")


def imported_names(source: str, package: str) -> Iterator[str]:
    """Every dotted name that ``source``, a module of ``package``, imports anywhere: on top, in a function, for types.

    ``from a import b`` yields both ``a`` and ``a.b``, since ``b`` may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                origin = ".".join([*kept, origin] if origin else kept)
            yield origin
            for alias in node.names:
                yield f"{origin}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPORTING_CALLS:
            yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def forbidden_imports(source: str, package: str, forbidden: tuple[str, ...]) -> list[str]:
    """The imports of ``source`` that are, or lie in, one of the ``forbidden`` packages."""
    return sorted(
        {
            name
            for name in imported_names(source, package)
            for prefix in forbidden
            if name == prefix or name.startswith(prefix + ".")
        }
    )


def trio_private_uses(source: str) -> list[str]:
    """The places where code names something private to trio; comments and texts that mention it do not count."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    names = "\n".join(imported_names(source, ""))  # an import by a call has its name in a text
    return TRIO_PRIVATE.findall(f"{ast.unparse(tree)}\n{names}")


def modules(*directories: Path) -> list[tuple[Path, str]]:
    """Every Python file under ``directories`` with the dotted name of the package that it is in."""
    found = []
    for directory in directories:
        for path in sorted(directory.rglob("*.py")):
            inside = path.parent.relative_to(directory.parent)
            found.append((path, ".".join(inside.parts)))
    return found


def complaints(directories: tuple[Path, ...], forbidden: tuple[str, ...], excepted: Path | None = None) -> list[str]:
    """One line for each file under ``directories`` that imports something ``forbidden``."""
    return [
        f"{path.relative_to(ROOT)} imports {', '.join(names)}"
        for path, package in modules(*directories)
        if path != excepted and (names := forbidden_imports(path.read_text(), package, forbidden))
    ]


def test_every_package_has_modules_to_look_at():
    for directory in (SCHEDULER, RECORDER, DETRUN):
        assert modules(directory), directory
        assert (directory / "py.typed").exists()


def test_the_scheduler_imports_neither_sibling():
    assert complaints((SCHEDULER,), ("detrun", "detrun_recorder")) == []


def test_the_recorder_imports_only_the_scheduler():
    assert complaints((RECORDER,), ("detrun",)) == []


def test_the_differentiation_core_imports_neither_trio_nor_the_world():
    assert complaints((DETRUN / "ad",), ("trio", "detrun.world")) == []


def test_only_the_torch_bridge_imports_torch():
    assert complaints((SCHEDULER, RECORDER, DETRUN), ("torch",), excepted=TORCH_BRIDGE) == []


def test_no_package_imports_the_scenarios():
    assert complaints((SCHEDULER, RECORDER, DETRUN), ("scenarios", "benchmarks", "tests")) == []


def test_only_the_trio_host_names_what_is_private_to_trio():
    # Tests may look at what they test; nothing that runs without them may.
    elsewhere = modules(SCHEDULER, RECORDER, DETRUN, ROOT / "scenarios", ROOT / "benchmarks")
    found = {
        str(path.relative_to(ROOT)): uses
        for path, _ in elsewhere
        if TRIO_HOST not in path.parents and (uses := trio_private_uses(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import detrun",
        "import detrun.runs as runs",
        "from detrun.runs import record",
        "def later():\n    from detrun import runs",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import detrun",
        "import importlib\nimportlib.import_module('detrun.runs')",
    ],
)
def test_an_upward_import_is_found_wherever_it_hides(source: str):
    assert forbidden_imports(source, "detrun_recorder", ("detrun",))


def test_a_package_whose_name_only_begins_alike_is_allowed():
    assert forbidden_imports("import detrun_scheduler.loop", "detrun_recorder", ("detrun",)) == []


@pytest.mark.parametrize(
    "source", ["from ..world import node", "from .. import world", "from ..world.node import Node"]
)
def test_a_relative_import_is_resolved_before_it_is_judged(source: str):
    assert forbidden_imports(source, "detrun.ad", ("detrun.world",))
    assert forbidden_imports(source, "detrun.ad.deeper", ("detrun.world",)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import trio._core._run",
        "from trio._core import _run",
        "from trio import _core",
        "from trio import Event, _core",
        "import trio\nrunner = trio._core._run.GLOBAL_RUN_CONTEXT.runner",
        "import importlib\nrun = importlib.import_module('trio._core._run')",
    ],
)
def test_a_private_name_of_trio_is_found_in_code(source: str):
    assert trio_private_uses(source)


@pytest.mark.parametrize(
    "source",
    [
        "# as trio._core does\nimport trio",
        '"""Unlike trio._core._run."""',
        "import trio\ntrio.lowlevel.checkpoint",
        "import trio\nprint(trio.__version__)",
        "modules = {'trio._core._run': 1}",
    ],
)
def test_comments_texts_and_dunders_are_no_use_of_what_is_private_to_trio(source: str):
    assert trio_private_uses(source) == []
