"""Failures kept in a directory, ``.detrun`` by default, so that the next exploration of a program tries them first.

One recording a file, ``failures/NAME-DIGEST.detrun``, where NAME spells the program and DIGEST the run: the same
failure found again is the same file. A kept schedule that no longer fails is deleted, since the bug it showed is gone
or needs another schedule now. Other files are left alone.
"""

from __future__ import annotations

import ast
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import outcome

from detrun.execution.execute import execute
from detrun.execution.new_run import ARGUMENT_CHARACTERS_MAX
from detrun.execution.options import Options
from detrun.execution.program import Main, source_fingerprint
from detrun.execution.replayed_run import replay_hooks
from detrun.execution.schedules import ScheduleJournal, unpacked
from detrun.explore.campaign.failed_schedule import FailedSchedule, described
from detrun.explore.campaign.grains import Grain
from detrun.explore.campaign.program import Program, slug
from detrun.explore.campaign.signatures import signature_of, text_of_signature
from detrun_recorder.format import Malformed
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.resync_replay import ResyncReplay
from detrun_recorder.shared_files import unwritable
from detrun_scheduler.errors import DetrunError, HiddenStateError, UsageError
from detrun_scheduler.strategies.given import GivenSchedule
from detrun_scheduler.strategies.random_walk import RandomWalk

TRIED_MAX = 20  # of one program
DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class KeptFailures:
    """The failures kept in ``directory``, which is made when there is something to keep."""

    directory: Path

    @property
    def folder(self) -> Path:
        """Where the recordings lie."""
        return self.directory / "failures"

    @property
    def unwritable(self) -> str:
        """Why nothing can be kept here, in a sentence; empty if it can. Leaves nothing behind."""
        reason = unwritable(self.folder)
        return f"failing schedules cannot be kept in {self.folder}: {reason}" if reason else ""

    def save(self, recording: Recording, target: str) -> Path:
        """Keep ``recording``.

        Raises:
            OSError: the directory cannot be written.
        """
        path = self.folder / f"{slug(target)}-{recording.digest.hex()[:DIGEST_CHARACTERS]}.detrun"
        self.folder.mkdir(parents=True, exist_ok=True)
        ignore = self.directory / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        recording.save(path)
        return path

    def of(self, target: str) -> list[Path]:
        """Recordings of the program, in the order of their names."""
        found = self.folder.glob(f"{slug(target)}-{'?' * DIGEST_CHARACTERS}.detrun")
        return sorted(found)[:TRIED_MAX]

    def try_again(self, program: Program, target: str) -> Iterator[FailedSchedule]:
        """The kept failures that still fail, each as soon as it has; those that do not are deleted.

        Files that are no recordings, or damaged ones, are passed over.
        """
        for path in self.of(target):
            try:
                recording = open_recording(path)
                oracle = _following(program, recording)
            except (DetrunError, Malformed, OSError, ValueError, LookupError, TypeError, ArithmeticError):
                continue
            found = run_kept(program, recording, oracle)
            if found is not None:
                yield found
            else:
                with suppress(OSError):
                    path.unlink()


def _following(program: Program, recording: Recording) -> GivenSchedule | ResyncReplay:
    """The oracle of a kept failure; everything that the run will need of the file has been read then."""
    if recording.header.get("source") != source_fingerprint(program.main):
        return ResyncReplay(recording, RandomWalk())
    return GivenSchedule(unpacked(b"".join(chunk.choices for chunk in recording.chunks())))


def run_kept(program: Program, recording: Recording, oracle: GivenSchedule | ResyncReplay) -> FailedSchedule | None:
    """Run a kept failure once more under ``oracle``; None if it does not fail."""
    replayer = oracle if isinstance(oracle, ResyncReplay) else None
    seed = recording.seed or 0
    journal = ScheduleJournal()
    lengths = recording.fault_lengths
    grain = recorded_grain(recording, program.main)
    loop, ended = execute(
        program.main,
        program.args,
        oracle=oracle,
        seed=seed,
        journal=journal,
        verifier=replayer,
        options=program.at(grain).with_faults(lengths).options,
        hooks=None if replayer is None else replay_hooks(replayer),
    )
    if not isinstance(ended, outcome.Error):
        return None
    if isinstance(ended.error, UsageError | HiddenStateError | KeyboardInterrupt):
        raise ended.error
    signature = text_of_signature(signature_of(ended.error))
    return FailedSchedule(
        -1, seed, journal.schedule, described(ended.error), loop.steps_at_end, signature, lengths, grain
    )


def recorded_grain(recording: Recording, main: Main) -> Grain:
    """Where the threads of a recorded run of ``main`` were interrupted."""
    options = Options().with_recorded(recording, main)
    preemption = options.preemption if isinstance(options.preemption, str) else "sync"
    if preemption == "sync":
        return Grain()
    only_at = None if options.only_at is None else tuple(options.only_at)
    return Grain(preemption, tuple(options.include), tuple(options.exclude), only_at, options.interrupts_max)


def elsewhere(recording: Recording, target: str) -> Path:
    """Keep ``recording`` in the system's directory for temporary files, as a file of its own.

    Raises:
        OSError: that cannot be written either.
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{slug(target)}-", suffix=".detrun")
    os.close(descriptor)
    try:
        recording.save(name)
    except OSError:
        os.unlink(name)
        raise
    return Path(name)


def replay_command(target: str, path: Path | None, args: Sequence[object]) -> str:
    """How to run a failing schedule again: a command if the file gives target and arguments back, else a call."""
    if path is None:
        return "detrun.replay(main, recording=exploration.failure.recording)"
    if "<locals>" in target or not all(_is_literal(argument) for argument in args):
        return f"detrun.replay(main, ..., recording={str(path)!r})"
    return f"detrun replay {shlex.quote(str(path))}"


def _is_literal(argument: object) -> bool:
    """Whether a recording's header gives the argument back."""
    text = repr(argument)
    try:
        return len(text) <= ARGUMENT_CHARACTERS_MAX and bool(ast.literal_eval(text) == argument)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
