"""`pack` and `unpack`: round trips, gradients through bytes, and bytes that must be refused."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import msgpack
import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun import UnpackingError, pack, unpack
from detrun.messages.extensions import MESSAGE
from detrun.messages.pack import _HEADER, NESTING_MAX
from detrun.messages.sent import OUTSIDE, checksum_of
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Point:
    x: object
    y: object


@dataclass
class Labelled:
    label: str
    points: list

    def __post_init__(self):
        raise AssertionError("unpack must call no code of the class")


def labelled(label, points):
    one = object.__new__(Labelled)
    one.label, one.points = label, points
    return one


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.text(st.characters())
    | st.binary()
)
KEYS = st.text() | st.integers() | st.booleans() | st.tuples(st.integers(), st.text())
MESSAGES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.builds(Point, inner, inner)
        | st.builds(labelled, st.text(), st.lists(inner, max_size=3))
    ),
    max_leaves=20,
)


def same(left, right):
    """Equal, of equal types, to the last bit of every float."""
    if type(left) is not type(right):
        return False
    if type(left) is float:
        return np.float64(left).tobytes() == np.float64(right).tobytes()
    if type(left) in (list, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if type(left) is dict:
        return same(list(left.items()), list(right.items()))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, one.name), getattr(right, one.name)) for one in dataclasses.fields(left))
    return left == right


@given(MESSAGES)
def test_a_message_comes_back_equal_to_the_bit(message):
    assert same(unpack(pack(message), into=(Point, Labelled)), message)


@given(MESSAGES, st.data())
def test_damage_is_noticed_and_never_anything_but_a_clear_error(message, data):
    packed = pack(message)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(UnpackingError):
        unpack(packed[:cut])
    place = data.draw(st.integers(0, len(packed) - 1))
    flipped = bytearray(packed)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnpackingError):
        unpack(bytes(flipped))


@given(st.binary())
def test_any_other_bytes_are_refused(garbage):
    with pytest.raises(UnpackingError):
        unpack(garbage)


@given(st.binary(max_size=60))
def test_a_body_of_garbage_under_a_right_checksum_is_refused_or_plain_data(body):
    header = _HEADER.pack(OUTSIDE, 0, checksum_of(OUTSIDE, 0, body))
    packed = msgpack.packb(msgpack.ExtType(MESSAGE, header + body))
    try:
        unpack(packed)
    except UnpackingError:
        return
    msgpack.unpackb(body, strict_map_key=False, unicode_errors="surrogatepass")


def test_a_dataclass_that_is_not_named_comes_back_as_its_fields():
    assert unpack(pack(Point(1.0, [Point(2, 3)]))) == {"x": 1.0, "y": [{"x": 2, "y": 3}]}
    assert unpack(pack(Point(1.0, None)), into=Labelled) == {"x": 1.0, "y": None}


def test_a_dataclass_with_other_fields_now_is_refused():
    packed = pack(Point(1.0, 2.0))

    @dataclass
    class Other:
        x: float

    Other.__qualname__ = "Point"
    with pytest.raises(UnpackingError, match="fields x, y, but has x here"):
        unpack(packed, into=Other)


@pytest.mark.parametrize("into", [int, [Point, int], [Point, dataclasses.make_dataclass("Point", ["x"])]])
def test_into_takes_dataclasses_of_different_names(into):
    with pytest.raises(UsageError, match="into"):
        unpack(pack(1), into=into)


class Unknown:
    pass


@pytest.mark.parametrize(
    "message",
    [{1, 2}, 1j, Unknown(), Unknown, bytearray(b"a"), type("Text", (str,), {})("a"), range(3), np.array([1j])],
)
def test_what_would_not_come_back_is_refused(message):
    with pytest.raises(UsageError, match="which is not plain data"):
        pack([message])


def test_a_list_that_contains_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(UsageError, match="contains itself"):
        pack(endless)
    deep = 1.0
    for _ in range(NESTING_MAX):
        deep = [deep]
    assert same(unpack(pack(deep)), deep)


@given(
    st.sampled_from(["bool", "int8", "uint64", "float16", "float32", "float64"]),
    st.sampled_from([(0,), (3,), (2, 3), (2, 0), (1, 2, 2)]),
)
def test_numpy_arrays_keep_type_shape_and_bits(dtype, shape):
    array = (np.arange(math.prod(shape)) / 3).reshape(shape).astype(dtype)
    for one in (array, array.T, array.astype(array.dtype.newbyteorder(">"))):
        back = unpack(pack({"a": one}))["a"]
        assert back.dtype == array.dtype
        assert back.shape == one.shape
        assert back.tolist() == one.tolist()
    assert same(unpack(pack([np.float64(0.1), np.int32(3)])), [0.1, 3])


# In runs.


@dataclass
class Reading:
    at: float
    numbers: object


async def by_bytes(params):
    """A sender packs, a link that duplicates every third message and drops every fourth carries the bytes."""
    send, receive = trio.open_memory_channel(100)
    total = 0.0

    async def sender():
        async with send:
            state = params["x"]
            for number in range(8):
                state = detrun.sin(state) + params["y"] * 0.1
                packed = pack(Reading(0.5 * number, {"state": state, "pair": (state * params["x"], 2.0), "n": number}))
                for _ in range(0 if number % 4 == 3 else 2 if number % 3 == 2 else 1):
                    await send.send(packed)

    async def receiver():
        nonlocal total
        async for packed in receive:
            reading = unpack(packed, into=Reading)
            numbers = reading.numbers
            total = total + numbers["state"] * (1 + numbers["n"]) + numbers["pair"][0] * numbers["pair"][1] + reading.at
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        nursery.start_soon(receiver)
    return total


async def by_hand(params):
    """The same, with each message taken as often as the link delivers it, and no bytes."""
    total, state = 0.0, params["x"]
    for number in range(8):
        state = detrun.sin(state) + params["y"] * 0.1
        for _ in range(0 if number % 4 == 3 else 2 if number % 3 == 2 else 1):
            total = total + state * (1 + number) + state * params["x"] * 2.0 + 0.5 * number
    return total


POINT = {"x": 0.7, "y": 1.3}


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_bytes_carry_gradients_dropped_give_nothing_and_duplicated_the_sum(mode):
    packed = detrun.gradient(by_bytes, POINT, mode=mode)
    direct = detrun.gradient(by_hand, POINT, mode=mode)
    assert packed.value == pytest.approx(direct.value, rel=1e-12)
    assert packed.grads == pytest.approx(direct.grads, rel=1e-12)


@pytest.mark.parametrize("snapshots", [1, 3])
def test_bytes_that_cross_windows_change_no_bit_of_a_gradient(snapshots):
    run = detrun.record(by_bytes, POINT, seed=5)
    whole = detrun.gradient(by_bytes, POINT, recording=run.recording)
    windowed = detrun.gradient(by_bytes, POINT, recording=run.recording, snapshots=snapshots, window=4)
    assert windowed.diagnostics.windows > 3
    assert whole.value == windowed.value == run.result
    assert whole.grads == windowed.grads


def test_the_bytes_are_the_same_on_floats_and_on_values():
    """They are part of the digest here, so a replay with Values would diverge otherwise."""

    async def main(params):
        x = params["x"]
        packed = [pack([x, 1.0, x * 2.0]), pack({"a": (x,), "b": None}), pack(1.5)]
        cell = detrun.Atomic(b"")
        for one in packed:
            cell.store(one)
        again = [pack(unpack(one)) for one in packed]
        assert list(map(len, again)) == list(map(len, packed))
        cell.store(b"".join(again))
        return unpack(packed[0])[2] * unpack(again[1])["a"][0]

    run = detrun.record(main, POINT)
    for extra in ({}, {"snapshots": 1, "window": 1}, {"mode": "forward"}):
        gradient = detrun.gradient(main, POINT, recording=run.recording, **extra)
        assert gradient.value == run.result
        assert gradient.grads == pytest.approx({"x": 4 * 0.7, "y": 0.0})


def run_on(main, seed=0):
    return detrun.record(main, POINT, seed=seed).result


def test_bytes_of_another_run_are_refused_unless_detached():
    async def sender(params):
        return pack([0.0]), pack([params["x"]])

    first, second = run_on(sender, seed=1)

    async def receiver(params):
        unpack(second)

    with pytest.raises(UnpackingError, match="run with another seed"):
        run_on(receiver, seed=2)
    with pytest.raises(UnpackingError, match="was not packed in this run, which has packed 0"):
        run_on(receiver, seed=1)

    async def other_numbers(params):
        pack([1.0])
        pack([params["y"]])
        unpack(second)

    with pytest.raises(UnpackingError, match="was not packed in this run"):
        run_on(other_numbers, seed=1)
    with pytest.raises(UnpackingError, match="unpacked outside one"):
        unpack(second)
    assert unpack(first, detach=True) == [0.0]
    assert unpack(second, detach=True) == [0.7]


def test_what_was_packed_outside_a_run_is_constant_in_it():
    packed = pack({"gain": 3.0})

    async def main(params):
        return params["x"] * unpack(packed)["gain"]

    assert detrun.gradient(main, POINT).grads["x"] == 3.0


def test_a_value_is_not_packed_outside_a_run():
    with pytest.raises(UsageError, match="outside a run"):
        pack([detrun.Value(1.0)])


def test_detaching_ends_the_gradient():
    async def main(params):
        return params["x"] + unpack(pack(params["x"] * 5.0), detach=True)

    gradient = detrun.gradient(main, POINT)
    assert gradient.value == pytest.approx(0.7 + 3.5)
    assert gradient.grads["x"] == 1.0


def test_values_in_lists_dicts_and_dataclasses_pass_channels_with_their_histories():
    """Nothing is packed: what a channel delivers is the very object. Dropped counts 0, duplicated twice."""

    async def main(params):
        send, receive = trio.open_memory_channel(10)
        x, y = params["x"], params["y"]
        await send.send(Point([x * y], {"k": y}))
        dropped, duplicated = Point(x * 100.0, 0.0), {"a": (x * x,)}
        await send.send(duplicated)
        await send.send(dropped)
        await send.send(duplicated)
        one = await receive.receive()
        total = one.x[0] + one.y["k"] * 2.0
        for wanted in (True, False, True):
            message = await receive.receive()
            if wanted:
                total = total + message["a"][0]
        return total

    gradient = detrun.gradient(main, POINT)
    assert gradient.grads == pytest.approx({"x": 1.3 + 4 * 0.7, "y": 0.7 + 2.0})
