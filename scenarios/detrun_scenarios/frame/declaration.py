"""`Scenario`: one typed object in which a system says everything that the command line needs to know of it.

    SCENARIO = Scenario(
        name="queue",
        about="Customers, one clerk, and a door that closes.",
        parameters=(Parameter("service", 0.8, (0.1, 2.0), "s", "mean time at the clerk", origin="M/M/1"),),
        losses=(Loss("wait", "mean time in the queue", "s", (Meaning("local", ("service",), "times move smoothly"),)),),
        invariants=(Invariant("first come, first served", "customers leave in the order in which they came"),),
        bugs=(Bug("overtaking", "the door lets in two at once", places=("Door.open", "Door.enter")),),
        program=program,  # in workload.py: program(Setting) -> async main(params) -> losses by name
    )

It stands in the ``__init__.py`` of the scenario's package, whose name is `Scenario.name`. The declaration is data and
checks itself: a name that is used and not declared is refused when the package is imported.

Rules of a program. It is made for a `Setting` and is ``async def main(params)``, an ordinary program for
`detrun.record`: a function of its parameters, the seed and the schedule. It returns its losses by name, numbers or
Values (at least ``setting.loss``, if one is asked for), and checks each invariant with
``detrun.always(condition, name)``, under the name that is declared. Nothing is kept between two runs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from detrun.world import FaultPlan, Swarm
from detrun_scenarios.frame.names import named
from detrun_scheduler.errors import UsageError

SHARE = 0.1  # of a parameter, by which differences move it, unless its meaning says so

Kind: TypeAlias = Literal["local", "expected", "policy", "finite", "relaxed"]
KINDS: tuple[Kind, ...] = ("local", "expected", "policy", "finite", "relaxed")

Size: TypeAlias = Literal["small", "medium", "large"]
"""``small`` is one schedule of an exploration, at most 20,000 steps; ``medium`` one sample of a gradient or of tuning;
``large`` the default of a run, at least 100,000 steps in less than 30 s."""
SIZES: tuple[Size, ...] = ("small", "medium", "large")

Faults: TypeAlias = FaultPlan | Swarm
Losses: TypeAlias = Mapping[str, Any]  # floats or Values, by name
Program: TypeAlias = Callable[[Mapping[str, Any]], Coroutine[Any, Any, Losses]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a scenario takes.

    Attributes:
        name: by which the program reads it, an identifier.
        default: what the original system or the textbook ships.
        bounds: within which it makes sense, both included.
        unit: ``"s"``, ``"1/s"``, ``"messages"``; empty for a pure number.
        about: what it is, in a phrase.
        origin: where the default comes from: a paper with its section, a system with its version.
        log_scale: whether tuning moves its logarithm; the bounds are positive then.
    """

    name: str
    default: float
    bounds: tuple[float, float]
    unit: str
    about: str
    origin: str = ""
    log_scale: bool = False

    def __post_init__(self) -> None:
        _identifier("parameter", self.name)
        low, high = self.bounds
        if not low <= self.default <= high:
            raise UsageError(f"parameter {self.name}: its default {self.default:g} is outside {low:g} to {high:g}")
        if self.log_scale and low <= 0.0:
            raise UsageError(f"parameter {self.name}: {low:g} has no logarithm; give a positive lower bound")


@dataclass(frozen=True, slots=True)
class Meaning:
    """Which kind of gradient says what a loss does when some parameters move, and why.

    Attributes:
        kind: of `detrun.gradient`.
        parameters: whose derivatives this kind gives rightly.
        why: the reason, in a sentence: ``"elections flip with it, and only their mean is smooth"``.
        options: for `detrun.gradient` beside the kind: ``samples``, ``temperature``, ``pairs``.
        share: of a parameter, by which it is moved in differences: those of kind ``finite``, and those beside the
            other kinds. Wide enough to be seen above the noise, and no wider than the loss is straight.
    """

    kind: Kind
    parameters: tuple[str, ...]
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    share: float = SHARE


@dataclass(frozen=True, slots=True)
class Loss:
    """A number that a run gives and that should be small.

    Attributes:
        name: under which the program returns it, an identifier.
        about: what it is, in a phrase.
        unit: of the number.
        meanings: what fits which parameter, the one that tuning follows first. A parameter in none of them does not
            move this loss.
        faults: under which the loss is taken; None for a run without faults.
        tune_options: for `detrun.minimize`: ``rate``, ``samples``, ``optimizer``, ``trust_region``.
    """

    name: str
    about: str
    unit: str
    meanings: tuple[Meaning, ...]
    faults: Faults | None = None
    tune_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identifier("loss", self.name)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those that move this loss, each once, in the order of the meanings."""
        return tuple(dict.fromkeys(name for meaning in self.meanings for name in meaning.parameters))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Those of the meanings, each once."""
        return tuple(dict.fromkeys(meaning.kind for meaning in self.meanings))


