"""Schedule points among the instructions of a function, for threads that are preempted at opcodes.

Preempting before an instruction that only touches the frame's own stack and local variables can change nothing: it
commutes with every step of every other thread, so the schedule in which the thread gives way one instruction later has
the same results. Leaving these out is a partial-order reduction (Godefroid, Partial-Order Methods, 1996, chapter 4):
nothing reachable is lost, and there are about a third as many steps. What is left is whatever can read or write an
object that another thread may have, or call something.

A global name counts only if it stands for data: functions, classes and modules are taken as constant.
"""

from __future__ import annotations

import dis
from collections.abc import Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

# Prefixes of names of instructions that touch nothing but the frame.
_LOCAL_PREFIXES = ("LOAD_FAST", "STORE_FAST", "DELETE_FAST", "JUMP", "POP_EXCEPT", "BUILD_", "RETURN_", "INSTRUMENTED")
_LOCAL = {
    *("CACHE", "COPY", "COPY_FREE_VARS", "END_FOR", "EXTENDED_ARG", "INTERPRETER_EXIT", "IS_OP", "KW_NAMES"),
    *("LIST_TO_TUPLE", "LOAD_ASSERTION_ERROR", "LOAD_BUILD_CLASS", "LOAD_CLOSURE", "LOAD_CONST", "LOAD_SMALL_INT"),
    *("LOAD_COMMON_CONSTANT", "MAKE_CELL", "MAKE_FUNCTION", "NOT_TAKEN"),
    *("NOP", "POP_JUMP_IF_NONE", "POP_JUMP_IF_NOT_NONE", "POP_JUMP_FORWARD_IF_NONE", "POP_JUMP_FORWARD_IF_NOT_NONE"),
    *("POP_JUMP_BACKWARD_IF_NONE", "POP_JUMP_BACKWARD_IF_NOT_NONE", "POP_TOP", "PRECALL", "PUSH_EXC_INFO", "PUSH_NULL"),
    *("RERAISE", "RESUME", "SET_FUNCTION_ATTRIBUTE", "SETUP_ANNOTATIONS", "SWAP", "CHECK_EXC_MATCH", "RAISE_VARARGS"),
}
# From Python 3.13 on the test for truth is an instruction of its own, and the jump on its result is local.
if "TO_BOOL" in dis.opmap:
    _LOCAL |= {"POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE", "UNARY_NOT"}

_CONSTANTS = (FunctionType, BuiltinFunctionType, type, ModuleType)


def schedule_points(code: CodeType, global_names: Mapping[str, Any]) -> bytes:
    """For each byte offset of ``code``, 1 if the instruction there is a schedule point, else 0."""
    points = bytearray(len(code.co_code))
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _LOCAL or name.startswith(_LOCAL_PREFIXES):
            continue
        if name in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = global_names.get(instruction.argval, print)  # what is missing there is a builtin
            if isinstance(value, _CONSTANTS):
                continue
        points[instruction.offset] = 1
    return bytes(points)
