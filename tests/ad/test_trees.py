"""Trees of numbers: what is reached, what is refused with its path, wherever a program hands numbers over."""

from __future__ import annotations

import collections
import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import detrun
from detrun.ad.hidden_values import PARTS_MAX, hidden_value
from detrun.ad.trees import STATES, Trees, UnknownContainer, copy
from detrun.ad.value import Value
from detrun.errors import NotDifferentiableError, UsageError

OPAQUE = Trees(
    "an argument", unknown=UnknownContainer.OPAQUE, advice="Pass it in a list", leaf_types=(Value, float, str)
)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Reading:
    level: Any
    unit: str = "m"


@dataclass(eq=False)
class Key:
    """Told apart by identity, so it has a hash whatever it holds."""

    inside: Any


class Box:
    def __init__(self, queue: Any) -> None:
        self.queue = queue


class Slotted:
    __slots__ = ("content", "never_assigned")

    def __init__(self, content: Any) -> None:
        self.content = content


class Colour(enum.Enum):
    RED = 1.0


def with_note(x: Any) -> Reading:
    reading = Reading(1.0)
    reading.note = x  # type: ignore[attr-defined]
    return reading


KNOWN: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [1.0, x],
    "tuple": lambda x: (x, "a"),
    "dict": lambda x: {"a": {"b": x}},
    "named tuple": lambda x: Point(1.0, x),
    "dataclass": lambda x: Reading([x]),
}
SUBCLASSES: dict[str, Callable[[Any], Any]] = {
    "OrderedDict": lambda x: collections.OrderedDict(a=1.0, b=x),
    "defaultdict": lambda x: collections.defaultdict(float, a=x),
}
OUT_OF_REACH: dict[str, tuple[Callable[[Any], Any], str]] = {
    "deque": (lambda x: collections.deque([1.0, 2.0, x]), "[2]"),
    "user's object": (lambda x: Box(x), ".queue"),
    "nested": (lambda x: Box([0.0, collections.deque([x])]), ".queue[1][0]"),
    "slots": (lambda x: Slotted(x), ".content"),
    "set": (lambda x: {Key(x)}, "{…}.inside"),
    "frozenset": (lambda x: frozenset([Key(x)]), "{…}.inside"),
    "namespace": (lambda x: collections.UserDict(a=x), ".data['a']"),
    "list in an object in a list": (lambda x: [Box([x])], "[0].queue[0]"),
    "attribute that is no field": (with_note, ".note"),
    "key": (lambda x: {Key(x): 1.0}, ".inside"),
    "key of a deeper dict": (lambda x: [{Key([x]): 1.0}], ".inside[0]"),
}


@pytest.mark.parametrize("trees", [STATES, OPAQUE], ids=["states", "opaque"])
@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_number_in_a_known_container_is_reached_and_replaced(kind: str, trees: Trees) -> None:
    value = Value(3.0)
    tree = KNOWN[kind](value)
    assert value in trees.leaves(tree)
    assert any(leaf is value for _, leaf in trees.leaves_with_paths(tree))
    doubled = trees.map(lambda leaf: leaf * 2 if isinstance(leaf, Value) else leaf, tree)
    assert type(doubled) is type(tree)
    assert 6.0 in [float(leaf) for leaf in trees.leaves(doubled) if not isinstance(leaf, str)]


def test_paths_say_how_to_get_to_a_leaf() -> None:
    tree = {"a": [Point(1.0, 2.0)], "b": Reading((3.0,))}
    assert dict(STATES.leaves_with_paths(tree, "state")) == {
        "state['a'][0].x": 1.0,
        "state['a'][0].y": 2.0,
        "state['b'].level[0]": 3.0,
    }


@pytest.mark.parametrize("kind", sorted(SUBCLASSES))
def test_subclasses_are_containers_where_objects_are_opaque_and_keep_their_class(kind: str) -> None:
    tree = SUBCLASSES[kind](Value(3.0))
    made = OPAQUE.map(lambda leaf: leaf.primal if isinstance(leaf, Value) else leaf, tree)
    assert type(made) is type(tree)
    assert 3.0 in made.values()
    assert not any(isinstance(one, Value) for one in made.values())
    if isinstance(made, collections.defaultdict):
        assert made["missing"] == 0.0
    with pytest.raises(UsageError, match=rf"holds a collections\.{kind} at \[0\]"):
        copy([tree])


