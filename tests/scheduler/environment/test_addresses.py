"""`address_of` tells objects apart as `id` does, asks no code of theirs, and makes no audit event."""

import sys

import detrun
from detrun_scheduler.environment.addresses import address_of


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("an address needs no comparison")


def test_living_objects_have_different_addresses() -> None:
    objects = [[Unhashable() for _ in range(10_000)], *([] for _ in range(10_000)), *map(str, range(10_000))]
    objects += objects[0]  # type: ignore[arg-type]
    assert len({address_of(one) for one in objects}) == len({id(one) for one in objects})


def test_equal_objects_have_addresses_of_their_own() -> None:
    one, other = (compile("x + 1", "<test>", "eval") for _ in range(2))
    assert one == other
    assert address_of(one) == address_of(one) != address_of(other)


def test_no_audit_hook_hears_of_it() -> None:
    heard: list[str] = []
    is_open = True
    sys.addaudithook(lambda event, _: heard.append(event) if is_open and event == "builtins.id" else None)
    thing = object()
    address_of(thing)
    assert heard == []
    id(thing)
    assert heard == ["builtins.id"]
    is_open = False


def test_a_step_makes_no_audit_event() -> None:
    """The run's own audit hook is called for each: this is why the loop asks no `id`."""
    import trio

    heard: list[str] = []
    is_open = False
    sys.addaudithook(lambda event, _: heard.append(event) if is_open and event == "builtins.id" else None)

    async def main() -> None:
        nonlocal is_open
        for _ in range(3):
            await trio.sleep(1)
        is_open = True
        for _ in range(20):
            await trio.sleep(1)
            await trio.lowlevel.checkpoint()
        is_open = False

    detrun.record(main)
    assert heard == []
