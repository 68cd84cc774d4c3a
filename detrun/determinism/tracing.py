"""Traces of runs, in enough detail to say at which step another run began to differ.

A `Tracer` looks at every closed step: the task, how its step ended, its events with their values, the time (together
its *behaviour*), and, beyond behaviour, where the task stands and what its simple local variables hold. Tracing
changes nothing: frames are read, and user code is never called.

A hash of its behaviour is kept for each step, 8 bytes; frames are looked at in ``DETAILS_MAX`` steps from a given one
on, which costs ten times as much as the hash, and these steps are kept in detail, some tens of megabytes at most. The
locals are those of the innermost user frame of the suspended task, and those with which coroutine functions of the user
returned during the step: a task that ends leaves no frame to look at.
"""

from __future__ import annotations

import enum
import inspect
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from types import FrameType
from typing import Any

import outcome
import trio

from detrun.ad.value import Value
from detrun.execution.execute import execute
from detrun.execution.finished import final_digest, raised_interrupt
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun_recorder.divergence import RunNames, describe_events
from detrun_scheduler.errors import text_of
from detrun_scheduler.journal import Journal, outcome_name
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.strategies import make
from detrun_scheduler.trio_host.pending import await_frames
from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP, DETACH_TRAP, WAIT_TRAP
from detrun_scheduler.user_code import is_user_file

DETAILS_MAX = 5_000
RETURNS_MAX = 16  # of one step
VARIABLES_MAX = 32  # of one frame
ITEMS_MAX = 16  # of one container
TEXT_CHARACTERS_MAX = 80
DEPTH_MAX = 3

_TRIO_ROOT = os.path.dirname(os.path.abspath(trio.__file__)) + os.sep


@dataclass(slots=True)
class Look:
    """One user frame, as it was found."""

    function: str
    file: str
    line: int
    variables: dict[str, str]  # simple local variables by name, in words

    @property
    def place(self) -> str:
        """``file:line in function``."""
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(slots=True)
class StepTrace:
    """One step in detail."""

    task: str  # path
    ended: str
    events: tuple[str, ...]
    time: float  # virtual seconds after the step
    values: str  # hash of the values of its events, which are not kept themselves
    looks: list[Look]