@pytest.mark.parametrize("kind", sorted(OUT_OF_REACH))
def test_a_value_out_of_reach_is_refused_with_its_path(kind: str) -> None:
    make, path = OUT_OF_REACH[kind]
    for walk in (OPAQUE.leaves, lambda tree, at: OPAQUE.map(lambda leaf: leaf, tree, at)):
        with pytest.raises(NotDifferentiableError) as refusal:
            walk(make(Value(1.0)), "result")
        assert f"{path}, in a " in str(refusal.value)
        assert "a Value at result" in str(refusal.value)
    assert OPAQUE.leaves(make(1.0)), "without Values the very objects pass"


@pytest.mark.parametrize("kind", sorted(OUT_OF_REACH))
def test_a_state_or_event_refuses_it_too(kind: str) -> None:
    make, _ = OUT_OF_REACH[kind]
    with pytest.raises((UsageError, NotDifferentiableError), match="a state or event holds a "):
        copy(make(Value(1.0)))


def test_what_is_left_alone_is_neither_run_nor_searched() -> None:
    asked = []

    class Lazy:
        @property
        def value(self) -> Any:
            asked.append(self)
            return Value(1.0)

        def __iter__(self) -> Any:
            asked.append(self)
            return iter([Value(1.0)])

    value = Value(1.0)
    iterator = iter([value])
    for one in (Lazy(), iterator, (each for each in [value]), lambda: value, Box, Colour.RED):
        assert hidden_value(one) is None
    assert asked == []
    assert next(iterator).primal == 1.0


def test_the_search_is_bounded_and_takes_the_nearest_first() -> None:
    value = Value(1.0)
    far = collections.deque([collections.deque([value]), Box(0.0), value])
    found = hidden_value(far)
    assert found is not None
    assert found.path == "[2]"
    assert hidden_value(collections.deque([0.0] * PARTS_MAX + [value])) is None
    ring = collections.deque[Any]()
    ring.append(ring)
    assert hidden_value(ring) is None


# --- where programs hand numbers over ---------------------------------------------------------------------------------


@detrun.external(derivative="stop")
def outside(*args: Any, **keywords: Any) -> float:
    assert "Value(" not in repr((args, keywords))
    return 1.0


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("kind", sorted(OUT_OF_REACH))
def test_an_effect_refuses_a_value_out_of_reach(kind: str, mode: str) -> None:
    make, path = OUT_OF_REACH[kind]

    async def positional(params: dict[str, Any]) -> Any:
        outside(1.0, make(params["x"]))
        return params["x"]

    async def by_keyword(params: dict[str, Any]) -> Any:
        outside(packet=make(params["x"]))
        return params["x"]

    for main, root in ((positional, "args[1]"), (by_keyword, "packet")):
        with pytest.raises(NotDifferentiableError) as refusal:
            detrun.gradient(main, {"x": 2.0}, mode=mode)
        assert f"external function outside holds a Value at {root}" in str(refusal.value)
        assert path in str(refusal.value)
        assert "float(v) if it is to count as a constant" in str(refusal.value)
        recorded = detrun.record(main, {"x": 2.0})
        assert recorded.result == 2.0, "plain numbers pass in any object"
        # A replay does not run the effect, and looks at its arguments all the same. The program ends otherwise by that.
        with pytest.raises(detrun.DivergenceError, match=rf"outside holds a Value at {re.escape(root)}"):
            detrun.gradient(main, {"x": 2.0}, recording=recorded.recording, mode=mode)


@pytest.mark.parametrize("kind", sorted({**KNOWN, **SUBCLASSES}))
def test_an_effect_takes_values_in_known_containers(kind: str) -> None:
    make = {**KNOWN, **SUBCLASSES}[kind]

    @detrun.external(
        derivative=detrun.Surrogate(lambda tree: 3.0 * OPAQUE.leaves(tree, "")[-1 if kind != "tuple" else 0])
    )
    def modelled(tree: Any) -> float:
        assert "Value(" not in repr(tree)
        assert type(tree) is type(make(1.0))
        return 1.0

    if kind == "dataclass":

        @detrun.external(derivative=detrun.Surrogate(lambda tree: 3.0 * tree.level[0]))
        def modelled(tree: Any) -> float:
            assert type(tree) is Reading
            return 1.0

    async def main(params: dict[str, Any]) -> Any:
        return modelled(make(params["x"]))

    assert detrun.gradient(main, {"x": 2.0}).grads == {"x": 3.0}


