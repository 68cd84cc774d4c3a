"""Cost of one multiply-add on detrun's tape and on torch scalars, forward and backward, in one process.

The program is ``x = x * a + b`` over and over, a chain of scalars as control logic has them. torch does it on 0-d
float64 tensors, the same graph; ``torch, width 1,000`` does it on vectors of 1,000, where torch spreads its overhead
and the tape cannot: the case we lose. Each number is the fastest of several rounds, the cost of the code on an
undisturbed machine, with the median beside it. The ratio is the median over rounds in which tape and torch take turns,
so that both meet the same clock rate. Bytes are those held per tape entry once the Values are gone.

    python benchmarks/scalar_tape.py [--json]
"""

from __future__ import annotations

import gc
import json
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

from detrun.ad import functions, state
from detrun.ad.forward import with_tangents
from detrun.ad.reverse import backward
from detrun.ad.value import Value

Row = dict[str, float | str]


def clocked(part: Callable[[], object]) -> tuple[float, object]:
    # CPU time of the process: both contenders are single-threaded here, and a busy neighbour must not count.
    start = time.process_time()
    result = part()
    return time.process_time() - start, result


def summary(name: str, rounds: list[tuple[float, float]], operations: int) -> Row:
    """Microseconds per operation: fastest forward, fastest backward, fastest sum, and median of the sums."""
    sums = [forward + backward for forward, backward in rounds]
    return {
        "case": name,
        "forward": min(forward for forward, _ in rounds) / operations * 1e6,
        "backward": min(backward for _, backward in rounds) / operations * 1e6,
        "both": min(sums) / operations * 1e6,
        "both_median": statistics.median(sums) / operations * 1e6,
    }


def floats(count: int, rounds: int) -> Row:
    def chain() -> float:
        x, a, b = 1.0, 0.999, 0.001
        for _ in range(count):
            x = x * a + b
        return x

    return summary("plain floats", [(clocked(chain)[0], 0.0) for _ in range(rounds)], count)


def values_without_tape(count: int, rounds: int) -> Row:
    def chain() -> Value:
        x, a, b = Value(1.0), Value(0.999), Value(0.001)
        for _ in range(count):
            x = x * a + b
        return x

    return summary("Values, tape off", [(clocked(chain)[0], 0.0) for _ in range(rounds)], count)


def tape(count: int, rounds: int, mode: bool | None, name: str) -> Row:
    measured = []
    for _ in range(rounds):
        with state.taped() as recorded:
            x, a, b = Value(1.0), Value(0.999), Value(0.001)
            first = x.id

            def chain(x: Value = x, a: Value = a, b: Value = b) -> Value:
                for _ in range(count):
                    x = x * a + b
                return x

            forward, loss = clocked(chain)
        assert isinstance(loss, Value)
        last = loss.id
        wanted = [first, first + 1, first + 2]
        measured.append((forward, clocked(partial(backward, recorded, {last: 1.0}, wanted=wanted, sparse=mode))[0]))
    return summary(name, measured, count)


def sparse_loss(count: int, rounds: int) -> Row:
    """The loss uses 100 multiply-adds at the two ends of a long tape; cost per multiply-add of the whole tape."""
    with state.taped() as recorded:
        x, a, b = Value(1.0), Value(0.999), Value(0.001)
        loss = x
        for _ in range(50):
            loss = loss * a + b
        for _ in range(count):
            x = x * a + b
        for _ in range(50):
            loss = loss * a + b
    measured = [
        (0.0, clocked(lambda: backward(recorded, {loss.id: 1.0}, wanted=[a.id, b.id]))[0]) for _ in range(rounds)
    ]
    return summary("tape, loss uses 100 of all", measured, count)


def comparisons(count: int, rounds: int) -> Row:
    measured = []
    for _ in range(rounds):
        with state.taped():
            x, bound = Value(1.0), Value(2.0)

            def chain(x: Value = x, bound: Value = bound) -> int:
                return sum(x < bound for _ in range(count))

            measured.append((clocked(chain)[0], 0.0))
    return summary("one comparison, tape on", measured, count)


