"""What the header of a recording says of its run that is otherwise now: known causes of a divergence.

Only what both sides spell in the same way is compared: a target by its file's stem and its function's name, arguments
by their texts unless these hold addresses, and the versions of Python and of the packages that decide what a run does.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence

from detrun.ad.value import Value
from detrun.execution.new_run import shown_argument
from detrun.execution.program import Main, target_of
from detrun_recorder.header import installed_version
from detrun_recorder.recording import Recording

DECIDING = ("trio", "greenlet")
SHOWN_MAX = 200  # characters


def known_differences(
    recording: Recording, main: Main, args: Sequence[object] | None, *, observed: bool = True
) -> tuple[str, ...]:
    """A sentence for each; ``args`` is None where they are not known, ``observed`` is whether there is ``observe=``."""
    found = []
    extra = recording.header.get("extra")
    if not observed and isinstance(extra, Mapping) and extra.get("observe") is True:
        found.append("the recording was made with observe=, which this call has not; pass the same function here")
    now = target_of(main)
    if recording.target is not None and _names(recording.target) != _names(now):
        found.append(f"the recording is of {recording.target}; this is {now}")
    elif args is not None and (different := _arguments(recording.header, args)):
        found.append(different)
    python = recording.header.get("python")
    if isinstance(python, str) and python.split(".")[:2] != platform.python_version().split(".")[:2]:
        found.append(f"the recording was made by Python {python}; this is {platform.python_version()}")
    packages = recording.header.get("packages")
    if isinstance(packages, Mapping):
        for name in DECIDING:
            was, is_now = packages.get(name), installed_version(name)
            if isinstance(was, str) and is_now is not None and was != is_now:
                found.append(f"the recording was made with {name} {was}; this is {is_now}")
    return tuple(found)


def is_of_pytest(target: str | None) -> bool:
    """Whether a target names a test as pytest does, ``path.py::test``: only pytest can make such a program."""
    return target is not None and "::" in target


def _names(target: str) -> tuple[str, str]:
    place, _, name = target.rpartition(":")
    if is_of_pytest(target):
        place, name = target.partition("::")[0], target.partition("[")[0].rpartition(":")[2]
    stem = os.path.basename(place).removesuffix(".py").rpartition(".")[2]
    return stem, name.rpartition(".")[2]


def _arguments(header: Mapping[str, object], args: Sequence[object]) -> str:
    """How the arguments differ from the recorded ones; empty if they do not, or cannot be told apart."""
    parameters, arguments = header.get("parameters"), header.get("arguments")
    if isinstance(parameters, Mapping) and parameters:
        given = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else None
        was, now = _numbers(parameters), "other arguments" if given is None else _numbers(given)
    elif isinstance(arguments, list):
        was = ", ".join(map(str, arguments)) or "no arguments"
        now = ", ".join(shown_argument(_plain(one)) for one in args) or "no arguments"
    else:
        return ""
    if was == now or " at 0x" in was or " at 0x" in now:
        return ""
    return f"the recording was made with {_short(was)}; this is {_short(now)}"


def _numbers(parameters: Mapping[object, object]) -> str:
    return ", ".join(f"{name}={_plain(value)!r}" for name, value in parameters.items())


def _plain(value: object) -> object:
    if isinstance(value, Value):
        return value.primal
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 3]}..."
