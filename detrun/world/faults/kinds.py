"""The kinds of faults that a plan can contain: one frozen dataclass each, pure data.

Each says what happens, to what, and when: ``at`` a virtual time or at a time drawn from ``between``, and with a
``probability`` of happening at all. What a run draws for a fault is keyed by the fault's ``name``, so taking one fault
out of a plan leaves the others where they were: this is what lets plans shrink.

Names of nodes may be patterns of ``fnmatch``. A fault of one node strikes one of those that match, drawn in the run; a
fault of links strikes every link that matches. ``"@leader"`` is whichever nodes have that role (`World.role`) when the
fault begins; while none has it, the fault waits. What is checked here is everything that can be seen without a world:
a plan that was made is a plan that can be tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from detrun.world.disk.faults import KINDS as DISK_FAULTS
from detrun.world.faults.values import FaultPlanError as FaultPlanError
from detrun.world.faults.values import checked
from detrun.world.nodes.roles import MARK

LENGTHS = ("lasts_seconds", "down_seconds")  # the keys that say how long a fault is in force
SHAPES = ("halves", "bridge", "majorities ring", "isolate")


def _seconds(default: Any = ..., *, least: float = 0.0) -> Any:
    return _field(default, "seconds", least=least)


def _field(default: Any, kind: str, **more: Any) -> Any:
    metadata = {"is": kind, **more}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """What all planned faults have.

    Attributes:
        at: virtual seconds after the plan was begun.
        between: instead of ``at``: two times, between which one is drawn.
        probability: that it happens at all.
        allow_no_effect: a run in which it happens and changes nothing is fine all the same.
        name: of this fault in its plan; given by the plan if empty.
    """

    kind: ClassVar[str] = ""
    models: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()  # of several fields at least one
    takes_node_down: ClassVar[bool] = False

    at: float | None = _seconds(None)
    between: tuple[float, float] | None = _field(None, "interval")
    probability: float = _field(1.0, "probability")
    allow_no_effect: bool = _field(False, "truth")
    name: str = _field("", "text")

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None or one.default is not None:
                object.__setattr__(self, one.name, checked(self.kind, one.name, value, one.metadata))
        if (self.at is None) == (self.between is None):
            raise FaultPlanError(f"{self.kind}: give 'at', a time, or 'between', two times; one of them")
        if self.needs and not any(getattr(self, name) for name in self.needs):
            raise FaultPlanError(f"{self.kind}: give {' or '.join(map(repr, self.needs))}")

    @property
    def earliest(self) -> float:
        """The first time at which it may happen."""
        return self.at if self.at is not None else self.between[0]  # type: ignore[index]

    @property
    def latest(self) -> float:
        """The last time at which it may happen."""
        return self.at if self.at is not None else self.between[1]  # type: ignore[index]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of nodes that it strikes, each once, as they are declared."""
        named = [getattr(self, key, "") for key in ("node", "source", "destination")]
        several = [getattr(self, "nodes", ()), *getattr(self, "groups", ())]
        names = [*named, *(name for group in several for name in group)]
        return tuple(dict.fromkeys(name.removeprefix(MARK) for name in names if name.startswith(MARK)))

    def document(self) -> dict[str, Any]:
        """As in a TOML file: its kind, and what differs from the defaults."""
        found: dict[str, Any] = {"kind": self.kind}
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                found[one.name] = _plain(value)
        return found


