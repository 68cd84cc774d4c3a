"""Functions of a program by their lines: what an explanation names, and what the places of a bug are held against."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path


def function_at(file: str, line: int) -> str:
    """``Class.method`` or ``function``: the innermost function around a line; empty if there is none."""
    found = _around(file, line)
    return "" if found is None else found[0]


def first_line_at(file: str, line: int) -> int:
    """The line with which a call of the innermost function around a line begins; 0 if that is also run later in it.

    A loop comes back to its head. Of a function that has none the line is that of the first statement.
    """
    found = _around(file, line)
    return 0 if found is None else found[3]


def _around(file: str, line: int) -> tuple[str, int, int, int] | None:
    found = None
    for one in _functions(file):
        if one[1] <= line <= one[2]:
            found = one  # inner ones come after those around them
    return found


def tree_of(file: str) -> ast.Module | None:
    """What a file says; None if it cannot be read as Python."""
    try:
        return ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _functions(file: str) -> list[tuple[str, int, int, int]]:
    """Of each function its name, its first and last line, and see `first_line_at`."""
    tree = tree_of(file)
    found: list[tuple[str, int, int, int]] = []
    if tree is not None:
        _collect(tree, "", found)
    return found


def _collect(node: ast.AST, around: str, found: list[tuple[str, int, int, int]]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{around}.{child.name}" if around else child.name
            if not isinstance(child, ast.ClassDef):
                found.append((name, child.lineno, child.end_lineno or child.lineno, _begins(child)))
            _collect(child, name, found)
        else:
            _collect(child, around, found)


def _begins(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    is_documented = ast.get_docstring(function, clean=False) is not None and len(function.body) > 1
    first = function.body[1 if is_documented else 0]
    return 0 if isinstance(first, ast.For | ast.AsyncFor | ast.While) else first.lineno
