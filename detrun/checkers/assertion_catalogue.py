"""Assertions that a program contains, read from its source, so that those never reached can be reported.

From the main function on, every function and class of the user's own that is named in the source is looked at: by a
global name, a variable of an enclosing function, or an attribute of a module. An assertion counts if it is called by a
name that means ours there and its own name is a string constant. What is reached otherwise only (functions passed as
arguments, found in tables, overridden by subclasses that are not named) is seen when it runs, and not before: then an
assertion that never happens is missed here, but none is made up.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

from detrun.checkers import assertions
from detrun_scheduler.user_code import is_user_file

FUNCTIONS_MAX = 2_000
_OURS: dict[Any, str] = {
    assertions.always: assertions.ALWAYS,
    assertions.sometimes: assertions.SOMETIMES,
    assertions.reachable: assertions.REACHABLE,
    assertions.unreachable: assertions.UNREACHABLE,
}
_NAME_POSITION = {assertions.ALWAYS: 1, assertions.SOMETIMES: 1, assertions.REACHABLE: 0, assertions.UNREACHABLE: 0}


def assertions_of(main: Callable[..., Any]) -> list[tuple[str, str]]:
    """``(kind, name)`` of the assertions of a program, in the order in which they are found."""
    found: dict[tuple[str, str], None] = {}
    todo: list[FunctionType] = list(_functions_of(main))
    seen = set(todo)
    for function in todo:  # which grows
        for node in _names_and_calls(function.__code__):
            if isinstance(node, ast.Call):
                kind = _kind_of(node.func, function)
                name = _name_in(node, kind) if kind is not None else None
                if kind is not None and name is not None:
                    found[kind, name] = None
            else:
                for one in _functions_of(_meant_by(node, function)):
                    if one not in seen and len(seen) < FUNCTIONS_MAX:
                        seen.add(one)
                        todo.append(one)
    return list(found)


def _functions_of(thing: Any) -> Iterator[FunctionType]:
    """The user's functions that ``thing`` stands for: itself, what it wraps, or the methods of a class."""
    while isinstance(thing, partial):
        thing = thing.func
    thing = inspect.unwrap(thing) if callable(thing) else thing
    thing = getattr(thing, "__func__", thing)
    if isinstance(thing, FunctionType):
        if is_user_file(thing.__code__.co_filename):
            yield thing
    elif isinstance(thing, type):
        for base in thing.__mro__:
            for member in vars(base).values():
                for one in (member.fget, member.fset) if isinstance(member, property) else (member,):
                    one = getattr(one, "__func__", one)
                    if isinstance(one, FunctionType) and is_user_file(one.__code__.co_filename):
                        yield one


# One campaign after another looks through the same functions, and to read one takes 0.2 ms.
@lru_cache(maxsize=200)
def _names_and_calls(code: CodeType) -> tuple[ast.Call | ast.Name | ast.Attribute, ...]:
    """What the source of a function calls and names."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError):
        return ()  # no source, or a lambda in the middle of an expression
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Name | ast.Attribute))


def _meant_by(node: ast.expr, function: FunctionType) -> Any:
    """What an expression of names and attributes of modules and classes stands for in ``function``; None if unknown."""
    if isinstance(node, ast.Name):
        code = function.__code__
        if node.id in code.co_varnames or node.id in code.co_cellvars:
            return None  # a local variable
        names = code.co_freevars
        if node.id in names and function.__closure__ is not None:
            try:
                return function.__closure__[names.index(node.id)].cell_contents
            except ValueError:
                return None  # the cell is empty
        return function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _meant_by(node.value, function)
        if isinstance(owner, ModuleType | type):
            return getattr(owner, node.attr, None)
    return None


def _kind_of(called: ast.expr, function: FunctionType) -> str | None:
    meant = _meant_by(called, function)
    return _OURS.get(meant) if isinstance(meant, FunctionType) else None


def _name_in(call: ast.Call, kind: str) -> str | None:
    position = _NAME_POSITION[kind]
    given = call.args[position] if len(call.args) > position else None
    for keyword in call.keywords:
        if keyword.arg == "name":
            given = keyword.value
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else None
