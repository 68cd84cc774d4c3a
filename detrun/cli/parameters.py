"""Parameters of a target: from its defaults and the command line to the arguments of its call.

Without parameters a program is called with none, ``main()``; with parameters it is called with one dict of floats,
``main(params)``. The parameters are the module's ``DEFAULT_PARAMS``, if it has such a dict and the program takes an
argument, overridden by those on the command line.

A name that the program does not take is refused where that can be known: from ``DEFAULT_PARAMS``, or from the
program's source if that does nothing with its argument but ``params["name"]`` and ``params.get("name")``. Otherwise
the program itself has to say.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from detrun.execution.targets import Target
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError

DEFAULTS_NAME = "DEFAULT_PARAMS"


def parse(texts: Iterable[str], option: str = "--param") -> dict[str, float]:
    """``NAME=VALUE`` texts of an option as a dict, in their order."""
    params: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"{option} {text!r} is not NAME=VALUE; write for example {option} rate=0.5")
        try:
            value = float(number)
        except ValueError:
            raise UsageError(
                f"{option} {name}: {number!r} is not a number; write for example {option} {name}=0.5"
            ) from None
        if not math.isfinite(value):
            raise UsageError(f"{option} {name}: {number!r} is not valid; give a finite number")
        if name in params:
            raise UsageError(f"{option} {name} is given twice; give it once")
        params[name] = value
    return params


def parse_moves(option: str, texts: Sequence[str]) -> float | dict[str, float] | None:
    """How far parameters move, as ``option`` says it: one number, or ``NAME=H`` for each; None if nothing is given."""
    if len(texts) == 1 and "=" not in texts[0]:
        try:
            return float(texts[0])
        except ValueError:
            pass
    found = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(
                f"{option} {text!r} is neither a number nor NAME=NUMBER; write {option} 0.01 or {option} rate=0.01"
            )
    return found or None


def parse_bounds(texts: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
    """``NAME=LOW:HIGH`` texts as a dict; an end that is left out is None."""
    found: dict[str, tuple[float | None, float | None]] = {}
    for text in texts:
        name, equals, interval = text.partition("=")
        low, colon, high = interval.partition(":")
        try:
            ends = (float(low) if low.strip() else None, float(high) if high.strip() else None)
        except ValueError:
            ends = (math.nan, math.nan)
        if not (equals and colon) or any(end is not None and math.isnan(end) for end in ends):
            raise UsageError(f"--bound {text!r} is not NAME=LOW:HIGH; write --bound rate=0:1, or --bound rate=0:")
        if name.strip() in found:
            raise UsageError(f"--bound {name.strip()} is given twice; give it once")
        found[name.strip()] = ends
    return found


def for_call(target: Target, given: Mapping[str, float]) -> dict[str, float]:
    """All parameters of a call of ``target``, empty if it is to be called without arguments.

    Raises:
        UsageError: it takes no parameters, not this one, needs some, or needs other arguments than one dict.
    """
    required, most = _positional_arguments(target.function)
    if required > 1:
        raise UsageError(
            f"{target.text} needs {required} arguments; a target is called with none, or with one dict of parameters"
        )
    if given and most == 0:
        raise UsageError(f"{target.text} takes no parameters, but --param {next(iter(given))} was given; leave it out")
    defaults = _defaults(target) if most else {}
    read, is_all = names_read(target.function)
    known = [*defaults, *(name for name in read if name not in defaults)]
    if defaults or is_all:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                way_out = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}"
                raise UsageError(f"{target.text} does not take a parameter {name!r}; {way_out}")
    params = {**defaults, **given}
    if not params and required:
        flags = " ".join(f"--param {name}=VALUE" for name in known) or "--param NAME=VALUE for each"
        raise UsageError(f"{target.text} takes parameters; pass {flags}, or define {DEFAULTS_NAME} = {{...}} beside it")
    return params


def recorded_arguments(recording: Recording, given: Mapping[str, float]) -> tuple[object, ...] | None:
    """The arguments of the recorded call, with ``given`` replacing parameters; None if it had none and none are given.

    Raises:
        UsageError: the program was called from Python with arguments that the recording cannot give back.
    """
    params = recording.header.get("parameters")
    texts = recording.header.get("arguments")
    if isinstance(params, dict) and params:
        return ({**params, **given},)
    if given:
        return (dict(given),)
    if not isinstance(texts, list) or not texts:
        return None
    arguments = []
    for text in texts:
        # literal_eval runs no code: what a file says is only ever data.
        try:
            arguments.append(ast.literal_eval(text))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise UsageError(
                f"the program was recorded from Python with the argument {_short(text)}, which only Python can make "
                "again; replay it there: detrun.replay(main, ..., recording=...)"
            ) from None
    return tuple(arguments)


def for_gradient(target: Target, given: Mapping[str, float], recording: Recording | None) -> dict[str, float]:
    """The parameters to differentiate with respect to: those given, over the recorded ones, over the defaults."""
    recorded: dict[str, float] = {}
    if recording is not None:
        arguments = recorded_arguments(recording, {})
        if arguments is not None and len(arguments) == 1 and _are_numbers(arguments[0]):
            recorded = {name: float(number) for name, number in arguments[0].items()}
    return for_call(target, {**recorded, **given})


def _are_numbers(params: Any) -> TypeGuard[Mapping[str, float]]:
    return isinstance(params, Mapping) and all(
        isinstance(name, str) and isinstance(number, int | float) and not isinstance(number, bool)
        for name, number in params.items()
    )


def _short(text: object) -> str:
    shown = str(text)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _defaults(target: Target) -> dict[str, float]:
    # Where the function is defined, which may not be where it was found.
    module = inspect.getmodule(target.function) or target.module
    defaults = getattr(module, DEFAULTS_NAME, {})
    if not _are_numbers(defaults):
        raise UsageError(f"{DEFAULTS_NAME} of {module.__name__} is not a dict of names and numbers; make it one")
    return {name: float(number) for name, number in defaults.items()}


def _positional_arguments(function: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments a call needs, and takes at most (a ``*args`` counts as one)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, 1
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [one for one in positional if one.default is one.empty]
    return len(required), len(positional) or int(any(one.kind == one.VAR_POSITIONAL for one in parameters))


def names_read(function: Callable[..., Any]) -> tuple[Sequence[str], bool]:
    """Names that a program reads from its first argument, in order, and whether its source shows that these are all."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError):
        return [], False
    if not tree.body or not isinstance(tree.body[0], ast.AsyncFunctionDef):
        return [], False
    definition = tree.body[0]
    arguments = [*definition.args.posonlyargs, *definition.args.args]
    if not arguments:
        return [], False
    argument = arguments[0].arg
    found: list[tuple[int, int, str]] = []  # line, column, name: ast.walk goes by depth
    explained = 0  # uses of the argument that read one literal name
    uses = 0
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id == argument:
            uses += 1
        if isinstance(node, ast.arg) and node.arg == argument:
            uses += node is not arguments[0]  # another function's argument of the same name: uses there are not ours
        name = _literal_read(node, argument)
        if name is not None and isinstance(node, ast.expr):
            explained += 1
            found.append((node.lineno, node.col_offset, name))
    return list(dict.fromkeys(name for _, _, name in sorted(found))), uses == explained


def missing(target: Target, params: Mapping[str, float], error: BaseException | None) -> list[str]:
    """What to say about a program that failed for want of a parameter; empty if it failed of something else."""
    name = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not isinstance(name, str) or name in params or name not in names_read(target.function)[0]:
        return []
    return [f"the program reads a parameter {name!r} that was not given: --param {name}=VALUE"]


def _literal_read(node: ast.AST, argument: str) -> str | None:
    """The name in ``argument["name"]`` and ``argument.get("name", ...)``."""
    match node:
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key)), ctx=ast.Load()):
            return key if name == argument else None
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return key if name == argument else None
    return None
