"""`find_races`: the data races that one run of a program shows."""

from __future__ import annotations

import os

from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.replayed_run import ReplayedRun
from detrun.races.detector import Race
from detrun.races.watch import RaceWatch
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle


def find_races(
    main: Main,
    *args: object,
    seed: int = 0,
    strategy: str | Oracle = "random",
    recording: Recording | str | os.PathLike[str] | bytes | None = None,
    max_steps: int | None = None,
    preemption: str | None = None,
) -> list[Race]:
    """The data races that one run of ``main(*args)`` shows.

    Args:
        recording: of the program, to be run again: a recording alone does not say what ordered its steps, nor which
            lines they were. None: a new run with ``seed`` and ``strategy``.
        preemption: ``"opcode"`` looks at attributes and elements that the code under test touches, too.

    Raises:
        DivergenceError: the program is not the recorded one; and what it raises itself is not raised here.
    """
    watch = RaceWatch(fails=False)
    options = Options(max_steps=max_steps, preemption=preemption, watch=watch)
    if recording is None:
        NewRun(seed, strategy).execute(main, args, options)
    else:
        opened = recording if isinstance(recording, Recording) else open_recording(recording)
        ReplayedRun(opened).execute(main, args, options)
    return watch.found