# One node.


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfNode(PlannedFault):
    node: str = _field(..., "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash(_OfNode):
    """A process is killed; started again ``down_seconds`` later, if given."""

    kind: ClassVar[str] = "crash"
    models: ClassVar[str] = "the process dies at once (kill -9, segmentation fault); its page cache survives"
    takes_node_down: ClassVar[bool] = True
    down_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss(_OfNode):
    """A machine loses power; started again ``down_seconds`` later, if given."""

    kind: ClassVar[str] = "power_loss"
    models: ClassVar[str] = "the machine loses power: what was not synced is lost, kept or torn"
    takes_node_down: ClassVar[bool] = True
    down_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(_OfNode):
    """A node is started again; one that runs is crashed first."""

    kind: ClassVar[str] = "restart"
    models: ClassVar[str] = "a supervisor starts the process again, with its disk as it was left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade(_OfNode):
    """A node runs another of its versions from now on: ``to``, or else the one that was offered next."""

    kind: ClassVar[str] = "upgrade"
    models: ClassVar[str] = "another version of the program takes the place of the one that runs, on the old disk"
    to: str = _field("", "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(_OfNode):
    """A node stands still for ``lasts_seconds``, or until it is resumed."""

    kind: ClassVar[str] = "pause"
    models: ClassVar[str] = "the process is stopped and goes on later: garbage collection, swapping, a moved machine"
    takes_node_down: ClassVar[bool] = True
    lasts_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(_OfNode):
    """A paused node goes on."""

    kind: ClassVar[str] = "resume"
    models: ClassVar[str] = "the end of a pause that was given no length"


# The network.


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition(PlannedFault):
    """The network falls apart: into ``groups``, or into a ``shape`` of ``nodes`` (all, if none are named)."""

    kind: ClassVar[str] = "partition"
    models: ClassVar[str] = "nothing passes between groups of nodes: a switch, a cable, a firewall rule"
    needs: ClassVar[tuple[str, ...]] = ("groups", "shape")
    groups: tuple[tuple[str, ...], ...] = _field((), "groups")
    shape: str = _field("", "one of", options=("", *SHAPES))
    nodes: tuple[str, ...] = _field((), "names")
    one_way: bool = _field(False, "truth")
    lasts_seconds: float | None = _seconds(None)

    def __post_init__(self) -> None:
        super(Partition, self).__post_init__()
        if self.groups and self.shape:
            raise FaultPlanError("partition: 'groups' and 'shape' both say who is cut off; give one of them")
        if len(self.groups) == 1:
            raise FaultPlanError("partition: 'groups' has one group; a partition has at least two")
        if self.one_way and self.shape in ("bridge", "majorities ring"):
            raise FaultPlanError(f"partition: 'one_way' says nothing of the shape {self.shape!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfLinks(PlannedFault):
    source: str = _field("*", "text")
    destination: str = _field("*", "text")
    lasts_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clog(_OfLinks):
    """Links hold everything back and then deliver it."""

    kind: ClassVar[str] = "clog"
    models: ClassVar[str] = "messages are held back, not lost: a full queue, a route that flaps"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLatency(_OfLinks):
    """Messages travel ``seconds``, and on top of it an exponential of mean ``mean_seconds``."""

    kind: ClassVar[str] = "latency"
    models: ClassVar[str] = "messages take longer, or take times that vary more: congestion, a detour"
    needs: ClassVar[tuple[str, ...]] = ("seconds", "mean_seconds")
    seconds: float = _seconds(0.0)
    mean_seconds: float = _seconds(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfMessages(_OfLinks):
    rate: float = _field(..., "probability")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(_OfMessages):
    """A fraction ``rate`` of messages is lost."""

    kind: ClassVar[str] = "loss"
    models: ClassVar[str] = "messages are lost; a TCP segment is sent again, which shows as delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplication(_OfMessages):
    """A fraction ``rate`` of datagrams and mailbox messages arrives twice."""

    kind: ClassVar[str] = "duplication"
    models: ClassVar[str] = "a datagram or mailbox message arrives twice; TCP hides it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reordering(_OfMessages):
    """A fraction ``rate`` of datagrams and mailbox messages takes ``delay_seconds`` more, and is overtaken."""

    kind: ClassVar[str] = "reordering"
    models: ClassVar[str] = "a datagram or mailbox message is overtaken by later ones; TCP puts them back in order"
    delay_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTail(_OfMessages):
    """A fraction ``rate`` of messages takes ``delay_seconds`` more."""

    kind: ClassVar[str] = "slow_tail"
    models: ClassVar[str] = "some messages take much longer than others: the tail of a distribution"
    delay_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(_OfMessages):
    """A fraction ``rate`` of TCP segments tears its connection down."""

    kind: ClassVar[str] = "reset"
    models: ClassVar[str] = "both ends of a TCP connection see a reset: a proxy, a table that overflows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(_OfLinks):
    """Links carry ``bytes_per_second``; what waits for more than ``queue_bytes_max`` of others is lost."""

    kind: ClassVar[str] = "bandwidth"
    models: ClassVar[str] = "a link is narrow: messages queue for it, and are lost when the queue is full"
    bytes_per_second: float = _field(..., "positive")
    queue_bytes_max: float | None = _field(None, "positive")


# Disks and clocks.


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFault(_OfNode):
    """A node's disk fails in the way ``fault`` at a fraction ``rate`` of chances, or at the next ``times``."""

    kind: ClassVar[str] = "disk"
    models: ClassVar[str] = "a disk fails, lies or is slow; the kinds have a table of their own"
    needs: ClassVar[tuple[str, ...]] = ("rate", "times")
    fault: str = _field(..., "one of", options=DISK_FAULTS)
    rate: float = _field(0.0, "probability")
    times: int = _field(0, "count")
    path: str = _field("", "text")
    slow_seconds: float | None = _seconds(None)
    lasts_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep(_OfNode):
    """A node's wall clock jumps by ``seconds``, which may be negative."""

    kind: ClassVar[str] = "clock_step"
    models: ClassVar[str] = "an administrator or a time daemon sets the clock; time may go back"
    seconds: float = _seconds(..., least=-math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(_OfNode):
    """A node's wall clock is ``seconds`` off, for ``lasts_seconds``."""

    kind: ClassVar[str] = "clock_skew"
    models: ClassVar[str] = "clocks that were never synchronized, or no longer are"
    seconds: float = _seconds(..., least=-math.inf)
    lasts_seconds: float | None = _seconds(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrift(_OfNode):
    """A node's clocks gain ``rate`` seconds in each second, for ``lasts_seconds``."""

    kind: ClassVar[str] = "clock_drift"
    models: ClassVar[str] = "a quartz that is too fast or, with a negative rate, too slow"
    rate: float = _seconds(..., least=-1.0)
    lasts_seconds: float | None = _seconds(None)


# The program.


@dataclass(frozen=True, slots=True, kw_only=True)
class Buggify(PlannedFault):
    """`detrun.buggify` sites are enabled with ``enabled`` and then fire with ``fires``, from here on."""

    kind: ClassVar[str] = "buggify"
    models: ClassVar[str] = "the program's own rare branches, at the places that call detrun.buggify"
    enabled: float = _field(0.25, "probability")
    fires: float | None = _field(None, "probability")


FAULT_KINDS: dict[str, type[PlannedFault]] = {
    one.kind: one
    for one in (
        Crash,
        PowerLoss,
        Restart,
        Upgrade,
        Pause,
        Resume,
        Partition,
        Clog,
        LinkLatency,
        Loss,
        Duplication,
        Reordering,
        SlowTail,
        Reset,
        Bandwidth,
        DiskFault,
        ClockStep,
        ClockSkew,
        ClockDrift,
        Buggify,
    )
}


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