@dataclass(slots=True)
class Trace:
    """One run.

    Attributes:
        digest: of the whole run, in hexadecimal.
        ended: the result or the exception, in words.
        behaviour: a hash for each step.
        details: of the steps from ``first_detail`` on.
        left: the first step whose behaviour was not the expected one, with its number.
    """

    digest: str
    ended: str
    failed: bool
    steps: int
    virtual_time: float
    behaviour: array[int]
    first_detail: int
    details: list[StepTrace] = field(default_factory=list)
    left: tuple[int, StepTrace] | None = None

    def detail(self, step: int) -> StepTrace | None:
        """Step number ``step`` in detail, if it was kept."""
        index = step - self.first_detail
        return self.details[index] if 0 <= index < len(self.details) else None

    def pack(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return {
            "digest": self.digest,
            "ended": self.ended,
            "failed": self.failed,
            "steps": self.steps,
            "virtual_time": self.virtual_time,
            "behaviour": self.behaviour.tobytes(),
            "first_detail": self.first_detail,
            "details": [
                [step.task, step.ended, list(step.events), step.time, step.values, [_packed(one) for one in step.looks]]
                for step in self.details
            ],
        }

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> Trace:
        """What `pack` made, on the same machine."""
        details = [
            StepTrace(task, ended, tuple(events), time, values, [Look(*look) for look in looks])
            for task, ended, events, time, values, looks in packed["details"]
        ]
        return cls(**{**packed, "behaviour": array("Q", packed["behaviour"]), "details": details})


def _packed(look: Look) -> list[Any]:
    return [look.function, look.file, look.line, look.variables]


def traced(
    main: Main,
    args: Sequence[object],
    *,
    seed: int,
    strategy: str,
    max_steps: int | None,
    first_detail: int = 0,
    expected: array[int] | None = None,
    surroundings: Mapping[str, Any] | None = None,
) -> Trace:
    """Run ``main(*args)`` once under a tracer; ``expected`` are the hashes of an earlier run's behaviour.

    Args:
        surroundings: what is around the run, as keyword arguments of `Options`.
    """
    tracer = Tracer(first_detail, expected)
    journal = Journal()
    options = Options(max_steps=max_steps, **(surroundings or {}))
    with tracer.seeing_returns():
        loop, ended = execute(
            main, args, oracle=make(strategy), seed=seed, journal=journal, verifier=tracer, options=options
        )
    if loop.interrupted or raised_interrupt(ended):
        ended.unwrap()  # Ctrl-C is meant for us,
        raise KeyboardInterrupt  # also if the program caught it
    return Trace(
        digest=final_digest(journal, ended).hex(),
        ended=in_words(ended),
        failed=isinstance(ended, outcome.Error),
        steps=loop.steps_at_end,
        virtual_time=loop.time_at_end,
        behaviour=tracer.behaviour,
        first_detail=first_detail,
        details=tracer.details,
        left=tracer.left,
    )


def in_words(ended: outcome.Outcome[Any]) -> str:
    """How a program ended."""
    if isinstance(ended, outcome.Error):
        return f"raised {_shortened(f'{type(ended.error).__qualname__}: {text_of(ended.error)}'.rstrip(': '))}"
    assert isinstance(ended, outcome.Value)
    return f"returned {described(ended.value)}"


class Tracer:
    """The verifier of a run that is traced."""

    def __init__(self, first_detail: int = 0, expected: array[int] | None = None) -> None:
        self.first_detail = first_detail
        self.expected = expected
        self.left: tuple[int, StepTrace] | None = None
        self.behaviour: array[int] = array("Q")
        self.details: list[StepTrace] = []
        self.returned: list[Look] = []  # during the open step
        self.may_watch = False  # whether no other profiler is installed, which ours would replace
        self.watching = False
        self.chunk = 0  # first step of the journal's open chunk, from which the two positions count
        self.exact_seen = 0
        self.payloads_seen = 0
        self.objects_seen = 0
        self.names_seen = 0

    def step_closed(self, run: ActiveRun, task: int, outcome_byte: int, record: bytes) -> None:
        """Hash the step, and keep it if it is among those wanted in detail."""
        journal = run.journal
        if journal.first_step != self.chunk:
            self.chunk, self.exact_seen, self.payloads_seen = journal.first_step, 0, 0
        valued = [bytes(journal.exact[self.exact_seen :]), *journal.payloads[self.payloads_seen :]]
        self.exact_seen, self.payloads_seen = len(journal.exact), len(journal.payloads)
        labels = run.object_labels[self.objects_seen :]
        self.objects_seen += len(labels)
        names = list(journal.name_numbers)
        kinds = list(journal.kind_numbers)
        path, ended, time = run.path_of(task), outcome_name(outcome_byte, kinds), run.time
        behaviour = _hash(repr((path, ended, record, labels, names[self.names_seen :], valued, time)))
        self.names_seen = len(names)
        step = len(self.behaviour)
        self.behaviour.append(behaviour)
        wanted = self.first_detail <= step < self.first_detail + DETAILS_MAX
        leaves = (
            self.left is None and self.expected is not None and self.expected[step : step + 1] != self.behaviour[-1:]
        )
        if wanted or leaves:
            looks, self.returned = self.returned, []
            living = run.host.by_number.get(task)
            frame = _innermost(await_frames(living)) if living is not None else None
            if frame is not None:
                looks.append(look_at(frame))
            events = describe_events(record, RunNames(run.paths, kinds, run.object_labels, names))
            values = blake2b(repr(valued).encode(), digest_size=4).hexdigest()
            trace = StepTrace(path, ended, events, time, values, looks)
            if wanted:
                self.details.append(trace)
            if leaves:
                self.left = step, trace
        # The steps before and after need no frames, and a profiler more than doubles their cost.
        if self.watching and step + 1 >= self.first_detail + DETAILS_MAX:
            self._watch(False)
        elif step + 1 == self.first_detail:
            self._watch(True)

    @contextmanager
    def seeing_returns(self) -> Iterator[None]:
        """See with which variables the user's coroutine functions return; not while another profiler is on."""
        self.may_watch = sys.getprofile() is None
        if not self.first_detail:
            self._watch(True)
        try:
            yield
        finally:
            self._watch(False)

    def _watch(self, on: bool) -> None:
        if self.may_watch and on != self.watching:
            self.watching = on
            sys.setprofile(self._profile if on else None)

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "return" or not frame.f_code.co_flags & inspect.CO_COROUTINE or len(self.returned) >= RETURNS_MAX:
            return
        # A coroutine that is suspended "returns" trio's trap; it will be looked at when the step is closed.
        if argument is CHECKPOINT_TRAP or type(argument) in (WAIT_TRAP, DETACH_TRAP):
            return
        if _is_user(frame.f_code.co_filename):
            self.returned.append(look_at(frame))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=1024)
