"""What a command line means: code of Python that a node can run, or a stand-in that the world was given.

``python script.py``, ``python -c code``, ``python -m module`` and ``python -`` run that code as ``__main__`` in a
module of its own, whichever interpreter is named. A script is looked for on the node's disk, and then among the real
files that nodes can read. ``World(programs={"git": function})`` has every program called ``git`` be
``function(arguments)``, with the words after the program's name; what it returns, or `SystemExit` has, is its exit
status. Everything else is refused by name.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, NoReturn

from detrun.world.files.files_of_code import files_here
from detrun.world.network.posix import os_error
from detrun_scheduler.environment.file_names import original_open
from detrun_scheduler.environment.hidden_state import allowed, refuse

_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_FLAGS_WITHOUT_MEANING = frozenset("BPRSbdiqsuv")
_REFUSED = (
    "a run simulates Python code of the program itself: start it by [sys.executable, 'script.py', ...], with -c or -m; "
    "give other programs a stand-in, by World(programs={{{name!r}: function}}), or run it outside and pass in what it "
    "printed"
)
_OF_MULTIPROCESSING = re.compile(r"from (multiprocessing|[\w.]*loky)\b")  # joblib's processes are those of loky
_ASKED_IN_VAIN = ("ldconfig",)  # `ctypes.util.find_library` goes on without it
_MULTIPROCESSING = (
    "processes of multiprocessing are not simulated; use subprocess with a script of Python's, threads, or "
    "multiprocessing.pool.ThreadPool"
)


@dataclass(frozen=True)
class StartedProgram:
    """What a child runs.

    Attributes:
        name: what it is called in paths of tasks.
        argv: ``sys.argv``.
        begins_here: ``sys.path`` begins with the empty text, the working directory.
        is_unbuffered: its standard output is.
        run: runs it in its main module; what it returns is the exit status, None for 0.
    """

    name: str
    argv: list[str]
    begins_here: bool
    is_unbuffered: bool
    run: Callable[[ModuleType], object]


def program_of(words: Sequence[str], executable: str, stand_ins: Mapping[str, Any]) -> StartedProgram:
    """What a command line means.

    Raises:
        HiddenStateError: a run cannot have it.
    """
    name = os.path.basename(executable)
    stand_in = stand_ins.get(name, _uname if name == "uname" else None)
    if stand_in is not None:
        return StartedProgram(name, list(words), False, False, lambda _: stand_in(list(words[1:])))
    if name in _ASKED_IN_VAIN:
        raise os_error(errno.ENOENT)
    if executable != sys.executable and not _PYTHON.fullmatch(name):
        refuse(f"starting {name!r}", _REFUSED.format(name=name))
    return _python(list(words))


def _uname(words: list[str]) -> None:
    """The program that ``platform`` asks, and the libraries that ask ``platform`` for what they print."""
    fields = dict(zip("snrvm", os.uname(), strict=True))
    letters = "".join(words).replace("-", "") or "s"
    print(" ".join(fields.get(letter, "unknown") for letter in ("snrvm" if "a" in letters else letters)))


def _python(words: list[str]) -> StartedProgram:
    rest, is_unbuffered = words[1:], False
    while rest and rest[0].startswith("-") and rest[0] != "-":
        group = rest.pop(0)
        if group in ("-V", "--version"):
            return StartedProgram(f"python {group}", [group], False, False, _print_version)
        flags = group[1:]
        taking = next((letter for letter in flags if letter in "cmWX"), "")  # the rest of the word, or the next one
        flags, _, target = flags.partition(taking) if taking else (flags, "", "")
        if not set(flags) <= _FLAGS_WITHOUT_MEANING:
            _refuse_line(words)
        is_unbuffered = is_unbuffered or "u" in flags
        if taking:
            target = target or (rest.pop(0) if rest else _refuse_line(words))
        if taking == "c":
            return _of_text(target, rest, is_unbuffered)
        if taking == "m":
            return _of_module(target, rest, is_unbuffered)
    if not rest or rest[0] == "-":
        return StartedProgram("python", ["-", *rest[1:]], True, is_unbuffered, _run_standard_input)
    return _of_script(rest, is_unbuffered)


def _refuse_line(words: list[str]) -> NoReturn:
    refuse(
        f"starting {words[0]!r} with {' '.join(words[1:])!r}",
        "a run knows python with a script, -c, -m or -, and options that change nothing in it",
    )


def _of_text(text: str, rest: list[str], is_unbuffered: bool) -> StartedProgram:
    if ("multiprocessing" in text and "--multiprocessing-fork" in rest) or _OF_MULTIPROCESSING.match(text):
        refuse("starting a process of multiprocessing", _MULTIPROCESSING)

    def run(module: ModuleType) -> None:
        exec(compile(text, "<string>", "exec", dont_inherit=True), vars(module))

    return StartedProgram("python -c", ["-c", *rest], True, is_unbuffered, run)


def _print_version(_: ModuleType) -> None:
    print(f"Python {sys.version.split()[0]}")


def _run_standard_input(module: ModuleType) -> None:
    exec(compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True), vars(module))


def _of_script(rest: list[str], is_unbuffered: bool) -> StartedProgram:
    given = rest[0]

    def run(module: ModuleType) -> None:
        code = _script(given)
        module.__file__ = code.co_filename
        exec(code, vars(module))

    return StartedProgram(os.path.basename(given), list(rest), False, is_unbuffered, run)


def _script(path: str) -> CodeType:
    """The code of a script, read in the code of the child; ``sys.path`` begins with the folder of a real one."""
    try:
        text, where = _text_of(path)
    except OSError as error:
        message = f"{sys.executable}: can't open file {path!r}: [Errno {error.errno}] {os.strerror(error.errno or 0)}"
        print(message, file=sys.stderr)
        raise SystemExit(2) from None
    code: CodeType = compile(text, where, "exec", dont_inherit=True)
    return code


def _text_of(path: str) -> tuple[bytes, str]:
    """The text of a script, and the name that its code has: of the real file where it is one."""
    files = files_here()
    if files is None or files.on_disk(path):
        where = os.path.abspath(path)
        if os.path.isdir(where):
            where = os.path.join(where, "__main__.py")
        with open(where, "rb") as file:
            text = file.read()
        if files is None:
            sys.path.insert(0, os.path.dirname(where))
        return text, where
    # On a node a relative path means the folder in which the run was started, too.
    where = os.path.normpath(os.path.join(files.host.started_in, path))
    if not files.host.covers(where):
        raise os_error(errno.ENOENT)
    if os.path.isdir(where):
        where = os.path.join(where, "__main__.py")
    sys.path.insert(0, os.path.dirname(where))
    with allowed(), original_open()(where, "rb") as file:
        return file.read(), where


def _of_module(name: str, rest: list[str], is_unbuffered: bool) -> StartedProgram:
    def run(module: ModuleType) -> None:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
        loader: Any = None if spec is None else spec.loader
        if spec is None or loader is None or not hasattr(loader, "get_code"):
            print(f"{sys.executable}: No module named {name}", file=sys.stderr)
            raise SystemExit(1)
        module.__spec__, module.__loader__, module.__file__ = spec, loader, spec.origin
        module.__package__ = spec.parent
        sys.argv[0] = spec.origin or name
        exec(loader.get_code(spec.name), vars(module))

    return StartedProgram(f"python -m {name}", ["-m", *rest], True, is_unbuffered, run)