def test_what_a_model_or_a_vjp_gives_out_of_reach_is_refused() -> None:
    model = detrun.external(
        derivative=detrun.Surrogate(lambda x: [x, Box(collections.deque([0.0, 0.0, x]))]), name="model"
    )(lambda x: [1.0])
    given = detrun.external(derivative=lambda adjoint, x: [Box(Value(1.0))], name="given")(lambda x: x)

    async def by_model(params: dict[str, Any]) -> Any:
        return model(params["x"])[0]

    async def by_vjp(params: dict[str, Any]) -> Any:
        return given(params["x"])

    with pytest.raises(
        NotDifferentiableError, match=r"holds a Value at result\[1\]\.queue\[2\], in a collections\.deque"
    ):
        detrun.gradient(by_model, {"x": 2.0})
    with pytest.raises(NotDifferentiableError, match=r"holds a Value at adjoints\[0\]\.queue, in a "):
        detrun.gradient(by_vjp, {"x": 2.0})


@pytest.mark.parametrize("kind", sorted(OUT_OF_REACH))
def test_pack_refuses_what_it_cannot_carry_with_its_path(kind: str) -> None:
    make, _ = OUT_OF_REACH[kind]

    async def main(params: dict[str, Any]) -> Any:
        detrun.unpack(detrun.pack({"body": [make(params["x"])]}))
        return params["x"]

    if kind in ("key", "key of a deeper dict"):  # a dataclass, which can be packed, and no dict could hold as a dict
        with pytest.raises(detrun.UnpackingError):
            detrun.gradient(main, {"x": 2.0})
        return
    with pytest.raises((UsageError, NotDifferentiableError), match=r"pack: message\['body'\]\[0\]"):
        detrun.gradient(main, {"x": 2.0})


def test_pack_names_the_field_the_key_and_the_item() -> None:
    with pytest.raises(UsageError, match=r"message\.level\['a'\]\[1\] is a deque, .* which is not plain data"):
        detrun.pack(Reading({"a": (1.0, collections.deque())}))
    with pytest.raises(UsageError, match=r"message key frozenset\(\) is a frozenset"):
        detrun.pack({frozenset(): 1.0})
    with pytest.raises(UsageError, match=r"pack: message is a Box"):
        detrun.pack(Box(1.0))
    for kind in sorted(SUBCLASSES):
        with pytest.raises(UsageError, match=rf"message\[0\] is a {kind}, .* which is not plain data"):
            detrun.pack([SUBCLASSES[kind](1.0)])


@pytest.mark.parametrize(
    "kind", sorted(set(OUT_OF_REACH) - {"key", "key of a deeper dict", "attribute that is no field"})
)
def test_machines_refuse_states_events_and_params_that_no_tree_may_hold(kind: str) -> None:
    make, _ = OUT_OF_REACH[kind]
    with pytest.raises(UsageError, match=r"a state or event holds a \S+ at \['a'\]"):
        detrun.StateMachine(lambda state, event: state, {"a": make(1.0)})
    with pytest.raises(UsageError, match=r"a state or event holds a \S+ at \['a'\]"):
        detrun.StateMachine(lambda state, event, params: state, 0.0, params={"a": make(1.0)})
    machine = detrun.StateMachine(lambda state, event: state, 0.0)
    with pytest.raises(UsageError, match=r"a state or event holds a \S+ at \[0\]"):
        machine.dispatch([make(1.0)])
    assert len(machine.events) == 0


@pytest.mark.parametrize("kind", sorted({**KNOWN, **SUBCLASSES, **OUT_OF_REACH}))
def test_a_program_must_return_one_number_and_take_numbers_by_name(kind: str) -> None:
    make: Any = {**KNOWN, **SUBCLASSES, **{name: one for name, (one, _) in OUT_OF_REACH.items()}}[kind]

    async def main(params: dict[str, Any]) -> Any:
        return make(params["x"])

    with pytest.raises(NotDifferentiableError, match="it must return one number, the loss"):
        detrun.gradient(main, {"x": 2.0})
    with pytest.raises(UsageError, match=r"parameter 'x' is .* not a finite number"):
        detrun.gradient(main, {"x": make(2.0)})


def test_a_buffer_and_a_tensor_refuse_a_dict_whose_values_they_would_not_see() -> None:
    with pytest.raises(UsageError, match=r"a buffer holds numbers and Values, not dict"):
        detrun.Buffer({1.0: Value(2.0)})
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=r"to_tensor: .* is not a sequence of numbers; pass its values as a list"):
        detrun.to_tensor({1.0: Value(2.0)})