@dataclass(frozen=True, slots=True)
class Invariant:
    """What is always true of the right system: the name with which the program calls `detrun.always`, in plain words.

    The name may have spaces: ``"election safety"``.
    """

    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Bug:
    """A small difference from the right code that breaks an invariant, in some schedules.

    Attributes:
        name: an identifier; ``setting.bug`` in the program.
        about: what the code does wrong, in a phrase.
        places: the two functions that an explanation must name, as ``"Class.method"`` or ``"function"``: whose
            operations come in the wrong order. Of a precaution that is left out, which is no operation: what is done
            without it, and what relies on it or finds it missing.
        faults: under which it is looked for, if others than the scenario's.
        variant: of the workload, in which it is looked for: a name that the program knows. A bug that needs certain
            settings, or an operator who does a certain thing, says so here.
        options: for `detrun.explore`, where this bug needs others than the scenario's: ``schedules``, ``max_steps``,
            ``shrink``, ``explain``.
    """

    name: str
    about: str
    places: tuple[str, str]
    faults: Faults | None = None
    variant: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _identifier("bug", self.name)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a program is made for.

    Attributes:
        size: of the workload.
        loss: the one that is wanted; None for all of them.
        bug: the one that is planted; None for the right system.
        faults: that the program injects (`detrun.world.inject`); None for none. With a loss they are that loss's,
            otherwise the bug's or the scenario's.
        variant: of the workload, see `Bug`; an empty string for the ordinary one.
        spared: the bug whose faults and variant these are, although it is not planted.
    """

    size: Size = "small"
    loss: str | None = None
    bug: str | None = None
    faults: Faults | None = None
    variant: str = ""
    spared: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A system, as the command line and the tests know it.

    Attributes:
        name: of its package.
        about: what it is, in a sentence of at most a line.
        parameters, losses, bugs, invariants: see each.
        program: makes a program for a setting; see the module.
        faults: of an exploration and of a run for all losses; None for none.
        explore_options: for `detrun.explore`: ``schedules``, ``max_steps``, ``preemption``.
        draw: the scenario's own picture: draws one for some parameters and a seed into a file; None for the default
            one. What it needs of matplotlib it imports when it is called.
    """

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    losses: tuple[Loss, ...]
    program: Callable[[Setting], Program]
    bugs: tuple[Bug, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    faults: Faults | None = None
    explore_options: Mapping[str, Any] = field(default_factory=dict)
    draw: Callable[[str, Mapping[str, float], int], None] | None = None

    def __post_init__(self) -> None:
        _identifier("scenario", self.name)
        known = _once(self.name, "parameter", [one.name for one in self.parameters])
        _once(self.name, "loss", [one.name for one in self.losses])
        _once(self.name, "bug", [one.name for one in self.bugs])
        _once(self.name, "invariant", [one.name for one in self.invariants])
        for loss in self.losses:
            for meaning in loss.meanings:
                if meaning.kind not in KINDS:
                    raise UsageError(
                        f"scenario {self.name}, loss {loss.name}: {meaning.kind!r} is no kind of gradient; "
                        f"there are {', '.join(KINDS)}"
                    )
                for name in meaning.parameters:
                    if name not in known:
                        raise UsageError(
                            f"scenario {self.name}, loss {loss.name}: {name!r} is no parameter; declare it, or "
                            f"name one of {', '.join(known)}"
                        )

    @property
    def defaults(self) -> dict[str, float]:
        """The parameters as they are shipped."""
        return {one.name: one.default for one in self.parameters}

    def setting(
        self, size: Size = "small", loss: str | None = None, bug: str | None = None, spared: str | None = None
    ) -> Setting:
        """A setting with the faults and the variant that belong to it.

        With a loss the faults are that loss's own, none if it declares none: what it costs to be hit by faults is
        another question. Without one, a run for all losses and an exploration are under the faults of the bug or of the
        scenario, whatever the size.

        Args:
            spared: a bug to be looked for in the right system, which has to survive that.

        Raises:
            UsageError: the loss or the bug is not declared, or there is a bug both planted and spared.
        """
        wanted = None if loss is None else self.loss(loss)
        if bug is not None and spared is not None:
            raise UsageError(f"scenario {self.name}: {bug} is planted and {spared} is not; give one of them")
        name = spared if bug is None else bug
        hunted = None if name is None else self.bug(name)
        if wanted is not None:
            faults = wanted.faults
        else:
            faults = hunted.faults if hunted is not None and hunted.faults is not None else self.faults
        variant = "" if hunted is None else hunted.variant
        return Setting(size, loss, bug, faults, variant, spared)

    def loss(self, name: str) -> Loss:
        """The loss of that name.

        Raises:
            UsageError: there is none; the message has the near names.
        """
        return named(f"scenario {self.name} has no loss", name, {one.name: one for one in self.losses})

    def bug(self, name: str) -> Bug:
        """The bug of that name.

        Raises:
            UsageError: there is none; the message has the near names.
        """
        return named(f"scenario {self.name} has no bug", name, {one.name: one for one in self.bugs})

    def hunt_options(self, bug: str | None) -> dict[str, Any]:
        """For `detrun.explore`: the scenario's options, and over them those of the bug that is looked for.

        Raises:
            UsageError: there is no such bug.
        """
        return {**self.explore_options, **({} if bug is None else self.bug(bug).options)}

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name.

        Raises:
            UsageError: there is none; the message has the near names.
        """
        return named(f"scenario {self.name} has no parameter", name, {one.name: one for one in self.parameters})

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Of all losses, each once, in the order of `KINDS`."""
        used = {kind for loss in self.losses for kind in loss.kinds}
        return tuple(kind for kind in KINDS if kind in used)


def _identifier(what: str, name: str) -> None:
    if not name.isidentifier():
        raise UsageError(f"{what} {name!r}: the name is part of commands and recordings; make it an identifier")


def _once(scenario: str, what: str, names: list[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"scenario {scenario} declares the {what} {name!r} twice; give each its own name")
    return names
