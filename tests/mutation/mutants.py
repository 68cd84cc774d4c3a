"""Mutants of a Python module: small changes, each of which a test should notice.

The changes are those that find holes in tests of decisions: a comparison becomes its neighbour or its negation, ``and``
becomes ``or``, a condition is negated, a number moves by one, arithmetic changes its sign, ``True`` becomes ``False``,
a statement is dropped, a returned value becomes None. Strings, annotations, assertions and type-checking blocks are
left alone: nothing depends on them, or nothing should.

Source: DeMillo, Lipton and Sayward, "Hints on test data selection" (1978), and the operators of Offutt et al., TOSEM
1996, that were found to be sufficient.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A piece of a source and what it becomes.

    Attributes:
        line: where the piece begins, from 1.
        start: offset of the piece in characters of the source.
        end: offset after it.
        becomes: the piece's replacement.
    """

    line: int
    start: int
    end: int
    becomes: str

    def applied(self, source: str) -> str:
        """The source with this change."""
        return source[: self.start] + self.becomes + source[self.end :]

    def described(self, source: str) -> str:
        """``x < y  →  x <= y``, on one line."""
        before = " ".join(source[self.start : self.end].split())
        return f"{before[:60]}  →  {' '.join(self.becomes.split())[:60]}"

    def in_its_line(self, source: str) -> str:
        """The same with the line of code before it: ``if x < y:  |  x < y  →  x <= y``."""
        return f"{source.splitlines()[self.line - 1].strip()}  |  {self.described(source)}"


def mutants_of(source: str) -> list[Mutant]:
    """All mutants of a module that still compile, in the order of the source."""
    return [one for one in candidates_of(source) if _compiles(one.applied(source))]


def candidates_of(source: str) -> list[Mutant]:
    """All mutants, also those that do not compile, which takes most of the time to find out."""
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines(keepends=True)

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = set()
    for node, becomes in _changes(tree):
        start = offset(node.lineno, node.col_offset)
        end = offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        found.add(Mutant(node.lineno, start, end, becomes))
    return sorted(found, key=lambda one: (one.start, one.end, one.becomes))


def _compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    for child in _mutable_children(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.expr):
            yield from ((child, becomes) for becomes in _of_expression(child))
        elif isinstance(child, ast.stmt):
            yield from _of_statement(child)
        yield from _changes(child)


def _mutable_children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "keywords") and not isinstance(
            node, ast.Call
        ):
            continue
        if isinstance(node, ast.ImportFrom | ast.Import | ast.Assert | ast.JoinedStr):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: an assertion
            continue
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST))


def _of_expression(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        for operator in COMPARISONS[type(node.ops[0])]:
            yield f"({left} {operator} {right})"
    elif isinstance(node, ast.BoolOp):
        other = " or " if isinstance(node.op, ast.And) else " and "
        yield "(" + other.join(f"({ast.unparse(one)})" for one in node.values) + ")"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _holds_text(node):
        yield f"(({ast.unparse(node.left)}) {ARITHMETIC[type(node.op)]} ({ast.unparse(node.right)}))"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.orelse)} if {ast.unparse(node.test)} else {ast.unparse(node.body)})"


def _of_statement(node: ast.stmt) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    if isinstance(node, ast.If | ast.While):
        yield node.test, f"(not ({ast.unparse(node.test)}))"
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield node, "return None"
    elif _can_be_dropped(node):
        yield node, "pass"


def _can_be_dropped(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
    if isinstance(node, ast.Assign):  # of a local name the next line would fail
        return isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    return isinstance(node, ast.AugAssign | ast.Delete | ast.Raise | ast.Break | ast.Continue)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _holds_text(node: ast.expr) -> bool:
    return any(
        isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Constant) and isinstance(one.value, str | bytes))
        for one in ast.walk(node)
    )
