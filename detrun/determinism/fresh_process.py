"""A run in a fresh Python process: nothing kept from earlier runs, other addresses, another hash seed.

The parent sends a request in msgpack through the child's standard input and reads the answer from a temporary file, so
that the program may print what it likes. The program travels as its name, ``path.py:function``, and its arguments as
plain values: no pickle, so that a request executes nothing but the program it names.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgpack

from detrun.determinism.tracing import Trace, traced
from detrun.execution.orphans import end_with_parent
from detrun.execution.program import Main, own_target
from detrun.execution.targets import load_target
from detrun.messages.extensions import TREE_TUPLE
from detrun_scheduler.errors import DetrunError, UsageError

ERROR_LINES_MAX = 15


class FreshProcessError(DetrunError):
    """The fresh process gave no answer: it crashed, ran out of time, or could not start the program."""


def importable_target(main: Main) -> str:
    """The text by which a fresh process finds ``main``.

    Raises:
        UsageError: it would not find it.
    """
    own = own_target(main)
    if own is not None:
        return own
    name = getattr(main, "__qualname__", None)
    module = sys.modules.get(getattr(main, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    found: Any = module
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if name is None or file is None or found is not main or isinstance(main, partial):
        shown = name or repr(main)
        raise UsageError(
            f"fresh_process: another process cannot find {shown}; move it to the top level of a file, "
            "give what it closes over as arguments, or check with fresh_process=False"
        )
    return f"{os.path.realpath(file)}:{name}"


def pack_arguments(args: Sequence[object]) -> bytes:
    """``args`` in msgpack.

    Raises:
        UsageError: one is not a plain value.
    """
    packed = b""
    for index, argument in enumerate(args):
        try:
            packed += _pack(argument)
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"fresh_process: argument {index} cannot be sent to another process ({error}); "
                "give plain values (text, numbers, bytes, lists, tuples, dicts) and build the rest inside the program"
            ) from error
    return packed


def unpack_arguments(packed: bytes) -> list[object]:
    """What `pack_arguments` packed."""
    unpacker = msgpack.Unpacker(ext_hook=_tuple_of, strict_map_key=False, max_buffer_size=0)
    unpacker.feed(packed)
    return list(unpacker)


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, default=_extension, strict_types=True)
    return packed


def _extension(value: object) -> object:
    if type(value) is tuple:
        return msgpack.ExtType(TREE_TUPLE, _pack(list(value)))
    raise TypeError(f"{type(value).__qualname__} is not a plain value")


def _tuple_of(code: int, data: bytes) -> object:
    if code != TREE_TUPLE:
        raise ValueError(f"extension type {code} is unknown")
    return tuple(msgpack.unpackb(data, ext_hook=_tuple_of, strict_map_key=False))


def traced_in_fresh_process(
    target: str,
    arguments: bytes,
    *,
    seed: int,
    strategy: str,
    max_steps: int | None,
    first_detail: int,
    hash_seed: int,
    timeout_seconds: float,
    surroundings: Mapping[str, Any],
) -> Trace:
    """`detrun.determinism.tracing.traced` in another process, under ``PYTHONHASHSEED=hash_seed``.

    Raises:
        FreshProcessError: the process crashed or did not answer in time.
        UsageError: the program cannot be loaded there.
    """
    request = {
        "target": target,
        "arguments": arguments,
        "seed": str(seed),  # msgpack has no whole number past 64 bits
        "strategy": strategy,
        "max_steps": max_steps,
        "first_detail": first_detail,
        "surroundings": dict(surroundings),
    }
    return Trace.unpack(asked(f"{__name__}:_trace", request, hash_seed, timeout_seconds))


def asked(question: str, request: dict[str, Any], hash_seed: int, timeout_seconds: float) -> Any:
    """What the function ``question`` ("module:name") gives for ``request`` in a fresh process; both plain values.

    Raises:
        FreshProcessError: the process crashed or did not answer in time.
        UsageError: the program cannot be loaded there.
    """
    target = request["target"]
    with tempfile.TemporaryDirectory(prefix="detrun-") as directory:
        answer_path = os.path.join(directory, "answer")
        request = {**request, "question": question, "answer": answer_path, "parent": os.getpid()}
        where = [os.path.abspath(entry) for entry in sys.path]
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.pathsep.join(where)}
        # -P: the working directory comes first on the child's path only where it does on ours.
        command = [sys.executable, "-P", "-c", f"from {__name__} import answer; answer()"]
        try:
            done = subprocess.run(
                command,
                input=msgpack.packb(request),
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FreshProcessError(
                f"{target} did not end within {timeout_seconds:g} s in a fresh process; "
                "give max_steps to bound its steps, or a longer timeout_seconds"
            ) from None
        try:
            with open(answer_path, "rb") as file:
                packed = msgpack.unpackb(file.read(), strict_map_key=False)
        except (OSError, ValueError):
            raise FreshProcessError(_crash(target, done)) from None
    if "error" in packed:
        kind = UsageError if packed["usage"] else FreshProcessError
        raise kind(f"in a fresh process, {packed['error']}")
    return packed["answer"]


def _crash(target: str, done: subprocess.CompletedProcess[bytes]) -> str:
    code = done.returncode
    if code < 0:
        try:
            ending = f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            ending = f"was killed by signal {-code}"
    else:
        ending = f"exited with code {code} before the program had ended"
    errors = done.stderr.decode("utf-8", "replace").strip().splitlines()[-ERROR_LINES_MAX:]
    said = "; the last it said:\n" + "\n".join(f"  {line}" for line in errors) if errors else ", and said nothing"
    return f"a fresh process running {target} {ending}{said}"


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, _, name = request["question"].partition(":")
    try:
        main = load_target(request["target"], runs_nothing=True).function
        found = getattr(importlib.import_module(module), name)(main, unpack_arguments(request["arguments"]), request)
    except DetrunError as error:
        return {"error": str(error), "usage": isinstance(error, UsageError)}
    return {"answer": found}


def _trace(main: Main, args: list[object], request: dict[str, Any]) -> Any:
    return traced(
        main,
        args,
        seed=int(request["seed"]),
        strategy=request["strategy"],
        max_steps=request["max_steps"],
        first_detail=request["first_detail"],
        surroundings=request["surroundings"],
    ).pack()


def answer() -> None:
    """What the fresh process does: read a request, run the program, write the answer where the parent looks for it."""
    request = msgpack.unpackb(sys.stdin.buffer.read(), strict_map_key=False)
    end_with_parent(request["parent"])
    packed = msgpack.packb(_answer(request), unicode_errors="surrogatepass")
    partial_answer = request["answer"] + ".part"
    with open(partial_answer, "wb") as file:
        file.write(packed)
    os.replace(partial_answer, request["answer"])
