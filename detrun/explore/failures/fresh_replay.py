"""Replays of recordings in a fresh process, before they are recommended.

A campaign runs its schedules one after the other in one process. What a program or a library keeps there, a table that
is filled at the first use, makes later runs take other steps than the first run of a process does, and `detrun replay`
is always such a first run. So the recording of a failure is replayed in a fresh process. If it does not replay there,
the same choices are made there anew, by index, and then by task names as after an edit of the program; then a few dozen
random schedules are run. The first that fails in the same way gives a recording that replays anywhere.

Each attempt is a fork of the fresh process, which has imported the program and run nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import outcome

from detrun.determinism.fresh_process import FreshProcessError, asked, importable_target, pack_arguments
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options, header_extra
from detrun.execution.program import Main
from detrun.explore.campaign.program import Program
from detrun.explore.campaign.signatures import signature_of, text_of_signature
from detrun.explore.failures.kept import run_kept
from detrun.explore.failures.recorded import record_schedule
from detrun.races.watch import RaceWatch, replayed_run
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.resync_replay import ResyncReplay
from detrun_recorder.snapshots import in_fork
from detrun_scheduler.errors import DivergenceError, UsageError
from detrun_scheduler.strategies.random_walk import RandomWalk

TIMEOUT_SECONDS = 60.0
SEARCH_SECONDS = 5.0
HASH_SEED = 1
SEARCHED = 60  # schedules, where the one that was found does not fail in a fresh process
EVERY_STEP_AGREES = "every step agrees"  # so a divergence says that is of the result alone


@dataclass(frozen=True, slots=True)
class FreshReplay:
    """What became of a replay in a fresh process.

    Attributes:
        divergence: where it left the recording, in a line; empty if it is the same run there, or was not tried.
        cold: a recording that was made there and fails in the same way; None if there is none, or none is needed.
        untried: why it could not be tried; empty if it was.
    """

    divergence: str = ""
    cold: Recording | None = None
    untried: str = ""

    def remark(self) -> str:
        """What the reader of a report should know; empty if it replays."""
        if self.untried:
            return f"the recording was not tried in a fresh process: {self.untried}"
        if not self.divergence:
            return ""
        if EVERY_STEP_AGREES in self.divergence:
            return (
                "in a fresh process every step is as recorded, but what is raised reads otherwise: an address, for one"
            )
        kept = "the program keeps state from one run to the next, which a fresh process does not have"
        if self.cold is not None:
            return (
                f"the schedule as it was found does not replay in a fresh process ({self.divergence}): {kept}; the "
                "file holds the same failure as a fresh process has it"
            )
        return (
            f"the recording does not replay in a fresh process ({self.divergence}): {kept}; it needs what earlier runs "
            "left behind, so reset that at the start of the program"
        )


def replayed_freshly(
    program: Program, recording: Recording, target: str, signature: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> FreshReplay:
    """Replay ``recording`` in a fresh process; takes as long as importing the program and running it a few times.

    Args:
        target: how a recording that is made there names the program.
        signature: of the failure.
    """
    try:
        _check_importable(program.main)
        request = {
            "target": importable_target(program.main),
            "arguments": pack_arguments(program.args),
            "recording": recording.to_bytes(),
            "named": target,
            "signature": signature,
            "parameters": dict(program.gradient_of or {}),
        }
        found = asked(f"{__name__}:answer", request, HASH_SEED, timeout_seconds)
    except (UsageError, FreshProcessError, OSError) as error:
        return FreshReplay(untried=str(error).removeprefix("fresh_process: ").partition("\n")[0].partition("; move")[0])
    cold = found["cold"]
    return FreshReplay(found["divergence"], None if cold is None else open_recording(cold))


def _check_importable(main: Main) -> None:
    """Refuse a script that has no guard: importing it would run it, whatever it does."""
    module = sys.modules.get("__main__")
    if getattr(main, "__module__", None) == "__main__" and getattr(module, "__file__", None):
        try:
            with open(str(module.__file__), encoding="utf-8") as file:  # type: ignore[union-attr]
                guarded = "__name__" in file.read()
        except (OSError, UnicodeError):
            guarded = False
        if not guarded:
            raise UsageError("importing the script would run it; put what it runs under if __name__ == '__main__'")


# In the fresh process.


def answer(main: Main, args: list[object], request: dict[str, Any]) -> dict[str, Any]:
    """How the replay went, and a recording that replays, if the failure can be had here, too."""
    content, wanted = request["recording"], request["signature"]
    recording = open_recording(content)
    describe_run()  # reads the versions of packages, which takes longer than a run: once here, and not in each fork
    divergence = in_fork(partial(_divergence, main, args, content))
    cold = None
    if divergence and EVERY_STEP_AGREES not in divergence:
        watch = RaceWatch() if header_extra(recording).get("races") is True else None
        options = Options(watch=watch, fault_lengths=recording.fault_lengths or None).with_recorded(recording, main)
        program = Program(main, args, options, request["parameters"] or None)
        for seed, schedule in _attempts(program, recording):
            made = in_fork(partial(_recorded, program, seed, schedule, request["named"], wanted))
            if made is not None and not in_fork(partial(_divergence, main, args, made)):
                cold = made
                break
    return {"divergence": divergence, "cold": cold}


def _divergence(main: Main, args: Sequence[object], content: bytes) -> str:
    """Where a replay leaves the recording, in a line; empty if it does not."""
    try:
        replayed_run(open_recording(content)).execute(main, args, Options())
    except DivergenceError as error:
        return str(error).partition("\n")[0].removeprefix("replay ")
    return ""


def _attempts(program: Program, recording: Recording) -> Iterator[tuple[int, bytes | str]]:
    """Seeds and schedules that may fail here, too, the likeliest first: a schedule, or the strategy that makes one."""
    seed = recording.seed or 0
    yield seed, b"".join(chunk.choices for chunk in recording.chunks())
    followed = in_fork(partial(_by_names, program, recording))
    if followed is not None:
        yield seed, followed
    deadline = time.monotonic() + SEARCH_SECONDS
    for number in range(SEARCHED):
        if time.monotonic() > deadline:
            return
        yield number // 2, ("random", "pct")[number % 2]


def _by_names(program: Program, recording: Recording) -> bytes | None:
    found = run_kept(program, recording, ResyncReplay(recording, RandomWalk()))
    return None if found is None else found.schedule


def _recorded(program: Program, seed: int, schedule: bytes | str, named: str, wanted: str) -> bytes | None:
    """A recording of the schedule, if it fails in the way that is wanted."""
    if isinstance(schedule, str):
        run = NewRun(seed, schedule, target=named, params=program.gradient_of or {})
        finished = run.execute(program.main, program.args, program.options)
    else:
        finished = record_schedule(program, seed, schedule, named)
    ended = finished.outcome
    is_wanted = isinstance(ended, outcome.Error) and text_of_signature(signature_of(ended.error)) == wanted
    return finished.recording.to_bytes() if is_wanted else None
