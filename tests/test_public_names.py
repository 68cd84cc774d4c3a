"""`import detrun`: the names that it gives, and its cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import detrun
import detrun.world


def imported_for_type_checkers(package: ModuleType) -> dict[str, str]:
    tree = ast.parse(Path(str(package.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


@pytest.mark.parametrize("package", [detrun, detrun.world])
def test_lazy_names_are_those_that_type_checkers_see(package: ModuleType) -> None:
    assert imported_for_type_checkers(package) == package._LAZY


@pytest.mark.parametrize("package", [detrun, detrun.world])
def test_every_public_name_is_there_and_none_is_a_module(package: ModuleType) -> None:
    for name in package._LAZY:
        assert not isinstance(getattr(package, name), ModuleType), name
        assert name in dir(package)


def test_a_name_that_a_world_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"detrun\.world.*'Word'"):
        detrun.world.Word  # noqa: B018


def test_a_submodule_of_the_same_name_does_not_hide_the_function() -> None:
    code = (
        "import detrun.explore.explorer, detrun.effects.external, detrun\n"
        "from detrun import explore, external\n"
        "assert callable(explore) and detrun.explore is explore\n"
        "assert callable(external) and detrun.external is external\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sorted(sys.modules))"
    listing = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    return set(listing.stdout.split())


def test_the_import_leaves_out_what_few_programs_use() -> None:
    loaded, loaded_by_trio = modules_after("import detrun"), modules_after("import trio")
    assert loaded.isdisjoint({"torch", "numpy", "click", "rich", "networkx", "scipy", "importlib.metadata"})
    assert loaded.isdisjoint({"statistics", "fractions", "decimal", "shlex", "json", "sqlite3"} - loaded_by_trio)
    assert loaded.isdisjoint({"detrun.explore.explorer", "detrun.machines.machine", "detrun.gradients.local"})
    only_to_replay = {"replay", "divergence", "token"}
    assert loaded.isdisjoint(f"detrun_recorder.{name}" for name in only_to_replay)
    assert "detrun_scheduler.strategies.given" not in loaded
