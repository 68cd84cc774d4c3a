"""The clocks of the process read virtual time inside a run, in its thread, and nowhere else."""

from __future__ import annotations

import datetime
import logging
import math
import pickle
import sys
import threading
import time
import warnings
from collections.abc import Callable
from datetime import date as imported_date
from datetime import datetime as imported_datetime
from time import monotonic as imported_monotonic
from typing import Any

import pytest

from detrun_scheduler.clock import VirtualClock
from detrun_scheduler.environment import virtual_datetime
from detrun_scheduler.environment.virtual_time import WALL_START_SECONDS, installed
from detrun_scheduler.errors import UsageError

CLOCKS = ["monotonic", "perf_counter", "process_time", "thread_time"]
needs_datetime = pytest.mark.skipif(not virtual_datetime.SUPPORTED, reason="this Python hides the types' dictionaries")


class Dual:
    """A number with a tangent that counts how often it became a plain one."""

    detached = 0

    def __init__(self, primal: float, tangent: float) -> None:
        self.primal, self.tangent = primal, tangent

    def __add__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.primal + other.primal, self.tangent + other.tangent)
        return Dual(self.primal + other, self.tangent)

    __radd__ = __add__

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.primal - other.primal, self.tangent - other.tangent)

    def __float__(self) -> float:
        Dual.detached += 1
        return self.primal


@pytest.fixture(autouse=True)
def _nothing_detached() -> None:
    Dual.detached = 0


def in_other_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def namespaces() -> list[Any]:
    return [
        vars(time).copy(),
        vars(logging)["time"],
        vars(datetime).copy(),
        dict(vars(datetime.datetime)),
        dict(vars(datetime.date)),
    ]


def test_every_clock_reads_virtual_time() -> None:
    with installed(VirtualClock()):
        started = time.time()
        time.sleep(1.25)
        assert started == WALL_START_SECONDS
        assert time.time() == WALL_START_SECONDS + 1.25
        assert time.time_ns() == 946_684_801_250_000_000
        for name in CLOCKS:
            assert getattr(time, name)() == 1.25
            assert getattr(time, name + "_ns")() == 1_250_000_000
        assert time.clock_gettime(time.CLOCK_REALTIME) == WALL_START_SECONDS + 1.25
        assert time.clock_gettime(time.CLOCK_MONOTONIC) == 1.25
        assert time.clock_gettime_ns(time.CLOCK_REALTIME) == time.time_ns()
        assert time.clock_gettime_ns(time.CLOCK_MONOTONIC) == 1_250_000_000


def test_the_calendar_functions_default_to_virtual_time() -> None:
    with installed(VirtualClock(), start_seconds=1_000_000_000.0):
        assert time.gmtime() == time.gmtime(1_000_000_000.0)
        assert time.gmtime(None) == time.gmtime(1_000_000_000.0)
        assert time.localtime() == time.localtime(1_000_000_000.0)
        assert time.ctime() == time.ctime(1_000_000_000.0) == time.asctime()
        assert time.strftime("%c") == time.strftime("%c", time.localtime(1_000_000_000.0))
        assert time.gmtime(0) == time.struct_time((1970, 1, 1, 0, 0, 0, 3, 1, 0))
        assert time.strftime("%Y", time.gmtime(0)) == "1970"
        assert time.asctime(time.gmtime(0)) == "Thu Jan  1 00:00:00 1970"


