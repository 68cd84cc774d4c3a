"""asyncio programs, which no run holds yet: refused in one line, before their event loop opens sockets.

``asyncio.run`` in a run raises `HiddenStateError` and closes the coroutine that it was given, so that Python does not
warn of it. An async main function that awaits asyncio's own functions fails in them; `is_of_asyncio` recognizes that.
Libraries that put asyncio on top of trio (trio-asyncio) make their loop themselves, and are let through.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable
from typing import Any, NoReturn

from detrun_scheduler.environment.replaced_names import ReplacedNames

WAY_OUT = "asyncio programs cannot run here yet; detrun runs trio programs, and threads"


class RefusedAsyncio:
    """``asyncio.run``, refused in one thread if asyncio has been imported; see `ReplacedTogether`.

    Args:
        refuse: raises the error for a call and a way out.
        is_run_thread: whether the calling thread, by its ident, is that of the run.
    """

    def __init__(self, refuse: Callable[[str, str], NoReturn], is_run_thread: Callable[[int], bool]) -> None:
        self._refuse = refuse
        self._is_run_thread = is_run_thread
        self._groups: list[ReplacedNames] = []

    def install(self) -> None:
        """Refuse it."""
        if not self._groups and "asyncio.runners" in sys.modules:
            self._groups = [self._group(sys.modules[name]) for name in ("asyncio", "asyncio.runners")]
        for group in self._groups:
            group.install()

    def restore(self) -> None:
        """Put it back."""
        for group in self._groups:
            group.restore()

    def _group(self, module: Any) -> ReplacedNames:
        def run(main: Any, **options: Any) -> Any:
            if not self._is_run_thread(get_ident()):
                return group.originals["run"](main, **options)
            if hasattr(main, "close"):
                main.close()
            self._refuse("asyncio.run", WAY_OUT)

        group = ReplacedNames(module, {"run": run}, may_stay=True)
        return group


def is_of_asyncio(error: BaseException) -> bool:
    """Whether ``error`` is what asyncio's functions raise where no event loop of asyncio's runs."""
    return type(error) is RuntimeError and error.args == ("no running event loop",)
