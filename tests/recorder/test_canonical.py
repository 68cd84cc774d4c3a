"""The canonical encoding: equal for equal values in every process, different for different ones."""

from __future__ import annotations

import array
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import itertools
import math
import os
import pathlib
import subprocess
import sys
import types
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_recorder.canonical import canonical


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: float


class Slotted:
    __slots__ = ("__private", "public")

    def __init__(self, private: int) -> None:
        self.__private = private


class Text(str):
    """A string whose ``str()`` is not its content."""

    __slots__ = ()

    def __str__(self) -> str:
        return "always the same"


class Numbers(list[int]):
    pass


class Node:
    def __init__(self) -> None:
        self.links: list[Node] = []


DIFFERENT = [
    (1j, 2j),
    (range(3), range(4)),
    (slice(1), slice(2)),
    (decimal.Decimal(1), decimal.Decimal(2)),
    (collections.deque([1]), collections.deque([2])),
    (datetime.timedelta(1), datetime.timedelta(2)),
    (datetime.datetime(2000, 1, 1), datetime.datetime(2000, 1, 2)),
    (fractions.Fraction(1, 2), fractions.Fraction(1, 3)),
    (uuid.UUID(int=1), uuid.UUID(int=2)),
    (array.array("d", [1]), array.array("d", [2])),
    (pathlib.PurePath("a"), pathlib.PurePath("b")),
    (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    (types.MappingProxyType({1: 1}), types.MappingProxyType({1: 2})),
    (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
    (collections.Counter("aab"), collections.Counter("abb")),
    (Text("a"), Text("b")),
    (Numbers([1]), Numbers([2])),
    (Slotted(1), Slotted(2)),
    (Point(1, 2), Point(2, 1)),
    (Colour.RED, Colour.BLUE),
    (ValueError(1), ValueError(2)),
    (ValueError(1), TypeError(1)),
    (ExceptionGroup("x", [ValueError(1)]), ExceptionGroup("x", [ValueError(2)])),
    ({1: 2, 3: 4}, {3: 4, 1: 2}),
    (0.0, -0.0),
    (1, True),
    (1, 1.0),
    (0, None),
    ([1], (1,)),
    ([[1], 2], [[1, 2]]),
    (b"a", "a"),
    (["ab", "c"], ["a", "bc"]),
    ({"a", "b"}, {"a", "c"}),
    (math.sin, math.cos),
]


@pytest.mark.parametrize(("first", "second"), DIFFERENT, ids=lambda value: type(value).__name__)
def test_different_values_have_different_encodings_and_copies_equal_ones(first: Any, second: Any) -> None:
    assert canonical(first) != canonical(second)
    if not isinstance(first, types.MappingProxyType):
        assert canonical(copy.deepcopy(first)) == canonical(first)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def typed(value: object) -> str:
    """An independent notion of equality: repr tells types, signed zeros and dict order apart for plain values."""
    return repr(value)


@given(first=plain, second=plain)
def test_plain_values_encode_equally_exactly_if_their_reprs_are_equal(first: object, second: object) -> None:
    assert (canonical(first) == canonical(second)) == (typed(first) == typed(second))


@given(members=st.lists(st.text() | st.integers() | st.tuples(st.text(), st.integers())), order=st.randoms())
def test_a_set_encodes_the_same_in_whatever_order_it_was_filled(members: list[Any], order: Any) -> None:
    shuffled = list(members)
    order.shuffle(shuffled)
    assert canonical(set(members)) == canonical(set(shuffled))
    assert canonical(frozenset(members)) == canonical(frozenset(shuffled))


HASH_DEPENDENT = """
from detrun_recorder.canonical import canonical
import pathlib
path = pathlib.PurePath("a/b")
hash(path)
value = [{"a", "b", "c", "d", "e"}, frozenset(["x", ("y", 1)]), {"k": {"v", "w"}}, path, ValueError({"p", "q"})]
print(canonical(value).hex())
"""


def test_encodings_are_equal_in_fresh_processes_under_other_hash_seeds() -> None:
    seen = set()
    for hash_seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", HASH_DEPENDENT], env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout)
    assert len(seen) == 1
    assert len(seen.pop().strip()) >= 34  # a hash, in hexadecimal


def test_what_an_object_caches_when_it_is_used_is_not_its_content() -> None:
    fresh, used = pathlib.PurePath("a/b"), pathlib.PurePath("a/b")
    assert hash(used) == hash(fresh)
    assert str(used)
    assert canonical(fresh) == canonical(used)


def test_sharing_does_not_count() -> None:
    inner = [1, "x"]
    assert canonical([inner, inner]) == canonical([inner, list(inner)])
    assert canonical((inner, {"k": inner})) == canonical(([1, "x"], {"k": [1, "x"]}))


def test_a_thousand_levels_of_sharing_cost_a_thousand_objects_not_two_to_the_thousand() -> None:
    value: list[Any] = [1]
    for _ in range(1000):
        value = [value, value]
    other: list[Any] = [2]
    for _ in range(1000):
        other = [other, other]
    assert canonical(value) != canonical(other)


def test_cycles_end_and_different_cycles_differ() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    same: list[Any] = [1]
    same.append(same)
    other: list[Any] = [2]
    other.append(other)
    assert canonical(loop) == canonical(same)
    assert canonical(loop) != canonical(other)


def graph(edges: set[tuple[int, int]], count: int) -> list[Node]:
    nodes = [Node() for _ in range(count)]
    for source, target in sorted(edges):
        nodes[source].links.append(nodes[target])
    return nodes


def test_a_dense_cyclic_graph_costs_its_edges_not_its_paths() -> None:
    """40 nodes, each linked to each: more than 10**40 simple paths."""
    edges = set(itertools.product(range(40), repeat=2))
    assert canonical(graph(edges, 40)) == canonical(graph(edges, 40))
    assert canonical(graph(edges, 40)) != canonical(graph(edges - {(3, 4)}, 40))


@given(edges=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))), other=st.tuples(*[st.integers(0, 4)] * 2))
def test_graphs_encode_equally_exactly_if_their_edges_are_equal(
    edges: set[tuple[int, int]], other: tuple[int, int]
) -> None:
    """A node has nothing but links, so graphs may agree that differ in their edges: they are unfolded to compare."""
    changed = edges ^ {other}
    first, second = graph(edges, 5), graph(changed, 5)
    assert canonical(first) == canonical(graph(edges, 5))
    # Node `i` of both lists stands in the same place of the list, so an edge more is a link more of that node.
    assert canonical(first) != canonical(second)


