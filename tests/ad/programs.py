"""Random scalar programs for the AD tests: straight-line code over a pool of numbers, smooth everywhere it goes.

A program is a list of instructions drawn by hypothesis. It runs on floats, Values or torch tensors alike, so one
program has three independent derivatives: the tape's, a central difference's and torch's.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from hypothesis import strategies as st

from detrun.ad import functions

FLOATS = SimpleNamespace(sin=math.sin, tanh=math.tanh, exp=math.exp, softplus=functions.softplus, total=functions.sum)
VALUES = SimpleNamespace(
    sin=functions.sin, tanh=functions.tanh, exp=functions.exp, softplus=functions.softplus, total=functions.sum
)

INSTRUCTIONS = st.tuples(
    st.sampled_from(["+", "-", "*", "/", "number", "sin", "tanh", "exp", "softplus", "square", "neg", "total"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.floats(-2, 2),
)
PROGRAMS = st.lists(INSTRUCTIONS, min_size=1, max_size=40)
POINTS = st.lists(st.floats(-2, 2), min_size=3, max_size=3)


def run(program, arguments, library, after_step=lambda: None):
    """Run a program; the result is bounded, so that long programs neither overflow nor lose all digits."""
    pool = list(arguments)
    for name, i, j, number in program:
        x, y = pool[i % len(pool)], pool[j % len(pool)]
        if name == "+":
            one = x + y
        elif name == "-":
            one = x - y
        elif name == "*":
            one = library.tanh(x) * y
        elif name == "/":
            one = x / (2.0 + y * y)
        elif name == "number":
            one = (number - x) * number + x / 3 + 1 * x
        elif name == "sin":
            one = library.sin(x)
        elif name == "tanh":
            one = library.tanh(x)
        elif name == "exp":
            one = library.exp(-(x * x))
        elif name == "softplus":
            one = library.softplus(x)
        elif name == "square":
            one = library.sin(x) ** 2
        elif name == "neg":
            one = -x
        else:
            one = library.total([x, y, pool[(i + j) % len(pool)], number])
        # Bounded, since sums double: 40 of them would reach 2**40 and drown a difference.
        pool.append(library.tanh(one) if len(pool) % 5 == 0 else one)
        after_step()
    return pool[-1] + pool[len(pool) // 2] * pool[0]