def test_a_virtual_sleep_takes_no_real_time_and_moves_the_clock() -> None:
    clock = VirtualClock()
    with installed(clock):
        real = imported_monotonic()
        time.sleep(3600)
        assert clock.now == 3600
        assert imported_monotonic() - real < 60  # a name imported before the run stays real: a documented escape


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (math.nan, ValueError), (math.inf, OverflowError), ("1", TypeError)]
)
def test_sleep_refuses_what_the_real_one_refuses(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        time.sleep(seconds)
    clock = VirtualClock()
    with installed(clock):
        with pytest.raises(error):
            time.sleep(seconds)
        assert clock.now == 0.0


def test_measured_time_carries_the_derivative_of_a_differentiable_sleep() -> None:
    clock = VirtualClock()
    with installed(clock):
        for name in ("time", "monotonic", "perf_counter"):
            begin = getattr(time, name)()
            time.sleep(Dual(0.5, 3.0))
            end = getattr(time, name)()
            elapsed = end - begin if isinstance(begin, Dual) else end + -begin
            assert elapsed.primal == pytest.approx(0.5)
            assert elapsed.tangent == 3.0
        assert time.monotonic() is clock.now
        assert Dual.detached == 0
        # An integer, a date or a text carries no derivative: the number is taken out where a gradient can see it.
        assert time.monotonic_ns() == time.clock_gettime_ns(time.CLOCK_MONOTONIC) == 1_500_000_000
        assert time.time_ns() == 946_684_801_500_000_000
        assert time.gmtime().tm_sec == 1
        assert time.gmtime(time.time()).tm_sec == 1
        assert time.strftime("%S") == "01"
        assert Dual.detached == 6


def test_logging_works_on_a_differentiable_clock(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    with installed(clock), caplog.at_level("INFO"):
        time.sleep(Dual(2.5, 1.0))
        logging.getLogger("test").info("hello")
        text = logging.Formatter("%(asctime)s").format(caplog.records[0])
    assert Dual.detached == 0
    assert caplog.records[0].created == WALL_START_SECONDS + 2.5
    assert text.endswith(",500")


@needs_datetime
def test_datetime_reads_virtual_time_however_it_was_imported() -> None:
    clock = VirtualClock()
    expected = datetime.datetime(2000, 1, 1, 0, 0, 2, 500_000)
    with installed(clock):
        time.sleep(Dual(2.5, 1.0))
        for kind in (datetime.datetime, imported_datetime):
            assert kind.now(datetime.UTC) == expected.replace(tzinfo=datetime.UTC)
            assert kind.now(tz=datetime.UTC) == kind.now().astimezone(datetime.UTC)
            assert kind.today() == kind.now() == kind.fromtimestamp(WALL_START_SECONDS + 2.5)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                assert kind.utcnow() == expected
        assert Dual.detached == 2 * 6
        assert datetime.date.today() == imported_date.today() == imported_datetime.now().date()
        assert type(imported_date.today()) is datetime.date
        assert type(imported_datetime.now()) is datetime.datetime


@needs_datetime
def test_utcnow_warns_inside_a_run_where_it_warns_outside() -> None:
    def warned() -> list[tuple[type[Warning], str, str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            imported_datetime.utcnow()
        return [(one.category, str(one.message)[:40], one.filename) for one in caught]

    outside = warned()
    with installed(VirtualClock()):
        assert warned() == outside
    assert bool(outside) == (sys.version_info >= (3, 12))


@needs_datetime
def test_subclasses_of_datetime_read_virtual_time_and_keep_their_type() -> None:
    class Special(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Special:
            return super().now(tz).replace(microsecond=7)

    with installed(VirtualClock()):
        assert Special.now(datetime.UTC) == datetime.datetime(2000, 1, 1, microsecond=7, tzinfo=datetime.UTC)
        assert type(Special.today()) is Special
        assert pickle.loads(pickle.dumps(imported_datetime.now())) == imported_datetime.now()
    assert type(Special.today()) is Special
    assert Special.now().year > 2020


@pytest.mark.parametrize("fails", [False, True])
def test_every_name_is_the_identical_object_after_a_run(fails: bool) -> None:
    before = namespaces()
    try:
        with installed(VirtualClock()):
            imported_datetime.now()
            assert time.time is not before[0]["time"]
            time.sleep = None  # type: ignore[assignment]  # a program that patches and forgets
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    for after, originals in zip(namespaces(), before, strict=True):
        if isinstance(originals, dict):
            assert after.keys() == originals.keys()
            assert all(after[name] is originals[name] for name in originals)
        else:
            assert after is originals
    assert abs(time.time() - imported_datetime.now().timestamp()) < 60


def test_another_thread_reads_the_real_clocks_and_really_sleeps() -> None:
    def readings() -> list[Any]:
        before = time.monotonic()
        time.sleep(0.01)
        elapsed = time.monotonic() - before
        wall = [time.time(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME)]
        dates = [imported_datetime.now().timestamp(), imported_datetime.today().timestamp(), imported_date.today().year]
        years = [time.gmtime().tm_year, time.strftime("%Y"), time.ctime()[-4:], time.asctime()[-4:]]
        return [elapsed, time.perf_counter_ns() / 1e9, *wall, *dates, *years]

    real = readings()
    clock = VirtualClock()
    with installed(clock):
        theirs = in_other_thread(readings)
        assert clock.now == 0.0
    assert theirs[0] >= 0.01
    for index, reading in enumerate(theirs):
        assert float(reading) == pytest.approx(float(real[index]), abs=60)


def test_a_function_kept_from_a_run_reads_the_real_clock_after_it_and_the_virtual_one_in_the_next() -> None:
    with installed(VirtualClock()):
        kept, kept_now = time.monotonic, imported_datetime.now
    assert abs(kept() - imported_monotonic()) < 60
    assert kept_now().year > 2020
    clock = VirtualClock()
    with installed(clock):
        clock.now = 4.0
        assert kept() == 4.0


def test_a_patch_made_before_the_run_is_what_other_threads_see_and_what_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def frozen() -> float:
        return 42.0

    monkeypatch.setattr(time, "time", frozen)
    with installed(VirtualClock()):
        assert time.time() == WALL_START_SECONDS
        assert in_other_thread(lambda: time.time()) == 42.0
    assert time.time is frozen


def test_virtual_clocks_neither_nest_nor_overlap() -> None:
    clock = VirtualClock()
    with installed(clock):
        with pytest.raises(UsageError, match="already active"):
            installed(VirtualClock()).enter()
        time.sleep(1)
        assert clock.now == 1
    assert time.time() > 1_600_000_000


def test_a_start_that_is_no_time_is_refused() -> None:
    with pytest.raises(UsageError, match="start_seconds=nan"):
        installed(VirtualClock(), math.nan)
