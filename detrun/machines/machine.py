"""`StateMachine`: a program as a sequence of events, each a pure step from one state to the next.

``apply(state, event) -> state`` says what an event does. The machine keeps the initial state and the events, so any
state of the past can be had again: by number, backward in time, or on the tape, to ask how a loss of the present state
would have moved with the initial state, with any event, or with the parameters of `apply`.

The rule: `apply` must be a function of its arguments. It may change the state that it is given in place, since every
state that is kept is a copy, but it must not read a clock, draw at random, or count calls; events carry what came from
outside. A gradient applies the events again and compares where it ends with the recorded end.

Nothing is differentiated while events are dispatched: they run on plain floats at full speed. The exception is a
machine with ``snapshots``, which keeps states while a run of unknown length goes on; there, states hold `Value`s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from detrun.ad import state as ad_state
from detrun.ad import trees
from detrun.ad.diagnostics import peak_bytes
from detrun.ad.revolve import Action, Advance, Free, Keep, Restore, Reverse, check, reversal
from detrun.ad.sums import SumsOfValues
from detrun.ad.value import Value
from detrun.machines.application import Application, Keys
from detrun.machines.gradient import (
    BIAS,
    EventAdjoints,
    EventSourcedGradient,
    Sweep,
    adjoint_tree,
    with_respect_to,
    zero_tree,
)
from detrun.machines.index import EventIndex
from detrun.machines.kept_states import KeptStates
from detrun.machines.keyed_state import STRUCTURE, KeyedState, commit_returned
from detrun.machines.log import EventLog
from detrun.machines.store import MemoryStore, StateStore, TwoLevelStore, make_store
from detrun_recorder.canonical import canonical
from detrun_scheduler.errors import DivergenceError, UsageError

State = TypeVar("State")

WINDOW = 256
"""Events per window: the tape of 256 small events takes a megabyte, and starting one costs as much as a few events."""


class StateMachine(Generic[State]):
    """A state and the events that made it.

    Args:
        apply: ``apply(state, event)``, or ``apply(state, event, params)`` if there are ``params``; returns the state
            after the event. A subclass may define it as a method instead.
        initial_state: a tree of numbers (see `detrun.ad.trees`); a copy is kept.
        params: numbers that `apply` gets as a read-only mapping.
        keys: for a state that is a dict of independent things, what an event touches: a function from an event to the
            keys that it may read or write, or ``"observed"``. `apply` then gets a `KeyedState`, assigns its keys and
            returns it, and gradients run over the backward slice of the loss alone.
        snapshots: keep so many states while events are dispatched (Wang, Moin and Iaccarino, see
            `detrun.ad.revolve.OnlineReversal`), for `state_at` and for ``gradient(…, snapshots="kept")``. Events then
            run on `Value`s, several times slower than on floats.
        window: with ``snapshots``, how many events lie between two places where a state can be kept.
        storage: with ``snapshots``, where they wait: ``"memory"``, ``"disk"`` or a directory.

    A machine inside a run (`detrun.record`, `detrun.gradient`) takes events that hold the run's Values like any other
    object of the program, and the run differentiates through it.
    """

    def __init__(
        self,
        apply: Callable[..., State] | None = None,
        initial_state: State | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        keys: Keys | str | None = None,
        snapshots: int | None = None,
        window: int = 1,
        storage: str | os.PathLike[str] = "memory",
    ) -> None:
        if apply is None:
            apply = getattr(self, "apply", None)
        if params is not None and not isinstance(params, Mapping):
            raise UsageError(f"StateMachine: params={params!r:.80} is not a dict; pass params={{'name': number, ...}}")
        initial: Any = initial_state
        if not callable(apply):
            raise UsageError("StateMachine: pass apply(state, event), or define a method of that name in a subclass")
        if keys is not None and keys != "observed" and not callable(keys):
            raise UsageError(f'StateMachine: keys={keys!r}; pass a function from an event to its keys, or "observed"')
        if keys is not None and type(initial) is not dict:
            raise UsageError(f"StateMachine: a keyed machine's state is a dict, not a {type(initial).__name__}")
        _check_window("StateMachine", window)
        self._application = Application(apply, keys)
        self._keyed = keys is not None
        self._params = trees.copy(dict(params)) if params is not None else None
        self._initial: Any = trees.copy(initial)
        self._log = EventLog()
        self._applied = 0
        self._index = EventIndex()
        # The values under the keys of a keyed state are never changed in place, see `KeyedState`.
        self._copy: Callable[[Any], Any] = dict.copy if self._keyed else trees.copy
        self._online: KeptStates | None = None
        self._state: Any = self._copy(self._initial)
        self._step_params: Mapping[str, Any] | None = _read_only(self._params)
        if snapshots is not None:
            if ad_state.in_run:
                raise UsageError(
                    "StateMachine: snapshots= keeps states with Values of the machine's own; make it outside a run"
                )
            self._online = KeptStates(snapshots, window, make_store(storage, self._copy))
            with self._online.numbering():
                params_tracked = trees.track(self._params)
                self._state = self._copy(trees.track(self._initial))
                self._online.initial, self._online.params = self._copy(self._state), params_tracked
                self._step_params = _read_only(params_tracked)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} after {self._applied} events>"

    @property
    def state(self) -> State:
        """The present state, as a copy."""
        return cast(State, trees.plain(self._state) if self._online else trees.copy(self._state))

    def value_of(self, key: Any) -> Any:
        """What a keyed machine has under a key at present, as a copy; costs the size of that and not of the state.

        Raises:
            UsageError: the machine is not keyed, or has nothing under this key.
        """
        if not self._keyed:
            raise UsageError("value_of: only a machine with keys=… has values under keys; read machine.state")
        if key not in self._state:
            raise UsageError(f"value_of: the state has nothing under {key!r}")
        return trees.plain(self._state[key]) if self._online else trees.copy(self._state[key])

    @property
    def events(self) -> EventLog:
        """Every event dispatched so far; ``events.save(path)`` writes them to a file."""
        return self._log

    def dispatch(self, event: Any) -> None:
        """Apply an event and record it. If `apply` raises, the machine is as before.

        Raises:
            UsageError: the event or the new state holds what no tree may hold, `apply` touched a key that ``keys`` does
                not name, or, for a machine with ``snapshots``, a run is going on.
        """
        self._check_log()
        has_values = ad_state.in_run and any(isinstance(leaf, Value) for leaf in trees.STATES.leaves(event))
        if self._online is None:
            after, touched = self._application.first(self._state, trees.copy(event), self._step_params)
        else:
            if ad_state.in_run or ad_state.taping:
                raise UsageError(
                    "dispatch: a machine with snapshots= keeps states with Values of its own; use it outside runs"
                )
            with self._online.numbering():
                if self._online.leaves_window(self._applied):
                    self._online.leave(self._state)
                after, touched = self._application.first(self._state, trees.track(event), self._step_params)
        self._log.append(event, has_values=has_values)
        if touched is not None:
            commit_returned(touched, after)
            self._index.append(touched.read, touched.wrote)
        else:
            self._state = after
        self._applied += 1

    def dispatch_all(self, events: Iterable[Any]) -> None:
        """Dispatch one event after another."""
        for event in events:
            self.dispatch(event)

    def state_at(self, number: int) -> State:
        """The state after the first ``number`` events; 0 is the initial state. Costs the events since a kept one."""
        if not isinstance(number, int) or not 0 <= number <= self._applied:
            raise UsageError(f"state_at({number!r}): there are states 0 to {self._applied}")
        if number == self._applied:
            return self.state
        start, present = 0, self._copy(self._initial)
        if self._online is not None:
            start, present = self._online.nearest(number, present)
        return cast(State, trees.copy(self._replayed(present, start, number)))

    def backward_in_time(self, snapshots: int = 30, window: int = WINDOW) -> Iterator[tuple[int, State]]:
        """(n, state after n events) from the present back to 0, holding ``snapshots + window`` states at most."""
        _check_window("backward_in_time", window)
        end = self._applied
        yield end, self.state
        store = MemoryStore(self._copy)
        present = self._copy(self._initial)
        for action in reversal(-(-end // window), snapshots):
            match action:
                case Advance(start, stop):
                    present = self._replayed(present, start * window, stop * window)
                case Keep(_, slot):
                    store.put(slot, present, 0)
                case Restore(_, slot):
                    present, _ = store.get(slot)
                case Free(_, slot):
                    store.free(slot)
                case Reverse(number):
                    first = number * window
                    states = [trees.copy(present)]
                    for place in range(first, min(first + window, end) - 1):
                        present = self._replayed(present, place, place + 1)
                        states.append(trees.copy(present))
                    while states:
                        yield first + len(states) - 1, cast(State, states.pop())

    def gradient(
        self,
        loss: Callable[[Any], Any],
        wrt: str | Sequence[str] = "initial state",
        *,
        snapshots: int | tuple[int, int] | str | None = None,
        window: int | None = None,
        storage: str | os.PathLike[str] = "memory",
        sparse: bool | None = None,
    ) -> EventSourcedGradient:
        """Differentiate a loss of the present state.

        Args:
            loss: a function from the state to one number; of a keyed machine it gets the state as a `KeyedState`.
            wrt: one or several of ``"initial state"``, ``"events"``, ``"params"``.
            snapshots: None tapes everything at once; ``c`` reverses window by window with at most ``c`` kept states;
                ``(m, d)`` with ``m`` in memory and ``d`` on disk; ``"kept"`` starts from those of the machine.
            window: events per window, 256 by default; with ``"kept"`` the machine's.
            storage: ``"memory"``, ``"disk"`` for a temporary directory, or a directory.
            sparse: apply only events that the loss can depend on; by default wherever the machine is keyed.

        The gradient has the same bits whatever ``snapshots``, ``window``, ``storage`` and ``sparse`` are.

        Raises:
            UsageError: a run is going on, or an argument does not fit the machine.
            DivergenceError: applied again, the events led to another state: `apply` depends on more than its arguments.
            NotDifferentiableError: the loss is not a number, or its derivative does not exist.
        """
        self._check_log()
        chosen = with_respect_to(wrt, self._params is not None)
        kept = self._online if snapshots == "kept" else None
        if isinstance(snapshots, str) and snapshots != "kept":
            raise UsageError(f'gradient: snapshots={snapshots!r}; pass a number, a pair of numbers, "kept" or None')
        if snapshots == "kept" and (kept is None or sparse or window is not None):
            raise UsageError(
                'gradient: snapshots="kept" needs StateMachine(…, snapshots=c), goes without sparse, and has the '
                "machine's window"
            )
        if sparse is None:
            sparse = self._keyed and kept is None
        if sparse and not self._keyed:
            raise UsageError("gradient: sparse=True needs a machine with keys=…, which says what an event touches")
        read = self._read_by(loss)
        initial, numbers = self._sliced(read) if sparse else (self._initial, range(self._applied))
        if isinstance(snapshots, tuple) and len(snapshots) != 2:
            raise UsageError(f"gradient: snapshots={snapshots!r}; a pair says how many in memory and how many on disk")
        slots = sum(snapshots) if isinstance(snapshots, tuple) else snapshots
        if slots is not None and not isinstance(slots, str):
            check(len(numbers), slots)
        if window is None:
            window = kept.window if kept else max(1, len(numbers)) if slots is None else WINDOW
        else:
            _check_window("gradient", window)

        def checked_loss(final: Any) -> Any:
            self._check_end(final, read)
            return loss(KeyedState(final) if self._keyed else final)

        store = self._store(snapshots, storage)
        try:
            ad_state.begin_run(kept.first_id if kept else None)
            try:
                actions: Iterable[Action]
                if kept is not None:
                    tracked, params, actions = kept.initial, kept.params, kept.actions(store)
                    ad_state.rewind(kept.next_id)
                else:
                    tracked = trees.track(initial) if "initial state" in chosen else initial
                    params = trees.track(self._params) if "params" in chosen else self._params
                    windows = -(-len(numbers) // window)
                    actions = reversal(windows, cast(int, slots)) if windows > 1 else [Reverse(0)]
                step = self._application.again(_read_only(params))
                track_events = kept is not None or "events" in chosen
                sweep = Sweep(
                    self._log.__getitem__, numbers, step, window, store, track_events=track_events, loss=checked_loss
                )
                with SumsOfValues():
                    sweep.carry_out(actions, self._copy(tracked))
                return self._result(chosen, sweep, tracked, params, sparse)
            finally:
                ad_state.end_run()
        finally:
            store.close()

    def _read_by(self, loss: Callable[[Any], Any]) -> dict[Any, None]:
        """The keys that a loss of a keyed machine reads: it is called once more, on plain numbers, to see."""
        if not self._keyed:
            return {}
        seen = KeyedState(trees.plain(self._state) if self._online else self._state)
        loss(seen)
        return seen.read

    def _sliced(self, read: dict[Any, None]) -> tuple[dict[Any, Any], Sequence[int]]:
        """The part of the initial state, and the events, that some keys depend on."""
        found = self._index.backward_slice(read)
        every_key = STRUCTURE in found.initial_keys
        initial = {key: one for key, one in self._initial.items() if every_key or key in found.initial_keys}
        return initial, found.events

    def _result(
        self, chosen: tuple[str, ...], sweep: Sweep, tracked: Any, params: Any, sparse: bool
    ) -> EventSourcedGradient:
        diagnostics = sweep.finished_diagnostics()
        diagnostics.events = self._applied
        diagnostics.peak_bytes = peak_bytes()
        diagnostics.events_in_slice = diagnostics.events_taped
        initial_state = None
        if "initial state" in chosen:
            initial_state = adjoint_tree(tracked, sweep.adjoints)
            if sparse:
                initial_state = {
                    key: initial_state[key] if key in initial_state else zero_tree(one)
                    for key, one in self._initial.items()
                }
        value = sweep.value
        return EventSourcedGradient(
            value=value.primal if isinstance(value, Value) else float(value),
            initial_state=initial_state,
            events=EventAdjoints(self._log, sweep.event_adjoints) if "events" in chosen else None,
            params=adjoint_tree(params, sweep.adjoints) if "params" in chosen else None,
            kind="local",
            bias=BIAS,
            diagnostics=diagnostics,
            warnings=list(diagnostics.warnings),
        )

    def _store(self, snapshots: int | tuple[int, int] | str | None, storage: str | os.PathLike[str]) -> StateStore:
        if isinstance(snapshots, tuple):
            return TwoLevelStore(snapshots[1], None if storage in ("memory", "disk") else storage, self._copy)
        return make_store(storage, self._copy)

    def _replayed(self, state: Any, start: int, stop: int) -> Any:
        """Plain states, from one number to another."""
        step = self._application.again(_read_only(self._params))
        for number in range(start, stop):
            state = step(state, self._log[number], number)
        return state

    def _check_end(self, final: Any, read: dict[Any, None]) -> None:
        recorded = self._state
        if self._keyed:
            keys = [key for key in read if key in recorded]
            final, recorded = {key: final.get(key) for key in keys}, {key: recorded[key] for key in keys}
        if canonical(final) != canonical(recorded):
            raise DivergenceError(
                f"the {self._applied} events, applied again, led to another state than they did when dispatched: "
                "apply depends on more than its arguments. Put what it reads from elsewhere into the event"
            )

    def _check(self) -> None:
        """Every structural invariant; called by stress tests, never in production."""
        self._log._check()
        self._index._check()
        assert len(self._log) == self._applied
        assert self._index.events == (self._applied if self._keyed else 0)

    def _check_log(self) -> None:
        if len(self._log) != self._applied:
            raise UsageError(
                f"{len(self._log)} events are recorded, but {self._applied} were dispatched; use machine.dispatch_all, "
                "not machine.events.append"
            )


def _check_window(where: str, window: Any) -> None:
    if not isinstance(window, int) or window < 1:
        raise UsageError(f"{where}: window={window!r}; a window holds a whole number of events, at least 1")


def _read_only(params: dict[str, Any] | None) -> Mapping[str, Any] | None:
    return None if params is None else MappingProxyType(params)
