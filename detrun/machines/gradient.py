"""Local gradient of an event-sourced machine: its events are applied again, in windows, each reversed in its turn.

A machine's state is data, so a kept state is a copy and no process is forked. Everything that carries a derivative is a
`Value` from the start, with ids allotted as the events go by, tape or no tape: a restored state brings its next id
along, its window makes the very Values that it made before, and the adjoints that cross from window to window are a
plain ``{id: adjoint}``. The sweep adds to every adjoint in the same order however the events are cut, wherever
states are kept, and whether or not events that the loss cannot depend on take part. Gradients are therefore equal to
the last bit between one whole tape, any number of kept states, memory, disk, and the backward slice alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from detrun.ad import state, trees
from detrun.ad.diagnostics import Diagnostics, diagnose, nearest_places
from detrun.ad.growth import AdjointGrowth
from detrun.ad.reverse import backward, refuse_foreign
from detrun.ad.revolve import Action, Advance, Free, Keep, Restore, Reverse
from detrun.ad.tape import Tape
from detrun.ad.value import Value
from detrun.machines.store import StateStore
from detrun_scheduler.errors import NotDifferentiableError, UsageError

BIAS = "sensitivity of these events in this order: branches that apply took do not move with what is differentiated"
NEAREST_MAX = 5
EVENTS_SHOWN_MAX, LEAVES_SHOWN_MAX = 5, 20  # in the text of a gradient
WITH_RESPECT_TO = ("initial state", "events", "params")

# One event: state before and tracked event in, state after out. The state may be changed in place.
Step = Callable[[Any, Any, int], Any]


@dataclass(slots=True)
class EventSourcedDiagnostics(Diagnostics):
    """Facts about one gradient of a machine; ``entries`` counts all tapes together."""

    events: int = 0
    """Events of the machine when the gradient was taken."""
    events_in_slice: int = 0
    """Events that the loss can depend on, as far as was asked; all of them without sparse reverse."""
    events_taped: int = 0
    """Events applied with the tape on: each of the slice once."""
    events_replayed: int = 0
    """Events applied without a tape, to get from a kept state to a window."""
    windows: int = 0
    snapshots_peak: int = 0
    """States kept at once."""
    entries_peak: int = 0
    """Entries on the longest tape, which is what the tape costs in memory."""
    peak_bytes: int = 0
    """Largest resident memory of the process so far."""


@dataclass(slots=True)
class EventAdjoints:
    """``d loss / d event``: by index, a tree like the event with an adjoint for every number in it."""

    _events: Sequence[Any]
    _found: dict[int, tuple[float, ...]]

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: int) -> Any:
        place = index + len(self) if index < 0 else index
        event = self._events[place]
        if place not in self._found:
            return zero_tree(event)
        adjoints = iter(self._found[place])
        return trees.STATES.map(lambda leaf: next(adjoints), event)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def largest(self, most: int = 5) -> list[tuple[int, float]]:
        """(event, largest absolute adjoint of a number in it): the events that matter most, those first."""
        sizes = [(place, max(map(abs, adjoints))) for place, adjoints in self._found.items()]
        return sorted(sizes, key=lambda one: (-one[1], one[0]))[:most]


@dataclass(slots=True)
class EventSourcedGradient:
    """The result of `StateMachine.gradient`; what was not asked for is None.

    Attributes:
        value: the loss.
        initial_state: a tree like the initial state with ``d loss / d number`` for every number in it.
        events: the same for every event.
        params: the same for the parameters of `apply`.
        kind: ``"local"``, as for `detrun.gradient`.
        bias: in a sentence, what the gradient leaves out.
        diagnostics: what it cost, where it is close to a jump, how adjoints grow.
        warnings: what a reader should know before using the numbers.
    """

    value: float
    initial_state: Any
    events: EventAdjoints | None
    params: dict[str, Any] | None
    kind: str
    bias: str
    diagnostics: EventSourcedDiagnostics
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The numbers laid out: parameters and initial state by path, of the events those that matter most."""
        lines = [f"{self.kind} gradient of {self.value:.9g} over {self.diagnostics.events:,} events"]
        for heading, tree in (("params", self.params), ("initial state", self.initial_state)):
            if tree is not None:
                lines += [f"  {heading}", *_shown_leaves(tree)]
        if self.events is not None:
            lines.append("  events with the largest adjoints")
            lines += [f"    {index:>8,}  {size:.9g}" for index, size in self.events.largest(EVENTS_SHOWN_MAX)]
        lines.append(f"  {self.bias}")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _shown_leaves(tree: Any) -> list[str]:
    leaves = [(path or "value", leaf) for path, leaf in trees.STATES.leaves_with_paths(tree)]
    width = max((len(path) for path, _ in leaves), default=0)
    shown = [f"    {path:<{width}}  {leaf:.9g}" for path, leaf in leaves[:LEAVES_SHOWN_MAX]]
    if len(leaves) > LEAVES_SHOWN_MAX:
        shown.append(f"    and {len(leaves) - LEAVES_SHOWN_MAX:,} more")
    return shown


