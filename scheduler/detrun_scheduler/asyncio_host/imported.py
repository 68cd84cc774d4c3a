"""Whether asyncio has been imported: a program that has not imported it pays nothing for its simulation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, WAIT_TRAP

if TYPE_CHECKING:
    from collections.abc import Callable


_TRAPS = (WAIT_TRAP.__name__, CHECKPOINT_TRAP.__name__)


def is_imported() -> bool:
    """Whether this process has imported asyncio."""
    return "asyncio.runners" in sys.modules


_names: Any = None


def names_of_asyncio() -> Any:
    """The module that replaces asyncio's names in runs; None in a process that has not imported asyncio."""
    global _names
    if _names is None and is_imported():
        from detrun_scheduler.asyncio_host import names  # on the first run after that import, not with detrun

        _names = names
    return _names


_program: Any = None


def program_of_asyncio() -> Any:
    """The module that runs async functions of asyncio's, which have imported that."""
    global _program
    if _program is None:
        from detrun_scheduler.asyncio_host import program

        _program = program
    return _program


def as_asyncio_program(main: Callable[..., Any]) -> Callable[..., Any]:
    """An ordinary function that does what ``asyncio.run(main(...))`` does."""
    program = program_of_asyncio()

    def run(*arguments: Any) -> Any:
        return program.run_program(main, arguments)

    return run


def is_without_loop(error: BaseException) -> bool:
    """Whether ``error`` is what asyncio's functions raise in a task of trio's, or trio where such a task awaits one."""
    if type(error) is TypeError:
        return str(error).startswith("trio.run received unrecognized yield message <") and "Future" in str(error)
    return type(error) is RuntimeError and error.args == ("no running event loop",)


def is_of_trio(error: BaseException) -> bool:
    """Whether ``error`` is what an asyncio task raises that awaits a function of trio's."""
    text = str(error) if type(error) is RuntimeError else ""
    return text.startswith("Task got bad yield: ") and any(trap in text for trap in _TRAPS)
