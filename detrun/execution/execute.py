"""One controlled execution of a program, and what decides it.

`execute` is the one place where a program meets everything that a run controls: the loop with its oracle, the
generators and clocks of the process, the garbage collector, and the count of `Value` ids. It leaves the process as it
found it. A `Plan` says what decides the run and what becomes of its journal: `Anew` asks a strategy and records,
`Again` follows a recording and compares.
"""

from __future__ import annotations

import gc
import inspect
import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import blake2b
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import outcome
import trio

from detrun.ad import state
from detrun.ad.sums import SumsOfValues
from detrun.execution import recorded_options
from detrun.execution.thread_errors import with_thread_errors
from detrun_recorder.canonical import canonical
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording, open_recording
from detrun_recorder.replay import ResyncReplay, ResyncReport, StrictReplay
from detrun_recorder.writer import End, Writer
from detrun_scheduler import current
from detrun_scheduler.choices import Oracle
from detrun_scheduler.environment.environment import ControlledEnvironment
from detrun_scheduler.errors import (
    DeadlockError,
    DetrunError,
    DivergenceError,
    StepLimitError,
    UsageError,
    text_of,
)
from detrun_scheduler.journal import Chunk, Journal
from detrun_scheduler.loop import RunLoop, Verifier
from detrun_scheduler.strategies import make, name_of
from detrun_scheduler.threads.preemption import GRANULARITIES, Preemption
from detrun_scheduler.threads.watched_code import default_include

if TYPE_CHECKING:
    from detrun.races.detector import Races

Main = Callable[..., Any]

ARGUMENT_CHARACTERS_MAX = 500


@dataclass(slots=True)
class Options:
    """What does not decide a run but surrounds it; the fields are the keyword arguments of `detrun.record`."""

    max_steps: int | None = None
    observe: Callable[[], object] | None = None
    instruments: Sequence[trio.abc.Instrument] = ()
    strict_exception_groups: bool = True
    restrict_keyboard_interrupt_to_checkpoints: bool = False
    # None: "sync", or in a replay whatever the recording says. A campaign gives one `Preemption` for all its runs.
    preemption: str | Preemption | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    races: Races | None = None  # look for data races, and put them here
    thread_errors: bool | None = None  # fail by exceptions that leave threads; None: no, or as the recording says
    # Planned faults that are left out (0) or last a share of their time; None: in a replay whatever the recording says.
    fault_lengths: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        limit = self.max_steps
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise UsageError(f"max_steps={limit!r} must be an integer of at least 1, or None for no limit")


class Around(Protocol):
    """Does something at both ends of a run, inside its controlled environment."""

    def prepare(self, loop: RunLoop) -> Sequence[object]:
        """Everything is in place; the result is the program's arguments."""

    def harvest(self, ended: outcome.Outcome[Any]) -> None:
        """The program has ended; `Value` ids are still those of the run."""


def check_main(main: Main) -> None:
    """Raise `UsageError` unless ``main`` is a function, async or not, and no run, nor one of trio's, is around us."""
    if current.run is not None:
        raise UsageError(
            "a run is active already: record, replay and gradient cannot be called inside a run, nor in two threads "
            "at once"
        )
    if trio.lowlevel.in_trio_run():
        raise UsageError(
            "called inside trio.run: a run drives a trio program by itself; call this outside, or in a thread of its "
            "own (trio.to_thread.run_sync)"
        )
    function = main
    while isinstance(function, partial):
        function = function.func
    if inspect.iscoroutine(main):
        main.close()
        raise UsageError("expected a function, got a coroutine; pass main itself and its arguments: record(main)")
    if not callable(main) or inspect.isclass(function):
        raise UsageError(f"expected a function, got {main!r}")


