"""Functions of a program by their lines: what an explanation names, and what the places of a bug are held against."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class _Function(NamedTuple):
    """Where a function stands in its file.

    Attributes:
        begins: the line of its first statement.
        once_until: for lines up to this one, a call has run ``begins`` once when it comes to them.
    """

    name: str
    first: int
    last: int
    begins: int
    once_until: int


def function_at(file: str, line: int) -> str:
    """``Class.method`` or ``function``: the innermost function around a line; empty if there is none."""
    found = _around(file, line)
    return "" if found is None else found.name


def first_line_at(file: str, line: int) -> int:
    """The line with which a call of the innermost function around a line begins; 0 if it may run again before the line.

    A loop comes back to its head, and a `with` to its own when it is left.
    """
    found = _around(file, line)
    return 0 if found is None or line > found.once_until else found.begins


def _around(file: str, line: int) -> _Function | None:
    found = None
    for one in _functions(file):
        if one.first <= line <= one.last:
            found = one  # inner ones come after those around them
    return found


def tree_of(file: str) -> ast.Module | None:
    """What a file says; None if it cannot be read as Python."""
    try:
        return ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _functions(file: str) -> list[_Function]:
    tree = tree_of(file)
    found: list[_Function] = []
    if tree is not None:
        _collect(tree, "", found)
    return found


def _collect(node: ast.AST, around: str, found: list[_Function]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{around}.{child.name}" if around else child.name
            if not isinstance(child, ast.ClassDef):
                found.append(_Function(name, child.lineno, child.end_lineno or child.lineno, *_beginning(child)))
            _collect(child, name, found)
        else:
            _collect(child, around, found)


def _beginning(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, int]:
    """See the last two attributes of `_Function`."""
    is_documented = ast.get_docstring(function, clean=False) is not None and len(function.body) > 1
    first = function.body[1 if is_documented else 0]
    if isinstance(first, ast.For | ast.AsyncFor | ast.While):
        return first.lineno, 0
    around = first if isinstance(first, ast.With | ast.AsyncWith) else function
    return first.lineno, around.end_lineno or first.lineno