class Sweep:
    """Carries out the actions of a reversal over some events.

    Args:
        events: what to apply, in order, and ``numbers``, what each is called.
        step: applies one event.
        window: events per window.
        store: for kept states; may hold some already, if the first action restores one.
        track_events: whether numbers in events get adjoints.
        loss: the loss of the last state; called once, on the tape of the last window.
    """

    def __init__(
        self,
        events: Callable[[int], Any],
        numbers: Sequence[int],
        step: Step,
        window: int,
        store: StateStore,
        *,
        track_events: bool,
        loss: Callable[[Any], Any],
    ) -> None:
        self.diagnostics = EventSourcedDiagnostics(windows=max(1, -(-len(numbers) // window)))
        self.adjoints: dict[int, Any] = {}
        self.event_adjoints: dict[int, tuple[float, ...]] = {}
        self.value: Value | float = 0.0
        self._events, self._numbers, self._step, self._window = events, numbers, step, window
        self._store = store
        self._track_events = track_events
        self._loss = loss
        self._growth = AdjointGrowth(origin=state.first_id)
        self._detachments: dict[tuple[str, int], int] = {}

    def carry_out(self, actions: Iterable[Action], present: Any) -> None:
        """Afterwards ``adjoints`` holds those of every id older than the first window, ``value`` the loss."""
        done = self.diagnostics
        for action in actions:
            match action:
                case Advance(start, stop):
                    for place in range(start * self._window, stop * self._window):
                        present = self._step(present, self._event(place), self._numbers[place])
                    done.events_replayed += (stop - start) * self._window
                case Keep(_, slot):
                    self._store.put(slot, present, state.peek_id())
                case Restore(_, slot):
                    present, next_id = self._store.get(slot)
                    state.rewind(next_id)
                case Free(_, slot):
                    self._store.free(slot)
                case Reverse(window):
                    self._reverse(window, present)
        refuse_foreign(self.adjoints, state.first_id)
        done.snapshots_peak = self._store.peak

    def _event(self, place: int) -> Any:
        event = self._events(self._numbers[place])
        return trees.track(event) if self._track_events else event

    def _reverse(self, window: int, present: Any) -> None:
        first = window * self._window
        last = min(first + self._window, len(self._numbers))
        event_ids: list[tuple[int, list[int]]] = []
        with state.taped() as tape:
            for place in range(first, last):
                event = self._event(place)
                if self._track_events:
                    event_ids.append((self._numbers[place], [leaf.id for leaf in trees.STATES.leaves(event)]))
                present = self._step(present, event, self._numbers[place])
            if window == self.diagnostics.windows - 1:
                self._take_loss(self._loss(present))
        wanted = [one for _, ids in event_ids for one in ids]
        found = backward(tape, self.adjoints, wanted=wanted, growth=self._growth)
        for number, ids in event_ids:
            adjoints = tuple(found.pop(one) for one in ids)
            if any(adjoints):
                self.event_adjoints[number] = adjoints
        self.adjoints = found
        self.diagnostics.events_taped += last - first
        self._add_diagnostics(tape)

    def _take_loss(self, loss: Any) -> None:
        if isinstance(loss, Value):
            self.adjoints = {loss.id: 1.0}
        elif not isinstance(loss, int | float) or isinstance(loss, bool):
            raise NotDifferentiableError(f"the loss is {loss!r}; it must be one number")
        self.value = loss

    def _add_diagnostics(self, tape: Tape) -> None:
        # Tape by tape, so that no tape is kept; `finished_diagnostics` puts the sums in order.
        one = diagnose([tape], nearest_max=NEAREST_MAX)
        done = self.diagnostics
        done.entries += one.entries
        done.entries_peak = max(done.entries_peak, one.entries)
        done.sites_passed += one.sites_passed
        done.nearest_margins = nearest_places([*done.nearest_margins, *one.nearest_margins], NEAREST_MAX)
        for file, line, times in one.detachments:
            self._detachments[file, line] = self._detachments.get((file, line), 0) + times

    def finished_diagnostics(self) -> EventSourcedDiagnostics:
        """With adjoint growth and warnings."""
        done = self.diagnostics
        done.detachments = [(file, line, times) for (file, line), times in sorted(self._detachments.items())]
        done.adjoint_growth = self._growth.segments()
        verdict = self._growth.verdict()
        if verdict is not None:
            done.warnings.append(verdict)
        done.warnings += done.detachment_warnings()
        if not isinstance(self.value, Value):
            done.warnings.append("the loss is a plain number: it does not depend on what is differentiated")
        return done


def adjoint_tree(tracked: Any, adjoints: dict[int, Any]) -> Any:
    """A tree like ``tracked`` that holds the adjoint of each leaf."""
    return trees.STATES.map(lambda leaf: adjoints.get(leaf.id, 0.0), tracked)


def with_respect_to(wrt: str | Sequence[str], has_params: bool) -> tuple[str, ...]:
    """The things to differentiate with respect to, checked; raises `UsageError`."""
    chosen = (wrt,) if isinstance(wrt, str) else tuple(wrt)
    for one in chosen:
        if one not in WITH_RESPECT_TO:
            raise UsageError(f"gradient: wrt={one!r}; choose among {', '.join(map(repr, WITH_RESPECT_TO))}")
    if "params" in chosen and not has_params:
        raise UsageError("gradient: this machine has no params; pass StateMachine(…, params={'name': number})")
    if not chosen:
        raise UsageError("gradient: wrt is empty; say what to differentiate with respect to")
    return chosen


def zero_tree(tree: Any) -> Any:
    """A tree like ``tree`` that holds adjoints of zero."""
    return trees.STATES.map(lambda leaf: 0.0, tree)