def is_synchronous(main: Main) -> bool:
    """Whether ``main`` is an ordinary function, which runs as the main simulated thread, and not an async one."""
    if type(main) is FunctionType and not main.__dict__:
        return not main.__code__.co_flags & inspect.CO_COROUTINE  # as below, ten times as fast: asked for each run
    function = main
    while isinstance(function, partial):
        function = function.func
    by_call = getattr(type(function), "__call__", None)  # noqa: B004 (not whether it is callable, but how)
    return not inspect.iscoroutinefunction(function) and not inspect.iscoroutinefunction(by_call)


def preemption_of(main: Main, options: Options) -> Preemption | None:
    """Where the threads of a run of ``main`` are interrupted; None for synchronization operations only."""
    chosen = options.preemption
    if isinstance(chosen, Preemption):
        return chosen
    if chosen is None or chosen == "sync":
        if options.include or options.exclude:
            raise UsageError("include= and exclude= say what to preempt; choose preemption='line' or 'opcode', too")
        return None
    if chosen not in GRANULARITIES:
        raise UsageError(f"unknown preemption {chosen!r}; choose one of {', '.join(GRANULARITIES)}")
    return Preemption(chosen, options.include or default_include(main), options.exclude)


def execute(
    main: Main,
    args: Sequence[object],
    *,
    oracle: Oracle,
    seed: int,
    journal: Journal,
    verifier: Verifier | None = None,
    options: Options | None = None,
    around: Around | None = None,
) -> tuple[RunLoop, outcome.Outcome[Any]]:
    """Run ``main(*args)`` once under full control; return its loop and how it ended.

    An async function is the main task; any other function is the main simulated thread.

    Errors of the run itself (deadlock, divergence, step limit) come back as the outcome, so that the caller can finish
    the recording first.
    """
    check_main(main)
    options = options or Options()
    loop = RunLoop(
        oracle,
        seed=seed,
        journal=journal,
        max_steps=options.max_steps,
        verifier=verifier,
        instruments=options.instruments,
        strict_exception_groups=options.strict_exception_groups,
        restrict_keyboard_interrupt_to_checkpoints=options.restrict_keyboard_interrupt_to_checkpoints,
        preemption=preemption_of(main, options),
    )
    loop.thread_errors_are_told = bool(options.thread_errors)
    if isinstance(verifier, StrictReplay | ResyncReplay):
        loop.recorded_effect = verifier.recorded_effect
        loop.fault_lengths = verifier.recording.fault_lengths
    if options.fault_lengths is not None:
        loop.fault_lengths = options.fault_lengths
    if isinstance(verifier, StrictReplay):
        loop.host.failure_seen = verifier.failure_seen
    if options.observe is not None:
        loop.observer = _Observer(loop, options.observe)
    environment = ControlledEnvironment(seed, loop.virtual_clock)
    state.begin_run()
    collecting = gc.isenabled()
    gc.disable()
    try:
        # Programs get Values from what is around their runs, and from nowhere else.
        with environment, SumsOfValues() if around is not None else nullcontext():
            if around is not None:
                args = around.prepare(loop)
            run = partial(loop.run, main, *args, as_thread=is_synchronous(main))
            ended = _outcome_of(run if options.races is None else partial(_watched, loop, options.races, run))
        if loop.thread_failures and options.thread_errors:
            ended = with_thread_errors(loop, ended)
        if around is not None:
            around.harvest(ended)
    finally:
        state.end_run()
        if collecting:
            gc.enable()
    return loop, ended


def _outcome_of(run: Callable[[], outcome.Outcome[Any]]) -> outcome.Outcome[Any]:
    """How ``run`` ended, errors of the run itself included."""
    try:
        return run()
    except (DeadlockError, StepLimitError) as error:
        # Their tracebacks show nothing but the loop, and lead from there to all who called it: where one of those keeps
        # the error, as everybody does who asks for a `Run`, that is a cycle of garbage for each run that fails.
        return outcome.Error(error.with_traceback(None))
    except (DetrunError, trio.TrioInternalError) as error:
        return outcome.Error(error)


