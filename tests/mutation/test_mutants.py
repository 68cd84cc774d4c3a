"""The mutants themselves: each compiles and differs, and a sample is a function of module and seed."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.mutation.__main__ import ROOT, sample
from tests.mutation.modules import EQUIVALENT, MODULES
from tests.mutation.mutants import candidates_of, mutants_of

SOURCE = '''
"""A module with ümlauts before the code."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from x import y


def clamp(value: int, low: int = 0, *, strict: bool = False) -> int | None:
    """Text with 1 < 2 in it."""
    assert low < 10
    ü = "ü"; total = value + low
    if value < low and not strict:
        raise ValueError(ü)
    self.total = total
    notify(ü)
    return total
'''


def test_each_mutant_is_another_program_that_compiles() -> None:
    mutants = mutants_of(SOURCE)
    described = [one.described(SOURCE) for one in mutants]
    for wanted in (
        "value < low  →  (value <= low)",
        "value < low  →  (value >= low)",
        "value < low and not strict  →  ((value < low) or (not strict))",
        "value < low and not strict  →  (not (value < low and (not strict)))",
        "not strict  →  (strict)",
        "value + low  →  ((value) - (low))",
        "raise ValueError(ü)  →  pass",
        "self.total = total  →  pass",
        "notify(ü)  →  pass",
        "return total  →  return None",
        "False  →  True",
        "0  →  1",
    ):
        assert wanted in described
    assert "if value < low and not strict:  |  value < low  →  (value <= low)" in {
        one.in_its_line(SOURCE) for one in mutants
    }
    assert len(described) == 12  # nothing of the docstring, the assertion, the annotations and the imports
    for one in mutants:
        assert ast.dump(ast.parse(one.applied(SOURCE))) != ast.dump(ast.parse(SOURCE))


def test_a_sample_is_a_function_of_the_module_and_the_seed() -> None:
    source = Path(ROOT, "detrun/checkers/ddmin.py").read_text()
    assert sample(source, "m", 5, 1) == sample(source, "m", 5, 1) != sample(source, "m", 5, 2)
    assert len(sample(source, "m", 10**6, 1)) == len(mutants_of(source))


def test_modules_and_tests_that_are_named_exist_and_equivalent_mutants_are_still_there() -> None:
    for module, tests in MODULES.items():
        assert Path(ROOT, module).is_file()
        for one in tests:
            file, _, function = one.partition("::")
            assert f"def {function}" in Path(ROOT, file).read_text(), module
    for module, equivalent in EQUIVALENT.items():
        source = Path(ROOT, module).read_text()
        candidates = candidates_of(source)
        there = {one.described(source) for one in candidates} | {one.in_its_line(source) for one in candidates}
        assert set(equivalent) <= there, module
