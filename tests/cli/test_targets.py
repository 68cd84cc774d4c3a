"""Targets: finding and importing the function that a text names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from detrun.errors import UsageError
from detrun.execution.targets import load_target

PROGRAM = "async def main():\n    return __name__\n"


def test_a_file_and_its_module_are_the_same_function(directory):
    by_file = load_target("programs.py:race")
    assert load_target("programs:race").function is by_file.function
    assert load_target(f"{directory}/programs.py:race").function is by_file.function
    assert by_file.name == "race"
    assert by_file.text == "programs.py:race"


def test_a_file_in_a_package_may_import_its_neighbours(directory):
    inner = Path("outer_package/inner")
    inner.mkdir(parents=True)
    Path("outer_package/__init__.py").touch()
    Path("outer_package/shared_part.py").write_text("NUMBER = 7\n")
    (inner / "__init__.py").touch()
    (inner / "program.py").write_text("from ..shared_part import NUMBER\n\n\nasync def main():\n    return NUMBER\n")
    target = load_target("outer_package/inner/program.py:main")
    assert target.module.__name__ == "outer_package.inner.program"
    assert target.module.NUMBER == 7
    assert load_target("outer_package.inner.program:main").function is target.function


def test_a_file_may_import_the_files_beside_it_from_anywhere(directory, monkeypatch):
    Path("sub").mkdir()
    Path("sub/part_beside.py").write_text("NUMBER = 8\n")
    Path("sub/program_with_part.py").write_text("from part_beside import NUMBER\n\n\n" + PROGRAM)
    assert load_target("sub/program_with_part.py:main").module.NUMBER == 8


def test_two_files_of_one_name_are_two_modules(directory):
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "same_name.py").write_text(f"WHERE = {name!r}\n{PROGRAM}")
    assert load_target("one/same_name.py:main").module.WHERE == "one"
    assert load_target("two/same_name.py:main").module.WHERE == "two"
    assert load_target("one/same_name.py:main").module.WHERE == "one"


def test_a_file_named_like_a_loaded_module_does_not_replace_it(directory):
    import queue

    Path("queue.py").write_text(PROGRAM)
    assert load_target("queue.py:main").module.__file__ == str(directory / "queue.py")
    assert sys.modules["queue"] is queue


def test_a_name_that_is_no_identifier_will_do(directory):
    Path("my-program.py").write_text(PROGRAM)
    assert load_target("my-program.py:main").name == "main"


def test_a_method_without_self_is_a_target(directory):
    Path("in_a_class.py").write_text("class Programs:\n    @staticmethod\n    async def main():\n        pass\n")
    assert load_target("in_a_class.py:Programs.main").name == "Programs.main"


def test_a_failed_import_leaves_nothing_behind_and_can_be_repaired(directory):
    Path("half_done.py").write_text("import missing_of_course\n")
    with pytest.raises(UsageError, match="missing_of_course"):
        load_target("half_done.py:main")
    assert "half_done" not in sys.modules
    Path("half_done.py").write_text(PROGRAM)
    assert load_target("half_done.py:main").name == "main"


def test_a_missing_import_of_a_module_is_not_taken_for_the_module(directory):
    Path("imports_more.py").write_text("import missing_of_course\n")
    with pytest.raises(UsageError, match=r"cannot import imports_more: ModuleNotFoundError.*imports_more.py:1"):
        load_target("imports_more:main")


def test_the_file_that_is_running_is_not_imported_a_second_time(directory):
    Path("script_itself.py").write_text(
        "from detrun.execution.targets import load_target\n\n\nasync def main():\n    pass\n\n\n"
        "if __name__ == '__main__':\n    assert load_target('script_itself.py:main').function is main\n"
    )
    import os

    path = os.pathsep.join(entry for entry in sys.path if entry)
    subprocess.run([sys.executable, "script_itself.py"], env={**os.environ, "PYTHONPATH": path}, check=True)