def _watched(loop: RunLoop, races: Races, run: Callable[[], outcome.Outcome[Any]]) -> outcome.Outcome[Any]:
    from detrun.races.happens_before import run_watched  # above this layer, and for few runs

    return run_watched(loop, races, run)


class _Observer:
    """Makes a value that the user watches part of the digest, at every step after which it has changed."""

    def __init__(self, loop: RunLoop, observe: Callable[[], object]) -> None:
        self.loop = loop
        self.observe = observe
        self.last: bytes | None = None

    def __call__(self) -> None:
        try:
            value = canonical(self.observe())
        except Exception as error:
            raise UsageError(
                f"observe raised {type(error).__name__}: {error}; it is called after every step, the first of which "
                "comes before the program has begun"
            ) from error
        if value != self.last:
            self.last = value
            self.loop.observe("observe", value)


def final_digest(journal: Journal, ended: outcome.Outcome[Any]) -> bytes:
    """The digest of a whole run: its journal's, and its result or the class and arguments of its exception."""
    hasher = blake2b(journal.hasher.digest(), digest_size=16)
    if isinstance(ended, outcome.Error):
        error = ended.error
        # Messages of our own errors name files and lines, which do not belong to the run.
        hasher.update(canonical(type(error).__qualname__ if isinstance(error, DetrunError) else error))
    else:
        assert isinstance(ended, outcome.Value)
        hasher.update(canonical(ended.value))
    return hasher.digest()


def end_of(loop: RunLoop, digest: bytes, ended: outcome.Outcome[Any]) -> End:
    """What a recording says last."""
    leaves = exception_leaves(ended.error) if isinstance(ended, outcome.Error) else []
    others = f" (and {len(leaves) - 1} more)" if len(leaves) > 1 else ""
    return End(
        steps=loop.steps_at_end,
        virtual_time=loop.time_at_end,
        digest=digest,
        outcome="error" if leaves else "ok",
        error_type=type(leaves[0]).__qualname__ if leaves else None,
        error_text=text_of(leaves[0]) + others if leaves else None,
        counts={"tasks": loop.host.spawned, "objects": len(loop.object_labels)},
    )


