"""`gradient`: derivatives of a program's loss; ``kind`` says what they mean, and so does the result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from detrun.execution.new_run import NewRun
from detrun.execution.program import Main
from detrun.gradients.local import LocalOptions, local_gradient
from detrun.gradients.parameters import check_params
from detrun.gradients.result import Gradient
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError

KINDS = ("local",)


def gradient(
    main: Main,
    params: Mapping[str, Any],
    *,
    recording: Recording | str | os.PathLike[str] | bytes | None = None,
    seed: int = 0,
    kind: str = "local",
    mode: str = "reverse",
    strategy: str | Oracle = "random",
    snapshots: int | None = None,
    window: int | None = None,
    memory: int | None = None,
    credit: int = 0,
    max_steps: int | None = None,
    preemption: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Gradient:
    """Differentiate the loss that ``main(params)`` returns with respect to each parameter.

    Args:
        main: a function, async or not, of one dict of parameters that returns a number.
        params: name -> number, tensor or ``nn.Module``. The program receives numbers as `Value`s.
        recording: differentiate this recorded run; None makes a run with ``seed`` and ``strategy``.
        kind: what the gradient means. ``"local"``: sensitivity of this run on its frozen schedule.
        mode: ``"reverse"``, or ``"forward"`` for few parameters in memory that does not grow with the run.
        snapshots: differentiate in bounded memory, keeping at most so many forked snapshots of the run.
        window: steps taped at a time; chosen from ``snapshots`` or ``memory`` by default.
        memory: bytes that the tape of one window may take.
        credit: report so many steps that carried most of each parameter's gradient.
        max_steps: raise `StepLimitError` after so many steps.
        preemption, include, exclude: where threads can be interrupted, as for `detrun.record`; a recording's own by
            default.

    Raises:
        UsageError: unknown kind, a parameter of another type, or as for `detrun.record`.
        DivergenceError: the program with these parameters is not the recorded one.
        NotDifferentiableError: the loss is not a number, or its derivative does not exist.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of gradient {kind!r}; choose one of {', '.join(KINDS)}")
    opened = recording if isinstance(recording, Recording) or recording is None else open_recording(recording)
    execution = replayed_run(opened) if opened is not None else NewRun(seed, strategy, params=check_params(params))
    options = LocalOptions(
        mode=mode,
        snapshots=snapshots,
        window=window,
        memory=memory,
        credit=credit,
        max_steps=max_steps,
        preemption=preemption,
        include=tuple(include),
        exclude=tuple(exclude),
    )
    return local_gradient(main, params, execution, options)
