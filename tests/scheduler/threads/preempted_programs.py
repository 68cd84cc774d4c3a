"""Programs that tests preempt: in a file of their own, so that watching it watches nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

tally = 0


class Counter:
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> None:
        self.value += 1

    def increment_in_two_lines(self) -> None:
        seen = self.value
        self.value = seen + 1


def finished(*bodies: Callable[[], object]) -> None:
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_line() -> int:
    counter = Counter()
    finished(counter.increment, counter.increment)
    return counter.value


def two_lines() -> int:
    counter = Counter()
    finished(counter.increment_in_two_lines, counter.increment_in_two_lines)
    return counter.value


def short_and_two_long() -> int:
    """A thread that ends at once, and two that race after it."""
    counter = Counter()

    def many() -> None:
        for _ in range(3):
            counter.increment()

    finished(lambda: None, many, many)
    return counter.value


def of_a_list() -> tuple[int, ...]:
    items = [0, 0]

    def body(index: int) -> Callable[[], None]:
        def inner() -> None:
            items[index] += 1
            items[1 - index] = items[index]

        return inner

    finished(body(0), body(1))
    return tuple(items)


def of_a_global() -> int:
    global tally
    tally = 0

    def body() -> None:
        global tally
        tally += 1

    finished(body, body)
    return tally


def of_a_generator() -> list[int]:
    counter, seen = Counter(), []

    def numbers() -> Iterator[int]:
        for _ in range(2):
            counter.increment()
            yield counter.value

    def body() -> None:
        seen.extend(numbers())

    finished(body, body)
    return seen


def with_an_error() -> list[str]:
    counter, log = Counter(), []

    def body() -> None:
        try:
            counter.increment()
            raise KeyError
        except KeyError:
            log.append(f"{counter.value}")
        finally:
            counter.increment()

    finished(body, body)
    return log


class Box:
    __slots__ = ("item",)
    shared: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.item = 1

    @property
    def doubled(self) -> int:
        return self.item * 2

    def method(self) -> None:
        pass


def touches_everything() -> None:
    global tally
    box, counter, items, table = Box(), Counter(), [1, 2], {"x": 1}

    def body() -> None:
        global tally
        counter.value += 1
        box.item = items[0]
        items[1] = table["x"]
        table["y"] = tally
        tally = 5
        box.method()
        assert box.doubled == 2
        Box.shared["z"] = 1
        del table["y"]

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
