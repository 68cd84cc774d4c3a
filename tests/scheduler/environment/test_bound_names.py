"""Names that modules took before a run mean the run's functions inside it, and the real ones after it."""

from __future__ import annotations

import functools
import random
import sys
import threading
import time
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import urandom
from random import seed as seed_again
from threading import Lock, get_native_id
from time import monotonic, sleep
from time import time as wall_time
from types import ModuleType, SimpleNamespace
from typing import Any

import attrs
import pytest

import detrun
from detrun_scheduler.environment import bound_names
from detrun_scheduler.environment.bound_names import BoundNames
from detrun_scheduler.environment.hidden_state import in_real_thread
from detrun_scheduler.environment.staying import StayingReplaced

REAL = {"monotonic": monotonic, "get_ident": get_ident, "urandom": urandom, "allocate_lock": allocate_lock}


class Stamped:
    clock = monotonic
    still = staticmethod(monotonic)
    later: Any = None

    class Inner:
        clock = wall_time

    def default(self, clock: Callable[[], float] = monotonic, *, other: Callable[[], float] = wall_time) -> Any:
        return clock(), other()

    @property
    def of_property(self) -> float:
        return self.clock()


@dataclass
class Data:
    made: float = field(default_factory=monotonic)


@attrs.define
class Defined:
    made: float = attrs.Factory(monotonic)


def closing_over(clock: Callable[[], float]) -> Callable[[], float]:
    @functools.wraps(clock)
    def read() -> float:
        return clock()

    return read


class Holder:
    def __init__(self) -> None:
        self.clock = monotonic


holder = Holder()
closed = closing_over(monotonic)


def readings() -> list[float]:
    """Every way to hold a clock by name; all read virtual time, wall clocks less the start of the calendar."""
    stamped, start = Stamped(), 946_684_800.0
    return [
        monotonic(),
        wall_time() - start,
        stamped.clock(),
        stamped.still(),
        Stamped.clock(),
        Stamped.Inner.clock() - start,
        Stamped.Inner().clock() - start,
        stamped.default()[0],
        stamped.default()[1] - start,
        stamped.of_property,
        Data().made,
        Defined().made,
        holder.clock(),
        closed(),
    ]


def test_every_place_that_holds_a_clock_by_name_reads_virtual_time() -> None:
    def program() -> list[float]:
        sleep(5)  # a name, too
        return readings()

    started = REAL["monotonic"]()
    assert detrun.record(program).result == [5.0] * len(readings())
    assert REAL["monotonic"]() - started < 4, "the real sleep was called"


def test_everything_is_back_after_a_run_that_failed() -> None:
    def program() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        detrun.record(program)
    names = globals()
    assert all(names[name] is value for name, value in REAL.items())
    assert Stamped.clock is Stamped.still is Stamped().clock is monotonic
    assert vars(Stamped)["still"].__func__ is monotonic
    assert Stamped.default.__defaults__ == (monotonic,)
    assert Stamped.default.__kwdefaults__ == {"other": wall_time}
    assert holder.clock is monotonic
    assert Data().made > 1


def test_everything_is_back_after_a_campaign() -> None:
    def program() -> None:
        assert monotonic() == 0

    assert detrun.explore(program, schedules=3, directory=None).verdict != "failed"
    assert all(globals()[name] is value for name, value in REAL.items())
    assert holder.clock is monotonic


def test_names_of_locks_idents_and_threads_mean_simulated_ones() -> None:
    def program() -> tuple[list[int], list[int], bool]:
        seen, order = [get_native_id()], []
        lock: Any = allocate_lock()

        def other() -> None:
            seen.append(get_ident())
            with lock:
                order.append(2)

        with lock:
            start_new_thread(other, ())
            time.sleep(1)
            order.append(1)
        time.sleep(1)
        return seen, order, isinstance(lock, type(Lock()))

    assert detrun.record(program).result == ([1, 2], [1, 2], True)


def test_entropy_by_name_is_a_function_of_the_seed() -> None:
    def program() -> tuple[bytes, float, float, float]:
        seed_again()
        return urandom(8), random.random(), random.Random().random(), random.Random(None).random()

    first, again, other = (detrun.record(program, seed=seed) for seed in (1, 1, 2))
    assert first.result == again.result
    assert first.digest == again.digest
    assert all(one != two for one, two in zip(first.result, other.result, strict=True))
    assert len(set(first.result)) == 4


