"""`external`: side effects that declare what a replay does with them, and what their derivative is.

A run controls everything inside it; an *external* function is where it touches what it does not control: a disk, a
packet, a sensor, another system. ``@detrun.external`` says two things about such a function.

*Replay*: ``"recorded"`` writes the result to the recording, and a replay takes it from there without running the
function; ``"rerun"`` runs it every time, for effects that are idempotent and whose result is a function of the
arguments; ``"forbid"`` refuses to replay.

*Derivative*, for arguments that are or hold `Value`s: ``"stop"`` declares it zero; ``"identity"`` passes it from the
numbers of the result to those of the first argument that holds Values; a function ``vjp(adjoint, *arguments)`` gives
each argument's adjoint; `Surrogate` differentiates a model of the effect instead, at the effect's true value. Declared
nothing, the numbers of the result carry a mark that raises `NotDifferentiableError` as soon as an adjoint arrives at
them: never a silent zero. Text, bytes and truth values carry no derivative: they are discontinuity sites of unknown
margin, and stay as they came out. `Score` says how likely a random result was, which gradients of kind ``"policy"``
use; for other kinds it is as if nothing were declared.

The function itself is called with plain numbers. A synchronous one runs in place, with the guard against real I/O
lifted. An asynchronous one runs to its end under a trio of its own in a worker thread, so that real I/O works and the
run sees one blocking call and one checkpoint, in a replay too.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal, TypeVar

import msgpack
import trio

from detrun.effects.derivatives import DerivativeSemantics, EffectDerivative
from detrun.effects.derivatives import Score as Score
from detrun.effects.derivatives import Surrogate as Surrogate
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import allowed, in_real_thread
from detrun_scheduler.errors import DivergenceError, UsageError

F = TypeVar("F", bound=Callable[..., Any])
ReplaySemantics = Literal["recorded", "rerun", "forbid"]


def external(
    function: F | None = None,
    *,
    replay: ReplaySemantics = "recorded",
    derivative: DerivativeSemantics = None,
    name: str | None = None,
) -> Any:
    """Declare ``function`` an external effect; use as ``@external`` or ``@external(replay=..., derivative=...)``.

    Args:
        function: synchronous or async. Its result must be plain data: None, numbers, text, bytes, lists, maps.
        replay: what a replay does; see the module's opening.
        derivative: what the derivative is; see the module's opening. A vjp gets the adjoint as a number, or as a tree
            like the result, then the arguments as they were passed; for an argument that holds several numbers it
            gives a tree like that argument.
        name: what recordings call it; its qualified name by default.

    Raises:
        UsageError: an unknown semantics, or, when called, a result that is not plain data.
        NotDifferentiableError: in a gradient, an adjoint reaches the result and no derivative is declared.
        DivergenceError: in a replay of ``replay="forbid"``, or if the recording has another effect at this place.
    """
    if function is None:
        return lambda decorated: external(decorated, replay=replay, derivative=derivative, name=name)
    if replay not in ("recorded", "rerun", "forbid"):
        raise UsageError(f"external: unknown replay semantics {replay!r}; choose 'recorded', 'rerun' or 'forbid'")
    if isinstance(derivative, str) and derivative not in ("stop", "identity"):
        raise UsageError(
            f"external: unknown derivative semantics {derivative!r}; choose 'stop', 'identity', a vjp or a Surrogate"
        )
    called = name or str(getattr(function, "__qualname__", repr(function)))
    effect = _Effect(function, replay, EffectDerivative(called, derivative), called)
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_async(*args: Any, **keywords: Any) -> Any:
            result = effect.call(args, keywords, in_thread=True)
            await trio.lowlevel.checkpoint()
            return result

        return call_async

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return effect.call(args, keywords, in_thread=False)

    return call


@dataclass(frozen=True, slots=True)
class _Effect:
    function: Callable[..., Any]
    replay: ReplaySemantics
    derivative: EffectDerivative
    name: str

    def call(self, args: Sequence[Any], keywords: dict[str, Any], *, in_thread: bool) -> Any:
        run = current.require(f"external function {self.name}")
        recorded = run.replayed_effect(self.name) if run.replayed_effect is not None else None
        if recorded is not None and self.replay == "forbid":
            refusal = DivergenceError(
                f"external function {self.name} forbids replay: it cannot be undone or repeated; "
                "declare replay='recorded' if its recorded result may stand for it"
            )
            run.fail(refusal)
            raise refusal
        if recorded is not None and self.replay == "recorded":
            payload = recorded
        else:
            payload = self._perform(args, keywords, in_thread)
        run.effect(self.name, payload)
        ended, result = msgpack.unpackb(payload, strict_map_key=False)
        if not ended:
            kind, text = result
            raise _exception_class(kind)(text)
        return self.derivative.differentiable(result, args, keywords)

    def _perform(self, args: Sequence[Any], keywords: dict[str, Any], in_thread: bool) -> bytes:
        bare, named = self.derivative.plain_arguments(args, keywords)
        try:
            if in_thread:
                result = _run_in_thread(self.function, bare, named)
            else:
                with allowed():
                    result = self.function(*bare, **named)
        except Exception as error:
            # A failing effect is an effect, too: a replay must raise what the recording did.
            return bytes(msgpack.packb((False, (type(error).__name__, str(error)))))
        try:
            return bytes(msgpack.packb((True, result)))
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"external function {self.name} returned {type(result).__name__}, which a recording cannot hold "
                f"({error}); return None, numbers, text, bytes, lists or maps"
            ) from None


def _run_in_thread(function: Callable[..., Any], args: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """Run an async function to its end under a trio of its own."""

    async def main() -> Any:
        return await function(*args, **keywords)

    return in_real_thread(partial(trio.run, main))


class ExternalError(Exception):
    """An external function failed with an exception that this process does not know by name."""


def _exception_class(name: str) -> type[Exception]:
    kind = getattr(builtins, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, Exception) else ExternalError
