"""Long histories that are legal: each operation takes effect at one moment between its call and its return."""

from __future__ import annotations

import random
from typing import Any

from detrun.checkers.histories import PENDING, History, Operation
from detrun.checkers.models import Model

# What is called on each model; a 1 stands for an argument that no other call has.
CALLS: dict[str, list[tuple[str, int]]] = {
    "Register": [("write", 1), ("read", 0)],
    "CompareAndSwapRegister": [("write", 1), ("read", 0), ("compare_and_swap", 2)],
    "Queue": [("put", 1), ("get", 0), ("get", 0)],
    "Counter": [("add", 0), ("fetch_add", 0), ("read", 0)],
}


def a_long_history(model: Model[Any], clients: int, count: int, seed: int = 0) -> list[Operation]:
    """``count`` operations of ``clients``, whose results are found by asking the model what it allows."""
    source = random.Random(seed)
    history = History()
    going_on: dict[int, Operation] = {}
    effects: dict[int, Any] = {}
    state = model.initial
    while len(history) < count or going_on:
        client = source.randrange(clients)
        if client not in going_on:
            if len(history) < count:
                name, arguments = source.choice(CALLS[type(model).__name__])
                new = tuple(len(history) + place for place in range(arguments))
                going_on[client] = history.call(name, *new, process=f"client {client}").operation
        elif client not in effects:
            operation = going_on[client]
            content = state[0] if isinstance(state, tuple) and state else state
            results = [None, content, True, False]
            effects[client] = next(one for one in results if model.step(state, operation, one)[0])
            state = model.step(state, operation, PENDING)[1]
        else:
            history.returned(going_on.pop(client), effects.pop(client))
    return history.operations
