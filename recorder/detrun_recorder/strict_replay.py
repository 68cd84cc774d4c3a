"""Strict replay: an oracle that hands out the recorded choices and stops at the first difference.

It looks at every closed step: the outcome, the events, the new names and the time must be those recorded; at the end of
each chunk the digest must be too, which covers all values to the last bit. Since equal journals imply equal runnable
sets, the choice itself needs no check.

A recording cut short by a crash is replayed as far as it goes. Its strategy is consulted all along and its answers
are thrown away, so that it can take over where the recording ends, in the state in which it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import outcome

from detrun_recorder.divergence import Divergence, RunNames, StepSummary, describe_events, divergence_error, read_varint
from detrun_recorder.format import unpack_varints
from detrun_recorder.recording import Recording
from detrun_scheduler.choices import FIRST_ACTION, NO_ACTION, GivenActions, KeyedDraws, Oracle, RunView
from detrun_scheduler.errors import text_of
from detrun_scheduler.journal import FAILED, KIND_MASK, Chunk, outcome_name
from detrun_scheduler.reports.blocking import raised_in, user_stack
from detrun_scheduler.run import ActiveRun

RAISED_CHARACTERS_MAX = 200


class _Expected:
    """A cursor over the recorded steps, and the names known up to it."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self.chunks = chunks
        self.names = RunNames.empty()
        self.actions = GivenActions(())
        self.chunk: Chunk | None = None
        self.next_chunk()

    def next_chunk(self) -> None:
        self.chunk = next(self.chunks, None)
        self.step = self.choice = self.event = self.payload = 0
        if self.chunk is not None:
            self.names.tasks.update((number, path) for number, _, path in self.chunk.tasks)
            self.names.kinds += self.chunk.kinds
            self.names.objects += self.chunk.objects
            self.names.names += self.chunk.names
            plain = self.chunk.choices.isascii()  # actions have bytes above 0x7F
            self.actions = GivenActions(() if plain else unpack_varints(self.chunk.choices))