def test_a_seeded_generator_is_as_ever() -> None:
    class Own(random.Random):
        pass

    def program() -> list[Any]:
        return [kind(7).random() for kind in (random.Random, Own)] + [Own("seven").getstate()]

    assert detrun.record(program).result == program()


def test_unseeded_generators_leave_the_stream_of_urandom_alone() -> None:
    def plain() -> bytes:
        return urandom(4)

    def after_generators() -> bytes:
        random.Random(), random.Random()
        return urandom(4)

    assert detrun.record(plain, seed=3).result == detrun.record(after_generators, seed=3).result


def test_numpy_without_a_seed_is_a_function_of_the_seed() -> None:
    numpy = pytest.importorskip("numpy")

    def program() -> list[float]:
        numpy.random.seed()
        return [numpy.random.default_rng().random(), numpy.random.RandomState().random_sample(), numpy.random.rand()]

    results = [detrun.record(program, seed=seed).result for seed in (1, 1, 2)]
    assert results[0] == results[1]
    assert all(one != two for one, two in zip(results[0], results[2], strict=True))


@pytest.fixture
def new_module() -> Iterator[ModuleType]:
    module = ModuleType("detrun_test_bound_names_module")
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_a_module_that_comes_or_changes_between_runs_is_looked_through(new_module: ModuleType) -> None:
    def program() -> float:
        return new_module.clock()  # type: ignore[no-any-return]

    new_module.clock = monotonic  # type: ignore[attr-defined]
    assert detrun.record(program).result == 0
    new_module.more = wall_time  # type: ignore[attr-defined]
    assert detrun.record(lambda: new_module.more()).result == 946_684_800


def test_what_main_binds_anew_between_runs_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    names = vars(module)
    virtual = {monotonic: 0, wall_time: 946_684_800}
    names.update(clock=None, holder=Holder(), default=None)
    for clock, other in [(monotonic, wall_time), (wall_time, monotonic)] * 3:
        names["clock"], names["holder"].clock = clock, other
        del names["default"]  # another function may come to lie where it was
        exec("def default(read=clock): return read()", names)
        held = [clock, other, *names["default"].__defaults__]
        assert detrun.record(lambda: [names["clock"](), names["holder"].clock(), names["default"]()]).result == [
            virtual[one] for one in held
        ]
        assert [names["clock"], names["holder"].clock, *names["default"].__defaults__] == held


def test_a_module_that_comes_in_a_campaign_is_looked_through(new_module: ModuleType) -> None:
    del sys.modules[new_module.__name__]

    def program() -> None:
        if new_module.__name__ in sys.modules:
            assert new_module.clock() == 0
        else:
            vars(new_module)["clock"] = REAL["monotonic"]
            sys.modules[new_module.__name__] = new_module

    found = detrun.explore(program, schedules=4, strategy="random", directory=None)
    assert found.verdict == "passed", found
    assert new_module.clock is monotonic


def test_what_the_program_assigns_stays_assigned(new_module: ModuleType) -> None:
    new_module.clock = monotonic  # type: ignore[attr-defined]

    def program() -> None:
        new_module.clock = 7  # type: ignore[attr-defined]

    detrun.record(program)
    assert new_module.clock == 7


def test_a_lazy_object_in_a_module_is_not_woken(new_module: ModuleType) -> None:
    class Lazy:
        @property
        def __class__(self) -> Any:
            raise AssertionError("asked for its class")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    new_module.lazy = Lazy()  # type: ignore[attr-defined]
    assert detrun.record(lambda: 1).result == 1


def test_a_program_that_is_in_no_module_is_looked_through() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("from time import monotonic\ndef program():\n    return monotonic()", namespace)
    assert detrun.record(namespace["program"]).result == 0

    clock = monotonic
    assert detrun.record(lambda: clock()).result == 0
    assert clock is REAL["monotonic"]


def test_another_thread_has_the_real_functions_during_a_run() -> None:
    readings: list[Any] = []
    go, done = threading.Event(), threading.Event()

    def outside() -> None:
        go.wait()
        readings.extend((monotonic(), get_ident(), random.Random().random()))
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()
    real_ident = thread.ident

    async def program() -> None:
        in_real_thread(lambda: (go.set(), done.wait()))

    detrun.record(program)
    thread.join()
    assert readings[0] > 1
    assert readings[1] == real_ident