def _is_user(filename: str) -> bool:
    return is_user_file(filename) and not os.path.abspath(filename).startswith(_TRIO_ROOT)


@lru_cache(maxsize=1024)
def _absolute(filename: str) -> str:
    return filename if filename.startswith("<") else os.path.realpath(filename)


def _innermost(frames: Sequence[FrameType]) -> FrameType | None:
    return next((frame for frame in reversed(frames) if _is_user(frame.f_code.co_filename)), None)


def look_at(frame: FrameType) -> Look:
    """The place and the simple variables of a frame; of ``self``, its simple attributes."""
    variables: dict[str, str] = {}
    local = frame.f_locals
    attributes = getattr(local.get("self"), "__dict__", None)
    named = list(local.items())
    if isinstance(attributes, dict):
        named += [(f"self.{name}", value) for name, value in attributes.items()]
    for name, value in named:
        if len(variables) >= VARIABLES_MAX:
            break
        if is_simple(value):
            variables[name] = described(value)
    code = frame.f_code
    return Look(code.co_qualname, _absolute(code.co_filename), frame.f_lineno, variables)


_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_CONTAINERS = (tuple, list, dict, set, frozenset)


def is_simple(value: object) -> bool:
    """Whether `described` says what ``value`` is, and not only of which class."""
    return type(value) in _SCALARS or type(value) in _CONTAINERS or isinstance(value, Value | enum.Enum)


def described(value: Any, depth: int = 0) -> str:
    """``value`` in a few words that are equal in every process whenever the value is; sets are sorted."""
    kind = type(value)
    if kind is int and value.bit_length() > 256:
        return _shortened(f"{value:#x}")
    if kind in _SCALARS:
        return _shortened(repr(value))
    if isinstance(value, Value):
        return f"Value({value.primal!r})"
    if isinstance(value, enum.Enum):
        return f"{kind.__qualname__}.{value.name}"
    if kind not in _CONTAINERS:
        return f"<{kind.__qualname__}>"
    if depth >= DEPTH_MAX:
        return f"<{kind.__qualname__} of {len(value)}>"
    return _shortened(_described_container(value, kind, depth + 1))


def _described_container(value: Any, kind: type, depth: int) -> str:
    rest = f", … {len(value)} in all" if len(value) > ITEMS_MAX else ""
    if kind is dict:
        first = islice(value.items(), ITEMS_MAX)
        items = [f"{described(key, depth)}: {described(item, depth)}" for key, item in first]
        return f"{{{', '.join(items)}{rest}}}"
    if kind in (set, frozenset):
        # A large set has no first items that would be the same everywhere.
        shown = sorted(described(item, depth) for item in value) if not rest else []
        return f"{kind.__name__}({', '.join(shown)}{rest.removeprefix(', ')})"
    shown = [described(item, depth) for item in value[:ITEMS_MAX]]
    opening, closing = "()" if kind is tuple else "[]"
    return f"{opening}{', '.join(shown)}{rest}{closing}"


def _shortened(text: str) -> str:
    # The hash keeps long texts apart that begin alike.
    if len(text) <= TEXT_CHARACTERS_MAX:
        return text
    return f"{text[: TEXT_CHARACTERS_MAX - 20]}… #{_hash(text):016x}"