def dots(xs: list[Value], times: int) -> object:
    for _ in range(times):
        product = functions.dot(xs, xs)
    return product


def reduction(count: int, rounds: int) -> Row:
    measured = []
    for _ in range(rounds):
        with state.taped() as recorded:
            xs = [Value(float(k % 7)) for k in range(1000)]
            forward, loss = clocked(partial(dots, xs, max(1, count // 1000)))
        assert isinstance(loss, Value)
        last = loss.id
        measured.append((forward / max(1, count // 1000), clocked(partial(backward, recorded, {last: 1.0}))[0]))
    return summary("dot of 1,000 Values, per term", measured, 1000)


def forward_mode(count: int, rounds: int) -> Row:
    def chain() -> Value:
        parameters = with_tangents({"a": 0.999, "b": 0.001})
        x: Value = Value(1.0)
        for _ in range(count):
            x = x * parameters["a"] + parameters["b"]
        return x

    return summary("forward mode, 2 directions", [(clocked(chain)[0], 0.0) for _ in range(rounds)], count)


def torch_chain(count: int, rounds: int, width: int) -> Row | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    measured = []
    for _ in range(rounds):
        shape = () if width == 1 else (width,)
        x, a, b = (torch.full(shape, v, dtype=torch.float64, requires_grad=True) for v in (1.0, 0.999, 0.001))

        def chain(x=x, a=a, b=b):  # type: ignore[no-untyped-def]  # torch may be missing
            for _ in range(count):
                x = x * a + b
            return x.sum()

        forward, loss = clocked(chain)
        back, _ = clocked(loss.backward)  # type: ignore[attr-defined]  # a tensor
        measured.append((forward, back))
    return summary("torch scalars" if width == 1 else f"torch, width {width:,}, per number", measured, count * width)


def ratio_to_torch(rounds: int) -> tuple[float, float, float] | None:
    """Torch's time over the tape's for one multiply-add, forward and backward: least, median and most over rounds."""
    ratios = []
    for _ in range(rounds):
        ours = tape(20_000, 1, None, "tape")
        theirs = torch_chain(2_000, 1, 1)
        if theirs is None:
            return None
        ratios.append(float(theirs["both"]) / float(ours["both"]))
    return min(ratios), statistics.median(ratios), max(ratios)


def bytes_per_entry(count: int) -> float:
    gc.collect()
    tracemalloc.start()
    with state.taped() as recorded:
        x, a, b = Value(1.0), Value(0.999), Value(0.001)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(count):
            x = x * a + b
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(recorded)


def main() -> None:
    gc.disable()  # as in a run
    count, rounds = 50_000, 9
    rows = [
        floats(count, rounds),
        values_without_tape(count, rounds),
        tape(count, rounds, None, "tape"),
        tape(count, rounds, True, "tape, sweep forced sparse"),
        sparse_loss(count, rounds),
        reduction(count, rounds),
        comparisons(count, rounds),
        forward_mode(count // 5, rounds),
        torch_chain(2_000, rounds, 1),
        torch_chain(200, 3, 1000),
    ]
    table = [row for row in rows if row is not None]
    ratio = ratio_to_torch(20)
    report = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "microseconds_per_multiply_add": table,
        "times_faster_than_torch_scalars": ratio and dict(zip(("least", "median", "most"), ratio, strict=True)),
        "bytes_per_entry": bytes_per_entry(count),
    }
    if "--json" in sys.argv:
        print(json.dumps(report, indent=2))
        return
    print(f"Python {report['python']}, {report['machine']}, single thread; microseconds per multiply-add")
    print(f"{'':36}{'forward':>10}{'backward':>10}{'both':>10}{'median':>10}")
    for row in table:
        print(f"{row['case']:36}" + "".join(f"{row[k]:10.3f}" for k in ("forward", "backward", "both", "both_median")))
    if ratio is None:
        print("torch is not installed")
    else:
        print("tape against torch scalars: {1:.1f} times faster ({0:.1f} to {2:.1f})".format(*ratio))
    print(f"bytes per tape entry: {report['bytes_per_entry']:.0f}")


if __name__ == "__main__":
    main()
