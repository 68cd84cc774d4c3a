"""Symbolic execution of a function's instructions: which of them access a place, and how to find its object again.

A trace callback does not see the interpreter's stack, so what an instruction touches is found out beforehand: the
instructions are run once over recipes in place of objects, each basic block from an unknown stack. An object that is a
local variable, a constant, a global, or reached from one through attributes and elements has a recipe; what comes out
of a call or an operator has none.

The same pass finds what is done to a whole container: its methods, ``len``, ``in``, iteration, truth. Those are kept
apart (`contents_of`), because CPython makes each of them at once and race detection has no use for them.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from detrun_scheduler.environment.addresses import address_of

Recipe: TypeAlias = tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Access:
    """One access that an instruction makes."""

    owner: Recipe  # how to find the object, None for the frame's globals
    name: Recipe  # how to find the attribute's name or the key
    kind: str  # "attribute", "element", "global" or "closure"; of contents "method", "whole", "iteration" or "member"
    is_write: bool
    argument: Recipe = None  # of a method, the first


CONTENT_KINDS = ("method", "whole", "iteration", "member")


Analysis: TypeAlias = tuple[dict[int, Access], dict[int, Access], dict[int, Recipe]]

RECENT_MAX = 4096

_cache: dict[CodeType, Analysis] = {}
# The hash of a code object is made of all its instructions, at 1 to 5 µs, and this is asked at every instruction. So
# those in use are found by address, which lasts while their code object is kept here.
_recent: dict[int, tuple[CodeType, Analysis]] = {}


def _analysis_of(code: CodeType) -> Analysis:
    known = _recent.get(address_of(code))
    if known is not None:
        return known[1]
    found = _cache.get(code)
    if found is None:
        found = _cache[code] = _analyse(code)
    if len(_recent) >= RECENT_MAX:
        _recent.clear()
    _recent[address_of(code)] = code, found
    return found


def accesses_of(code: CodeType) -> dict[int, Access]:
    """The accesses of a function, by the offset of the instruction that makes them."""
    return _analysis_of(code)[0]


def contents_of(code: CodeType) -> dict[int, Access]:
    """What a function does to whole containers, by the offset of the instruction that does it."""
    return _analysis_of(code)[1]


def callees_of(code: CodeType) -> dict[int, Recipe]:
    """What a function calls, by the offset of the instruction that does; None where that is not known."""
    return _analysis_of(code)[2]


def _analyse(code: CodeType) -> Analysis:
    """Run the instructions symbolically, each basic block from an unknown stack."""
    accesses: dict[int, Access] = {}
    contents: dict[int, Access] = {}
    callees: dict[int, Recipe] = {}
    stack: list[Recipe] = []
    before = ""
    for instruction in dis.get_instructions(code):
        # A loop comes back to its iterator with the stack that it began with.
        if instruction.is_jump_target and not (instruction.opname == "FOR_ITER" and before == "GET_ITER"):
            stack = []
        if instruction.opname in _CALLS:
            callees[instruction.offset] = _callee(stack, instruction)
        step = _STEPS.get(instruction.opname)
        if step is not None:
            access = step(stack, instruction)
            if access is not None:
                (contents if access.kind in CONTENT_KINDS else accesses)[instruction.offset] = access
        else:
            _unknown(stack, instruction)
        before = instruction.opname
    return accesses, contents, callees


def _pop(stack: list[Recipe]) -> Recipe:
    return stack.pop() if stack else None


def _push(recipe: Callable[[Any], Recipe]) -> Callable[[list[Recipe], dis.Instruction], None]:
    def step(stack: list[Recipe], instruction: dis.Instruction) -> None:
        stack.append(recipe(instruction.argval))

    return step


def _load_pair(stack: list[Recipe], instruction: dis.Instruction) -> None:
    stack.extend(("local", name) for name in instruction.argval)


def _store_load(stack: list[Recipe], instruction: dis.Instruction) -> None:
    _pop(stack)
    stack.append(("local", instruction.argval[1]))


def _load_global(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    name = instruction.argval
    # "NULL + name" leaves a null below (3.11, 3.12) or above (3.13) the function that is about to be called; only
    # data counts, so the place of what is called is left unknown.
    if instruction.arg is not None and instruction.arg & 1 and instruction.opname == "LOAD_GLOBAL":
        stack.extend((("called", name), None))
    else:
        stack.append(("global", name))
    return Access(None, ("constant", name), "global", False)


def _store_global(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    _pop(stack)
    return Access(None, ("constant", instruction.argval), "global", True)


def _load_deref(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    stack.append(("local", instruction.argval))  # f_locals has closure variables too
    return Access(None, ("constant", instruction.argval), "closure", False)


def _store_deref(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    _pop(stack)
    return Access(None, ("constant", instruction.argval), "closure", True)


_ATTRIBUTE_HAS_FLAG = sys.version_info >= (3, 12)  # the lowest bit of its argument: a method is about to be called


def _load_attribute(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    owner, name = _pop(stack), instruction.argval
    if instruction.opname == "LOAD_METHOD" or (
        _ATTRIBUTE_HAS_FLAG and instruction.arg is not None and instruction.arg & 1
    ):
        stack.extend((None if owner is None else ("method", owner, name), None))
    elif owner is None:
        stack.append(None)
    else:
        stack.append(("attribute", owner, name))
    return Access(owner, ("constant", name), "attribute", False)


def _store_attribute(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    owner = _pop(stack)
    if instruction.opname == "STORE_ATTR":
        _pop(stack)
    return Access(owner, ("constant", instruction.argval), "attribute", True)


def _load_element(stack: list[Recipe], _: dis.Instruction) -> Access:
    key = _pop(stack)
    owner = _pop(stack)
    stack.append(None if owner is None or key is None else ("element", owner, key))
    return Access(owner, key, "element", False)


def _store_element(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    key = _pop(stack)
    owner = _pop(stack)
    if instruction.opname == "STORE_SUBSCR":
        _pop(stack)
    return Access(owner, key, "element", True)


def _load_slice(stack: list[Recipe], _: dis.Instruction) -> Access:
    del stack[-2:]  # where it begins and ends
    owner = _pop(stack)
    stack.append(None)
    return Access(owner, None, "whole", False)


def _store_slice(stack: list[Recipe], _: dis.Instruction) -> Access:
    del stack[-2:]  # where it begins and ends
    owner = _pop(stack)
    _pop(stack)
    return Access(owner, None, "whole", True)


def _contains(stack: list[Recipe], _: dis.Instruction) -> Access:
    owner, member = _pop(stack), _pop(stack)
    stack.append(None)
    return Access(owner, member, "member", False)


def _begin_iteration(stack: list[Recipe], instruction: dis.Instruction) -> Access:
    owner = _pop(stack)
    if owner is not None and owner[0] == "view":
        owner = owner[1]
    stack.append(None if owner is None else ("iterator", owner))
    return Access(owner, None, "whole", False)


def _iterate(stack: list[Recipe], instruction: dis.Instruction) -> Access | None:
    iterator = stack[-1] if stack else None
    _unknown(stack, instruction)
    if iterator is None or iterator[0] != "iterator":
        return None
    return Access(iterator[1], None, "iteration", False)


def _test_truth(stack: list[Recipe], instruction: dis.Instruction) -> Access | None:
    owner = stack[-1] if stack else None
    _unknown(stack, instruction)
    return None if owner is None else Access(owner, None, "whole", False)


def _operate(stack: list[Recipe], instruction: dis.Instruction) -> Access | None:
    _pop(stack)
    owner = _pop(stack)
    in_place = instruction.argrepr.endswith("=")
    stack.append(owner if in_place else None)
    return None if owner is None else Access(owner, None, "whole", in_place)


def _call(stack: list[Recipe], instruction: dis.Instruction) -> Access | None:
    """A call of a method or of a global function, the first of two places below the arguments."""
    count = instruction.arg or 0
    arguments = [_pop(stack) for _ in range(count)][::-1]
    _pop(stack)
    called = _pop(stack)
    first = arguments[0] if arguments else None
    second = arguments[1] if count > 1 else None
    stack.append(None)
    match called:
        case ("called", ("setattr" | "delattr" | "getattr" | "hasattr") as name) if first and second:
            return Access(first, second, "attribute", name in ("setattr", "delattr"))
        case ("called", name) if first and name in WHOLE_READERS:
            return Access(first, None, "whole", False)
        case ("method", _, "__setattr__") if count == 3 and first and second:
            return Access(first, second, "attribute", True)
        case ("method", owner, name):
            if name in ("items", "keys", "values"):
                stack[-1] = ("view", owner)
            return Access(owner, ("constant", name), "method", False, first)
    return None


def _callee(stack: list[Recipe], instruction: dis.Instruction) -> Recipe:
    """What is about to be called. It and a null, in an order that depends on the version, are below the arguments."""
    argument = instruction.arg or 0
    match instruction.opname:
        case "CALL":
            above = argument
        case "CALL_KW":
            above = argument + 1
        case _:
            above = 1 + (argument & 1)
    below = stack[: len(stack) - above][-2:]
    recipe = next((one for one in reversed(below) if one is not None), None)
    match recipe:
        case ("called", name):
            return ("global", name)
        case ("method", owner, name):
            return ("attribute", owner, name)
    return recipe


def _call_with_keywords(stack: list[Recipe], instruction: dis.Instruction) -> Access | None:
    _pop(stack)  # the names of the keywords
    return _call(stack, instruction)


def _copy(stack: list[Recipe], instruction: dis.Instruction) -> None:
    depth = instruction.arg or 0
    stack.append(stack[-depth] if 0 < depth <= len(stack) else None)


def _swap(stack: list[Recipe], instruction: dis.Instruction) -> None:
    depth = instruction.arg or 0
    stack[:0] = [None] * (depth - len(stack))
    stack[-1], stack[-depth] = stack[-depth], stack[-1]


def _nothing(stack: list[Recipe], instruction: dis.Instruction) -> None:
    """The instruction leaves the stack as it is."""


def _pop_one(stack: list[Recipe], instruction: dis.Instruction) -> None:
    _pop(stack)


def _unknown(stack: list[Recipe], instruction: dis.Instruction) -> None:
    """An instruction whose results are not followed: what it pops goes, what it pushes is unknown."""
    try:
        effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
    except ValueError:
        stack.clear()
        return
    if effect < 0:
        del stack[max(0, len(stack) + effect) :]
    else:
        stack.extend([None] * effect)
    if instruction.opname in _STACK_IS_KEPT:
        return
    # What it left on top is its result.
    if stack:
        stack[-1] = None


# Built-in functions that read all of their first argument.
WHOLE_READERS = frozenset(
    (
        *("all", "any", "dict", "enumerate", "frozenset", "iter", "len", "list", "max", "min", "repr"),
        *("reversed", "set", "sorted", "str", "sum", "tuple"),
    )
)
_STACK_IS_KEPT = {"PRECALL", "KW_NAMES", "COPY_FREE_VARS", "MAKE_CELL", "PUSH_NULL"}

_CALLS = ("CALL", "CALL_KW", "CALL_FUNCTION_EX")
_TRUTH_TESTS = ["UNARY_NOT", "TO_BOOL"]
if "TO_BOOL" not in dis.opmap:  # before Python 3.13 jumps look themselves
    _TRUTH_TESTS += [one for one in dis.opmap if one.startswith(("POP_JUMP", "JUMP_IF")) and "NONE" not in one]

_local = _push(lambda name: ("local", name))
_STEPS: dict[str, Callable[[list[Recipe], dis.Instruction], Access | None]] = {
    **dict.fromkeys(("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_FAST_AND_CLEAR"), _local),
    "LOAD_CLOSURE": _local,
    **dict.fromkeys(("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"), _load_pair),
    "STORE_FAST_LOAD_FAST": _store_load,
    **dict.fromkeys(("STORE_FAST", "POP_TOP"), _pop_one),
    **dict.fromkeys(("LOAD_CONST", "LOAD_SMALL_INT"), _push(lambda value: ("constant", value))),
    **dict.fromkeys(("LOAD_GLOBAL", "LOAD_NAME"), _load_global),
    **dict.fromkeys(("STORE_GLOBAL", "STORE_NAME"), _store_global),
    "LOAD_DEREF": _load_deref,
    "STORE_DEREF": _store_deref,
    **dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD"), _load_attribute),
    **dict.fromkeys(("STORE_ATTR", "DELETE_ATTR"), _store_attribute),
    "BINARY_SUBSCR": _load_element,
    **dict.fromkeys(("STORE_SUBSCR", "DELETE_SUBSCR"), _store_element),
    "COPY": _copy,
    "SWAP": _swap,
    "BINARY_SLICE": _load_slice,
    "STORE_SLICE": _store_slice,
    "CONTAINS_OP": _contains,
    "GET_ITER": _begin_iteration,
    "FOR_ITER": _iterate,
    "BINARY_OP": _operate,
    "CALL": _call,
    "CALL_KW": _call_with_keywords,
    **dict.fromkeys(_TRUTH_TESTS, _test_truth),
    **dict.fromkeys(("RESUME", "NOP", "EXTENDED_ARG", "CACHE", "PRECALL"), _nothing),
}