class OneModule:
    """A module that holds a name of another one, and what looks through them."""

    def __init__(self) -> None:
        self.source, self.user = ModuleType("bound_names_source"), ModuleType("bound_names_user")
        self.real, self.simulated, self.fixed = (lambda: "real"), (lambda: "simulated"), (lambda: "fixed")
        self.source.__dict__["tick"] = self.real
        self.user.__dict__.update(tick=self.real, always=self.fixed)
        self.modules = {"__main__": ModuleType("__main__"), "bound_names_user": self.user}
        self.names = BoundNames([(self.source, ["tick", "absent"])], [(self.fixed, self.simulated)])

    def install(self) -> None:
        self.source.__dict__["tick"] = self.simulated
        self.names.install()

    @property
    def held(self) -> tuple[Any, Any]:
        return self.user.__dict__["tick"], self.user.__dict__["always"]


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> OneModule:
    one = OneModule()
    monkeypatch.setattr(bound_names, "sys", SimpleNamespace(modules=one.modules))
    return one


def test_a_name_gets_what_stands_at_its_source_and_a_fixed_one_what_always_does(one: OneModule) -> None:
    one.install()
    assert one.held == (one.simulated, one.simulated)
    one.names.restore()
    assert one.held == (one.real, one.fixed)


def test_what_was_put_back_once_is_the_programs_own_from_then_on(one: OneModule) -> None:
    one.install()
    one.names.restore()
    one.user.__dict__["tick"] = one.simulated  # by hand
    one.names.restore()
    assert one.held[0] is one.simulated


def test_a_module_is_looked_through_once(one: OneModule, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(bound_names.Scan, "module", lambda self, name: looked.append(name))
    one.install()
    one.names.restore()
    one.modules["bound_names_other"] = ModuleType("bound_names_other")
    one.install()
    assert sorted(looked) == ["__main__", "bound_names_other", "bound_names_user"]
    one.names.restore()
    monkeypatch.setattr(one.names, "_scan_modules", lambda: pytest.fail("the modules are the same"))
    one.install()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_module_that_gave_way_to_another_keeps_what_it_has(one: OneModule, is_gone: bool) -> None:
    one.install()
    one.names.restore()
    if is_gone:
        del one.modules["bound_names_user"]
    else:
        one.modules["bound_names_user"] = ModuleType("bound_names_user")
    one.install()
    assert one.held == (one.real, one.fixed)


def test_in_a_campaign_what_is_put_stays_until_its_end(one: OneModule) -> None:
    with StayingReplaced():
        for _ in range(2):
            one.install()
            assert one.held == (one.simulated, one.simulated)
            one.names.restore()
        assert one.held == (one.simulated, one.simulated)
    assert one.held == (one.real, one.fixed)


def test_a_module_that_changes_in_a_campaign_while_names_are_put_keeps_its_places(one: OneModule) -> None:
    """As `subprocess`, which gets one name more with its first warning."""
    with StayingReplaced():
        one.install()
        one.names.restore()
        one.user.__dict__["more"] = 1
        one.modules["bound_names_other"] = ModuleType("bound_names_other")
        one.install()
    one.names.leave()
    assert one.held == (one.real, one.fixed)
    one.install()
    assert one.held == (one.simulated, one.simulated)


def test_a_program_that_is_no_function_is_run_with_names_too() -> None:
    class Program:
        def __call__(self) -> float:
            sleep(2)
            return monotonic()

    assert detrun.record(Program()).result == 2.0


def test_a_function_in_a_class_stays_a_method_or_a_static_method(one: OneModule) -> None:
    members = {"__module__": "bound_names_user", "still": staticmethod(one.real), "plain": one.real}
    holder: Any = type("Holder", (), members)
    one.user.__dict__["Holder"] = holder
    one.install()
    assert holder().still() == "simulated"
    with pytest.raises(TypeError):
        holder().plain()  # is given the object, as the function that was there
    one.names.restore()
    assert members.items() <= vars(holder).items()


def test_functions_and_classes_of_main_are_kept_so_that_their_addresses_stay_theirs(one: OneModule) -> None:
    kind = type("Kind", (), {})
    one.modules["__main__"].__dict__.update(function=one.real, kind=kind, number=7.5)
    one.install()
    kept = one.names._main[1]
    assert one.real in kept
    assert kind in kept
    assert 7.5 not in kept
    one.names.restore()
