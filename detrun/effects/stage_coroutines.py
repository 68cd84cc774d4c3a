"""`driven`: a coroutine that is resumed inside of a context, and leaves it whenever it waits.

What other tasks do while it waits is then outside of the context. A coroutine that is driven so looks to the run as
before: it yields the same, and takes the same values and exceptions.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from typing import Any

from detrun_scheduler import current


@types.coroutine
def driven(
    coroutine: Coroutine[Any, Any, Any],
    context: Callable[[], AbstractContextManager[None]],
    started: Callable[[], BaseException | None],
) -> Generator[Any, Any, Any]:
    """Await a coroutine.

    Args:
        context: entered for each piece between two waits.
        started: asked for an exception to raise when the coroutine has started a task.
    """
    run: Any = current.run
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        tasks = run.host.queue.spawned
        with context():
            try:
                waits_for = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
                is_over, result = False, None
            except StopIteration as stopped:
                is_over, result = True, stopped.value
        if run.host.queue.spawned != tasks and (refusal := started()) is not None:
            if not is_over:
                coroutine.close()
            raise refusal
        if is_over:
            return result
        sent = thrown = None
        try:
            sent = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            thrown = error