def exception_leaves(error: BaseException) -> list[BaseException]:
    """What really failed: the exceptions inside nested exception groups, in order; the exception itself otherwise."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in exception_leaves(one)]
    return [error]


@dataclass(slots=True)
class Finished:
    """A run that has ended, with its recording closed or compared."""

    outcome: outcome.Outcome[Any]
    recording: Recording
    digest: str
    steps: int
    virtual_time: float
    resync: ResyncReport | None = None


class Plan(Protocol):
    """What decides a run and what becomes of its journal."""

    def execute(self, main: Main, args: Sequence[object], options: Options, around: Around | None = None) -> Finished:
        """Run ``main(*args)``."""


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


def _not_written(to: str | os.PathLike[str] | None, error: OSError) -> UsageError:
    where = "to memory" if to is None else f"to {os.fspath(to)}"
    return UsageError(
        f"cannot write the recording {where}: {error.strerror or error}; make room there, or record to another place"
    )


@dataclass(slots=True)
class Anew:
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

    def execute(self, main: Main, args: Sequence[object], options: Options, around: Around | None = None) -> Finished:
        """Run and record."""
        check_main(main)
        oracle = make(self.strategy)
        header = describe_run(
            target=self.target if self.target is not None else target_of(main),
            seed=self.seed,
            strategy=name_of(self.strategy),
            arguments=[] if self.params else [_shown(argument) for argument in args],
            parameters=dict(self.params),
            source_fingerprint=source_fingerprint(main),
            extra=recorded_options.shown(options),
        )
        buffer = io.BytesIO()
        try:
            writer = Writer(self.to if self.to is not None else buffer, header)
        except OSError as error:
            raise _not_written(self.to, error) from error
        sink = _Sink(writer, self.to)
        journal = Journal(sink)
        try:
            loop, ended = execute(
                main, args, oracle=oracle, seed=self.seed, journal=journal, options=options, around=around
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
            raise _not_written(self.to, error) from error
        except BaseException:
            writer.abandon()
            raise
        recording = open_recording(self.to if self.to is not None else buffer.getvalue())
        return Finished(ended, recording, digest.hex(), loop.steps_at_end, loop.time_at_end)


@dataclass(slots=True)
class Again:
    """A recorded run once more: strictly, or resynchronizing with an edited program."""

    recording: Recording
    resync: bool = False
    strategy: str | Oracle | None = None  # where the recording is silent; its own by default

    def execute(self, main: Main, args: Sequence[object], options: Options, around: Around | None = None) -> Finished:
        """Run and compare."""
        check_main(main)
        recording = self.recording
        options = recorded_options.with_recorded(options, recording)
        fallback = make(self.strategy if self.strategy is not None else recorded_strategy(recording))
        replayer: StrictReplay | ResyncReplay
        if self.resync:
            replayer = ResyncReplay(recording, fallback)
            journal = Journal(None)
        else:
            changed = recording.header.get("source") not in (None, source_fingerprint(main))
            replayer = StrictReplay(recording, fallback, changed)
            journal = Journal(replayer.chunk_closed)
        loop, ended = execute(
            main,
            args,
            oracle=replayer,
            seed=recording.seed or 0,
            journal=journal,
            verifier=replayer,
            options=options,
            around=around,
        )
        if loop.interrupted:
            # Whoever asked for a replay pressed Ctrl-C, and what the program made of it compares with nothing.
            raise ended.error if raised_interrupt(ended) else KeyboardInterrupt
        digest = final_digest(journal, ended)
        if isinstance(replayer, StrictReplay):
            if isinstance(ended, outcome.Error) and isinstance(ended.error, DivergenceError):
                raise ended.error  # the replay failed, not the program: never an outcome to look at later
            replayer.check_ended(loop, digest, ended)
        report = replayer.report if isinstance(replayer, ResyncReplay) else None
        return Finished(ended, recording, digest.hex(), loop.steps_at_end, loop.time_at_end, report)


def raised_interrupt(ended: outcome.Outcome[Any]) -> TypeGuard[outcome.Error]:
    """Whether a `KeyboardInterrupt` ended the run, on its own or in the groups that nurseries make of it."""
    leaves = exception_leaves(ended.error) if isinstance(ended, outcome.Error) else []
    return any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves)


def recorded_strategy(recording: Recording) -> str:
    """The strategy that made a recording, or the random walk if it was an oracle that has no name here."""
    name = str(recording.header.get("strategy", "random"))
    try:
        make(name)
    except UsageError:
        return "random"
    return name


def _shown(argument: object) -> str:
    # For people to read; a program may be given an argument whose repr is larger than a header can be.
    text = repr(argument)
    if len(text) > ARGUMENT_CHARACTERS_MAX:
        text = text[: ARGUMENT_CHARACTERS_MAX - 3] + "..."
    return text.encode("utf-8", "replace").decode()


def target_of(main: Main) -> str:
    """``path.py:function`` of a program, relative to the working directory where it lies below it."""
    function = main
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    path = _source_path(function)
    return f"{path}:{name}" if path else f"{getattr(function, '__module__', '?')}:{name}"


def _source_path(function: object) -> str | None:
    code = getattr(function, "__code__", None)
    if code is None or not os.path.isfile(code.co_filename):
        return None
    path = os.path.abspath(code.co_filename)
    here = os.getcwd()
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path


def source_fingerprint(main: Main) -> str | None:
    """A hash of the source file that defines ``main``, None if there is none."""
    function = main
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None or not os.path.isfile(code.co_filename):
        return None
    return _hash_of_file(code.co_filename, os.stat(code.co_filename).st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of_file(path: str, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return blake2b(file.read(), digest_size=8).hexdigest()
