"""`Application`: calls `apply` for a dispatched event, and again in replays.

The first time, when an event is dispatched, the call may fail and must then have changed nothing; of a keyed machine it
also finds out which keys the event touches. Again, in a replay, it works on a state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from detrun.ad import trees
from detrun.machines.keyed_state import STRUCTURE, KeyedState, commit_returned
from detrun_scheduler.errors import DivergenceError, UsageError

Keys = Callable[[Any], Iterable[Any]]
Params = Mapping[str, Any] | None


class Application:
    """Args: ``apply`` and ``keys`` as `StateMachine` takes them."""

    def __init__(self, apply: Callable[..., Any], keys: Keys | str | None) -> None:
        self._apply = apply
        self._keys = keys

    def first(self, state: Any, event: Any, params: Params) -> tuple[Any, KeyedState | None]:
        """The state that `apply` returned; of a keyed machine with the view that is still to be committed.

        Raises:
            UsageError: `apply` returned nothing, or touched a key that was not declared.
        """
        if self._keys is not None:
            view = self._view(state, event)
            return self._called(view, event, params), view
        # A copy, so that an `apply` that changes it in place and then raises has done no harm.
        after = self._called(trees.copy(state), event, params)
        if after is None and state is not None:
            raise UsageError("apply returned None; it must return the state after the event")
        return after, None

    def again(self, params: Params) -> Callable[[Any, Any, int], Any]:
        """A function of state, event and its number that gives the state after it; it may change the one it is given.

        Raises (the function):
            DivergenceError: a key is missing that was there when the event was dispatched.
        """
        if self._keys is None:
            return lambda state, event, number: self._called(state, event, params)

        def step(state: dict[Any, Any], event: Any, number: int) -> dict[Any, Any]:
            view = self._view(state, event)
            try:
                commit_returned(view, self._called(view, event, params))
            except KeyError as error:
                raise DivergenceError(
                    f"event {number}, applied again, read key {error} of the state, which it did not read when it was "
                    "recorded: apply depends on more than its arguments. Put all that it reads into the event"
                ) from error
            return state

        return step

    def _called(self, state: Any, event: Any, params: Params) -> Any:
        return self._apply(state, event) if params is None else self._apply(state, event, params)

    def _view(self, state: dict[Any, Any], event: Any) -> KeyedState:
        if not callable(self._keys):
            return KeyedState(state)
        declared = dict.fromkeys(self._keys(trees.plain(event)))

        def refusal(key: Any) -> UsageError:
            what = "the set of all keys" if key is STRUCTURE else f"key {key!r}"
            return UsageError(
                f"apply touched {what} of the state, but keys(event) declares only {list(declared)!r} for event "
                f'{trees.plain(event)!r}. Declare it, or let the machine observe keys with keys="observed"'
            )

        return KeyedState(state, declared, refusal)
