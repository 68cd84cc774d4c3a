"""`NewRun`: one run under a strategy, recorded while it goes on."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import outcome

from detrun.execution.execute import execute
from detrun.execution.finished import Finished, end_of, final_digest, raised_interrupt
from detrun.execution.options import Options
from detrun.execution.program import Main, check_main, source_fingerprint, target_of
from detrun.execution.saved_every_second import saved_every_second
from detrun.execution.scope import RunScope
from detrun_recorder.header import describe_run
from detrun_recorder.recording import recording_of
from detrun_recorder.writer import Writer
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.journal import Chunk, Journal
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.run import RunHooks, Verifier
from detrun_scheduler.strategies import make, name_of

ARGUMENT_CHARACTERS_MAX = 500


@dataclass(slots=True)
class NewRun:
    """A new run under a strategy, recorded to a path or, with ``to=None``, to memory."""

    seed: int = 0
    strategy: str | Oracle = "random"
    to: str | os.PathLike[str] | None = None
    target: str | None = None
    params: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int):
            raise UsageError(f"seed={self.seed!r} is not an integer")
        if self.to is not None and not isinstance(self.to, str | os.PathLike):
            raise UsageError(f"to={self.to!r} is not a path; leave it out to keep the recording in memory")

    def execute(self, main: Main, args: Sequence[object], options: Options, scope: RunScope | None = None) -> Finished:
        """Run and record."""
        check_main(main)
        options = options.resolved(main)
        oracle = make(self.strategy)
        header = describe_run(
            target=self.target if self.target is not None else target_of(main),
            seed=self.seed,
            strategy=name_of(self.strategy),
            arguments=[] if self.params else [shown_argument(argument) for argument in args],
            parameters=dict(self.params),
            source_fingerprint=source_fingerprint(main),
            extra=options.header(),
        )
        return recorded(main, args, options, scope, oracle=oracle, header=header, seed=self.seed, to=self.to)


def recorded(
    main: Main,
    args: Sequence[object],
    options: Options,
    scope: RunScope | None,
    *,
    oracle: Oracle,
    header: Mapping[str, Any],
    seed: int,
    to: str | os.PathLike[str] | None = None,
    verifier: Verifier | None = None,
    hooks: RunHooks | None = None,
    compared: Callable[[RunLoop, outcome.Outcome[Any]], None] | None = None,
) -> Finished:
    """Run ``main(*args)`` as ``oracle`` decides, and record it under ``header``; see `execute` for the rest."""
    buffer = io.BytesIO()
    try:
        writer = Writer(to if to is not None else buffer, header)
    except OSError as error:
        raise _not_written(to, error) from error
    sink = _Sink(writer, to)
    journal = Journal(sink)
    try:
        with saved_every_second() if to is not None else nullcontext():
            loop, ended = execute(
                main,
                args,
                oracle=oracle,
                seed=seed,
                journal=journal,
                verifier=verifier,
                options=options,
                scope=scope,
                hooks=hooks,
                compared=compared,
            )
        digest = final_digest(journal, ended)
        if loop.interrupted or raised_interrupt(ended):
            writer.abandon()  # Ctrl-C came from outside: the recording is cut short, not ended
        elif sink.failed is not None:
            raise sink.failed
        else:
            writer.close(end_of(loop, digest, ended))
    except OSError as error:
        writer.abandon()
        raise _not_written(to, error) from error
    except BaseException:
        writer.abandon()
        raise
    recording = recording_of(writer, to if to is not None else buffer.getvalue())
    return Finished(
        ended, recording, digest.hex(), loop.steps_at_end, loop.time_at_end, draws=loop.draws, costs=loop.costs
    )


def shown_argument(argument: object) -> str:
    # For people to read; a program may be given an argument whose repr is larger than a header can be.
    text = repr(argument)
    if len(text) > ARGUMENT_CHARACTERS_MAX:
        text = text[: ARGUMENT_CHARACTERS_MAX - 3] + "..."
    return text.encode("utf-8", "replace").decode()


class _Sink:
    """Writes chunks until that fails, and then stops the run with an error that says so."""

    def __init__(self, writer: Writer, to: str | os.PathLike[str] | None) -> None:
        self.writer = writer
        self.to = to
        self.failed: UsageError | None = None

    def __call__(self, chunk: Chunk) -> None:
        if self.failed is not None:
            return  # the run is being closed: what was written before stays readable
        try:
            self.writer.write_chunk(chunk)
        except OSError as error:
            self.failed = _not_written(self.to, error)
            raise self.failed from error

    def save_open_chunk(self, chunk: Chunk) -> None:
        """Keep what an open chunk holds so far; a full disk is told of when it is closed."""
        if self.failed is None and self.writer.owned:
            with suppress(OSError, UsageError):
                self.writer.save_open_chunk(chunk)


def _not_written(to: str | os.PathLike[str] | None, error: OSError) -> UsageError:
    where = "to memory" if to is None else f"to {os.fspath(to)}"
    return UsageError(
        f"cannot write the recording {where}: {error.strerror or error}; make room there, or record to another place"
    )