def test_a_value_nested_deeper_than_the_recursion_limit_is_encoded() -> None:
    def nested(depth: int, leaf: int) -> list[Any]:
        value: list[Any] = [leaf]
        for _ in range(depth):
            value = [value]
        return value

    limit = sys.getrecursionlimit()
    deep = nested(5 * limit, 1), nested(5 * limit, 1), nested(5 * limit, 2)
    first, second, third = map(canonical, deep)
    assert first == second != third
    assert sys.getrecursionlimit() == limit


def test_whole_numbers_of_any_size_are_encoded() -> None:
    assert canonical(10**5000) != canonical(10**5000 + 1)


def test_a_differentiable_number_counts_as_its_primal() -> None:
    assert canonical(detrun.Value(1.5)) == canonical(1.5)
    assert canonical([detrun.Value(1.5), 2]) == canonical([1.5, 2])


def test_errors_of_detrun_count_as_their_class_because_their_texts_name_files() -> None:
    first, second = detrun.HiddenStateError("at a.py:1"), detrun.HiddenStateError("at b.py:2")
    assert canonical(ExceptionGroup("x", [first])) == canonical(ExceptionGroup("x", [second]))
    assert canonical(first) != canonical(detrun.UsageError("at a.py:1"))


def test_objects_without_content_and_modules_and_functions_count_as_their_names() -> None:
    assert canonical(object()) == canonical(object())
    assert canonical(math) != canonical(os)
    assert canonical(test_sharing_does_not_count) != canonical(graph)


def test_numpy_arrays_count_by_dtype_shape_and_content() -> None:
    numpy = pytest.importorskip("numpy")
    assert canonical(numpy.array([1.0, 2.0])) == canonical(numpy.array([1.0, 2.0]))
    assert canonical(numpy.array([1.0, 2.0])) != canonical(numpy.array([[1.0, 2.0]]))
    assert canonical(numpy.float32(1)) != canonical(numpy.float64(1))
    assert canonical(numpy.arange(6)[::2]) == canonical(numpy.array([0, 2, 4]))
    # Arrays of objects hold addresses.
    first, second = (numpy.array([[1], [2, 3]], dtype=object) for _ in range(2))
    assert canonical(first) == canonical(second)


def test_torch_tensors_count_by_dtype_shape_and_content() -> None:
    torch = pytest.importorskip("torch")
    assert canonical(torch.tensor(1.0)) == canonical(torch.tensor(1.0, requires_grad=True))
    assert canonical(torch.ones(2, dtype=torch.bfloat16)) != canonical(torch.ones(2))
    assert canonical(torch.ones(2, 3).T) == canonical(torch.ones(3, 2))
    assert canonical(torch.eye(2).to_sparse()) == canonical(torch.eye(2))
    assert canonical(torch.tensor([1j]).conj()) == canonical(torch.tensor([complex(0, -1)]))


def test_addresses_in_an_exception_do_not_count() -> None:
    """A rewritten assert quotes default reprs; the same failure in another process has other addresses."""
    one = canonical(AssertionError("assert <Account object at 0x7f3a5c0d1e50>.balance >= 0"))
    other = canonical(AssertionError("assert <Account object at 0x7ffe12345678>.balance >= 0"))
    assert one == other
    assert one != canonical(AssertionError("assert <Account object at 0x7f3a5c0d1e50>.balance >= 1"))