class StrictReplay(KeyedDraws):
    """Replays a recording exactly; both oracle and verifier of the run.

    Args:
        recording: what to replay.
        strategy: the strategy that made it, for the steps after a crash cut it short.
        source_changed: whether the program's source is known to differ; only for the report, as is
        differences: what else is known to be otherwise than when the recording was made, in sentences.
    """

    decides_actions = True

    def __init__(
        self,
        recording: Recording,
        strategy: Oracle,
        source_changed: bool = False,
        differences: tuple[str, ...] = (),
    ) -> None:
        self.differences = differences
        self.recording = recording
        self.strategy = strategy
        self.source_changed = source_changed
        self.expected = _Expected(iter(recording.chunks()))
        # What holds for the whole run stands at its beginning.
        self.attends, self.collects = self.expected.actions.attends, self.expected.actions.collects
        self.seen = [0, 0, 0, 0]  # tasks, kinds, objects and names of the open chunk compared so far
        self.times_seen = 0
        self.last_task = -1  # the task of the last step that agreed
        self.raised: tuple[str, tuple[str, ...]] = ("", ())  # what the last task to fail raised, and where
        self.step_taken = getattr(strategy, "step_taken", None)  # see `StepToldOracle`
        self.diverged = False  # reported already: what the unwinding run's last chunk holds must not hide it

    def new_run(self, run: RunView) -> None:
        """Start the strategy, too."""
        self.strategy.new_run(run)

    def next_task(self, runnable: Sequence[int], current: int) -> int:
        """The recorded choice."""
        index = self.strategy.next_task(runnable, current)
        expected = self.expected
        number = FIRST_ACTION
        while number >= FIRST_ACTION:
            if expected.chunk is None or expected.choice >= len(expected.chunk.choices):
                return index
            number, expected.choice = read_varint(expected.chunk.choices, expected.choice)
        return number if number < len(runnable) else 0

    def arrivals(self) -> list[int] | None:
        """What the strategy wants to be told."""
        arrivals = getattr(self.strategy, "arrivals", None)
        told: list[int] | None = None if arrivals is None else arrivals()
        return told

    def next_action(self, steps: int) -> float:
        """Where the chunk has its next action; where it has none left, the first place at which the next one can."""
        chunk = self.expected.chunk
        if chunk is None:
            return math.inf
        at = self.expected.actions.next_action(steps)
        return at if at < math.inf else max(steps, chunk.first_step + chunk.steps) + 1

    def action(self, steps: int, has_timers: bool) -> int:
        """The recorded action."""
        actions = self.expected.actions
        return actions.action(steps, has_timers) if actions.next_action(steps) <= steps else NO_ACTION

    def failure_seen(self, error: BaseException) -> None:
        """Note what a task raises, in words: a recording does not know it, but a report of the difference should."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        first_line = text_of(error).partition("\n")[0][:RAISED_CHARACTERS_MAX]
        self.raised = f"{type(error).__qualname__}: {first_line}".removesuffix(": "), raised_in(error)

    def recorded_effect(self, name: str) -> bytes | None:
        """The result of the next effect. That it is the effect ``name`` shows when the step is compared."""
        expected = self.expected
        if expected.chunk is None or expected.payload >= len(expected.chunk.payloads):
            return None
        expected.payload += 1
        return expected.chunk.payloads[expected.payload - 1]

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Compare the step; raise `DivergenceError` at the first difference."""
        expected = self.expected
        chunk = expected.chunk
        if chunk is None or expected.step >= chunk.steps:
            # A chunk shorter than the run's own is the recording's last.
            if not self.recording.truncated:
                self._diverge(run, task, outcome_byte, record, self._how_recording_ends())
            expected.chunk = None
            return
        if chunk.outcomes[expected.step] != outcome_byte or not chunk.events.startswith(record, expected.event):
            self._diverge(run, task, outcome_byte, record, None)
        detail = self._different_name(run, chunk) or self._different_time(run, chunk)
        if detail:
            self._diverge(run, task, outcome_byte, record, detail)
        expected.event += len(record)
        expected.step += 1
        self.last_task = task

    def _different_name(self, run: ActiveRun, chunk: Chunk) -> str | None:
        journal, seen = run.journal, self.seen
        tables: tuple[tuple[str, Sequence[object], Sequence[object]], ...] = (
            ("task", journal.tasks, chunk.tasks),
            ("wait", journal.kinds, chunk.kinds),
            ("object", journal.objects, chunk.objects),
            ("name", journal.names, chunk.names),
        )
        for index, (what, actual, recorded) in enumerate(tables):
            while seen[index] < len(actual):
                at = seen[index]
                if at >= len(recorded) or actual[at] != recorded[at]:
                    was = recorded[at] if at < len(recorded) else "nothing new"
                    return f"{what} {_path(actual[at])!r} where the recording has {_path(was)!r}"
                seen[index] += 1
        return None

    def _different_time(self, run: ActiveRun, chunk: Chunk) -> str | None:
        times = run.journal.times
        while self.times_seen < len(times):
            at = self.times_seen
            quantum = self.recording.time_quantum
            if at >= len(chunk.times) or abs(times[at] - chunk.times[at]) > quantum:
                was = f"{chunk.times[at]:.9g} s" if at < len(chunk.times) else "no time"
                return f"time moved to {times[at]:.9g} s where the recording has {was}"
            self.times_seen += 1
        return None

    def chunk_closed(self, chunk: Chunk) -> None:
        """The replay's own chunk is complete: values must agree, too. Used as the journal's sink."""
        expected = self.expected.chunk
        if expected is None or self.diverged:
            return
        if chunk.steps == expected.steps and chunk.digest != expected.digest:
            last = chunk.first_step + chunk.steps - 1
            detail = (
                f"the schedule agrees, but some value in steps {chunk.first_step:,} to {last:,} does not "
                "(an operand, a draw, an observed value, or a time's last bits)"
            )
            same = StepSummary("the same steps", "", ())
            self.diverged = True
            raise divergence_error(
                Divergence(
                    last,
                    self._steps_recorded(),
                    chunk.times[-1] if chunk.times else chunk.start_time,
                    same,
                    same,
                    detail,
                    f"step {chunk.first_step:,}",
                    (),
                    self.source_changed,
                    str(self.recording.path or ""),
                    self.differences,
                    self.recording.target,
                    self.recording.header.get("hash_seed"),
                )
            )
        if chunk.steps == expected.steps:
            self.expected.next_chunk()
            self.seen = [0, 0, 0, 0]
            self.times_seen = 0

    def check_ended(self, run: ActiveRun, digest: bytes, ended: outcome.Outcome[object]) -> None:
        """The program has ended: so must the recording have, with the same result."""
        expected, end = self.expected, self.recording.end
        if self.diverged:
            return
        error = ended.error if isinstance(ended, outcome.Error) else None
        now = "ok" if error is None else type(error).__qualname__
        if expected.chunk is not None:
            how = "" if error is None else f" with {now}"
            detail = f"the program has ended{how}, but the recording goes on"
            summary = StepSummary("", now if error is not None else "", ())
            self._raise(run, self._recorded_step(), summary, detail, (), error)
        if end is not None and digest != end.digest:
            was = end.outcome if end.error_type is None else end.error_type
            recorded = StepSummary("the main task", f"{was} (digest {end.digest.hex()})", ())
            replayed = StepSummary("the main task", f"{now} (digest {digest.hex()})", ())
            self._raise(run, recorded, replayed, "every step agrees, but the program's result does not", ())

    def _how_recording_ends(self) -> str:
        end = self.recording.end
        how = f" with {end.error_type}" if end is not None and end.error_type is not None else ""
        return f"the recording ends here{how}, but the program goes on"

    def _steps_recorded(self) -> int | None:
        return None if self.recording.truncated else self.recording.steps

    def _recorded_step(self) -> StepSummary:
        expected, chunk = self.expected, self.expected.chunk
        if chunk is None or expected.step >= chunk.steps:
            return StepSummary("", "", ())
        recorded = self.recording.step(chunk.first_step + expected.step)
        byte = chunk.outcomes[expected.step]
        events = describe_events(chunk.events[expected.event :], expected.names) if byte & 0x80 else ()
        return StepSummary(f"task {recorded.task} ({recorded.path})", outcome_name(byte, expected.names.kinds), events)

    def _diverge(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes, detail: str | None) -> None:
        journal = run.journal
        living = run.host.by_number.get(task)
        raised, stack = self.raised
        if outcome_byte & KIND_MASK != FAILED and run.host.main_task is not None:
            raised, stack = "", user_stack(living) if living is not None else ()
        names = RunNames(run.paths, list(journal.kind_numbers), run.object_labels, list(journal.name_numbers))
        actual = StepSummary(
            f"task {task} ({run.path_of(task)})",
            outcome_name(outcome_byte, names.kinds),
            describe_events(record, names),
            raised,
        )
        recorded = self._recorded_step()
        if detail is None:
            if recorded.task != actual.task:
                detail = "another task ran"
            elif recorded.ended != actual.ended:
                detail = "the same task, but its step ended otherwise"
            else:
                detail = "the same task, but it did something else"
        self._raise(run, recorded, actual, detail, stack)

    def _raise(
        self,
        run: ActiveRun,
        recorded: StepSummary,
        actual: StepSummary,
        detail: str,
        stack: tuple[str, ...],
        cause: BaseException | None = None,
    ) -> None:
        self.diverged = True
        step = self._steps_compared()
        task = self.last_task
        agreement = f"step {step - 1:,}, task {task} ({run.paths.get(task, 'ended')})" if step else "none"
        # All times before this step agree. The loop's own may be past the step already, which idled, or unwound.
        time = self.recording.step(step).time if step < self.recording.steps else self.recording.virtual_time
        raise divergence_error(
            Divergence(
                step,
                self._steps_recorded(),
                time,
                recorded,
                actual,
                detail,
                agreement,
                stack,
                self.source_changed,
                str(self.recording.path or ""),
                self.differences,
                self.recording.target,
                self.recording.header.get("hash_seed"),
            )
        ) from cause

    def _steps_compared(self) -> int:
        chunk = self.expected.chunk
        return (chunk.first_step if chunk is not None else self.recording.steps) + self.expected.step


def _path(entry: object) -> object:
    return entry[2] if isinstance(entry, tuple) else entry
