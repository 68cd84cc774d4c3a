"""Functions of a program by their lines: what an explanation names, and what the places of a bug are held against."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path


def function_at(file: str, line: int) -> str:
    """``Class.method`` or ``function``: the innermost function around a line; empty if there is none."""
    found = ""
    for name, first, last in _functions(file):
        if first <= line <= last:
            found = name  # inner ones come after those around them
    return found


def tree_of(file: str) -> ast.Module | None:
    """What a file says; None if it cannot be read as Python."""
    try:
        return ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _functions(file: str) -> list[tuple[str, int, int]]:
    tree = tree_of(file)
    found: list[tuple[str, int, int]] = []
    if tree is not None:
        _collect(tree, "", found)
    return found


def _collect(node: ast.AST, around: str, found: list[tuple[str, int, int]]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{around}.{child.name}" if around else child.name
            if not isinstance(child, ast.ClassDef):
                found.append((name, child.lineno, child.end_lineno or child.lineno))
            _collect(child, name, found)
        else:
            _collect(child, around, found)
